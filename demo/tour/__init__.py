"""The tour: what happens to a handful of requests, shown and checked."""
