"""Sluice on one machine: real Kafka, real Postgres, a stand-in model, a tour."""
