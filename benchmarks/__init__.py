"""Throughput, cost and added latency, as ratios against the raw limit of the same run."""
