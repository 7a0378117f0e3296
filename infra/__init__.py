"""What we touch: Postgres, Kafka, keys, providers, time."""
