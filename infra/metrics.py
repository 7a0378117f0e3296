"""Every metric, typed: name, unit, help and labels in one place.

Labels are words of ours: never a tenant, a request, a key or a path.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from infra.log import Log, Word

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
        self.incidents = Counter(
            "sluice_ledger_incidents_total",
            "Incidents that the ledger recorded on its own account.",
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "sluice_answer_seconds",
            "From a request's arrival at the gateway to its answer.",
            buckets=_LATENCY_S,
            registry=registry,
        )


class DeliverySignals:
    """What the delivery policy tells, as metrics; what somebody must see, as lines."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log

    def handled(self, group: str, records: int) -> None:
        """Records whose effects are durable."""
        self._metrics.handled.labels(group).inc(records)

    def batch(self, group: str, seconds: float) -> None:
        """From a batch's arrival to its commit."""
        self._metrics.batch_seconds.labels(group).observe(seconds)

    def retried(self, group: str, error: str) -> None:
        """An attempt failed and will be repeated."""
        self._metrics.retries.labels(group, error).inc()

    def unexpected(self, group: str, place: str) -> None:
        """An error that nobody translated."""
        self._log.error("unexpected_error", group=Word(group), place=Word(place))

    def buried(self, group: str, reason: str) -> None:
        """A dead letter is durable."""
        self._metrics.dead_letters.labels(group, reason).inc()
        self._log.warning("dead_letter_written", group=Word(group), reason=Word(reason))

    def waiting(self, group: str, partitions: int) -> None:
        """How many wait now."""
        self._metrics.waiting.labels(group).set(partitions)

    def stopped(self, group: str, state: str, partitions: int) -> None:
        """How many stand still until somebody looks."""
        self._metrics.stopped.labels(group, state).set(partitions)
        if partitions:
            self._log.error("partition_stopped", group=Word(group), state=Word(state))

    def lag(self, group: str, records: int) -> None:
        """Records between what is finished and the end."""
        self._metrics.lag.labels(group).set(records)

    def commit_refused(self, group: str) -> None:
        """A commit failed."""
        self._log.warning("commit_refused", group=Word(group))

    def expired(self, group: str, partition: int, records: int) -> None:
        """Records were deleted by retention, unread."""
        self._log.error(
            "records_expired",
            group=Word(group),
            partition=partition,
            records=records,
        )
