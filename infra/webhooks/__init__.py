"""HTTP to addresses that customers name."""
