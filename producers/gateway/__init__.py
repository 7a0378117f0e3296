"""HTTP in: requests in their SDKs' dialects, and what became of them."""
