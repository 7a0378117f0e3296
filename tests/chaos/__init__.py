"""Sluice under load while everything that it is made of is killed, again and again."""
