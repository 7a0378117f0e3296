"""Tests, by level."""
