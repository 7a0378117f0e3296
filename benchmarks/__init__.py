"""Throughput, cost and added latency, beside the raw limit of the same run."""
