"""Twins of the adapters, in memory: they pass the adapters' contracts."""
