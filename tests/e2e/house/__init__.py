"""Tests that share one house: all of Sluice, started once."""
