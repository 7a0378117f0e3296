"""Postgres: the main database."""
