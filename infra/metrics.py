"""Every metric, typed: name, unit, help and labels in one place.

Labels are words of ours: never a tenant, a request, a key or a path.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The metrics of one process, on the registry that it serves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.handled = Counter(
            "sluice_records_handled_total",
            "Records whose effects are durable and whose offset was committed.",
            ["group"],
            registry=registry,
        )
        self.retries = Counter(
            "sluice_record_retries_total",
            "Attempts after the first, by the class of the error.",
            ["group", "error"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "sluice_dead_letters_total",
            "Records that were buried, by reason.",
            ["group", "reason"],
            registry=registry,
        )
        self.waiting = Gauge(
            "sluice_partitions_waiting",
            "Partitions that wait for something that everyone shares.",
            ["group"],
            registry=registry,
        )
        self.stopped = Gauge(
            "sluice_partitions_stopped",
            "Partitions that are held or halted until somebody looks.",
            ["group", "state"],
            registry=registry,
        )
        self.lag = Gauge(
            "sluice_consumer_lag_records",
            "Records between the committed offset and the end.",
            ["group"],
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "sluice_batch_seconds",
            "From a batch's arrival to its commit.",
            ["group"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.accepted = Counter(
            "sluice_requests_accepted_total",
            "Requests that became durable.",
            ["way"],
            registry=registry,
        )
        self.refused = Counter(
            "sluice_requests_refused_total",
            "Requests that were not accepted, by problem code.",
            ["way", "code"],
            registry=registry,
        )
        self.finished = Counter(
            "sluice_requests_finished_total",
            "Requests that ended, by outcome and reason.",
            ["outcome", "reason"],
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "sluice_answer_seconds",
            "From a request's arrival at the gateway to its answer.",
            buckets=_LATENCY_S,
            registry=registry,
        )
