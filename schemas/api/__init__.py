"""Bodies of our HTTP interfaces."""
