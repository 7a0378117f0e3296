"""All of Sluice in one process, on the twins, under seeded time and seeded faults."""
