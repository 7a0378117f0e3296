"""Kafka through aiokafka: the one place that knows its clients."""
