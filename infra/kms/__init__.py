"""Providers of tenants' keys."""
