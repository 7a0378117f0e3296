"""What the delivery policy tells, as metrics; what somebody must see, as lines."""

from collections.abc import Iterable

from infra.families import (
    BATCH_SECONDS,
    BURIALS,
    COMMITS_REFUSED,
    DEAD_LETTERS,
    ERRORS,
    EXPIRED,
    HANDLED,
    LAG,
    RETRIES,
    STAGE_SECONDS,
    STOPPED,
    WAITING,
)
from infra.log import Log, Word
from infra.metrics import OTHER, Metrics


class Bound:
    """The series of one group, bound once."""

    def __init__(self, metrics: Metrics, group: str) -> None:
        metrics.of(RETRIES).ready((group,), ERRORS)
        metrics.of(DEAD_LETTERS).ready((group,), BURIALS)
        self.handled = metrics.of(HANDLED).labels(group)
        self.batch = metrics.of(BATCH_SECONDS).labels(group)
        self.stage = metrics.of(STAGE_SECONDS).labels(group)
        self.waiting = metrics.of(WAITING).labels(group)
        self.lag = metrics.of(LAG).labels(group)
        self.refused = metrics.of(COMMITS_REFUSED).labels(group)
        self.expired = metrics.of(EXPIRED).labels(group)
        stopped = metrics.of(STOPPED)
        self.stopped = {
            each: stopped.labels(group, each) for each in ("held", "halted")
        }


class DeliverySignals:
    """Signals of the groups of one process."""

    def __init__(self, metrics: Metrics, log: Log, groups: Iterable[str]) -> None:
        self._log = log
        self._retries = metrics.of(RETRIES)
        self._dead_letters = metrics.of(DEAD_LETTERS)
        self._of = {group: Bound(metrics, group) for group in groups}

    def handled(self, group: str, records: int) -> None:
        """Records whose effects are durable."""
        self._of[group].handled.inc(records)

    def batch(self, group: str, seconds: float) -> None:
        """From a batch's arrival until its effects were durable."""
        self._of[group].batch.observe(seconds)

    def aged(self, group: str, seconds: float) -> None:
        """From a record's append until its effects were durable."""
        self._of[group].stage.observe(seconds)

    def retried(self, group: str, error: str) -> None:
        """An attempt failed and will be repeated."""
        self._retries.labels(group, error if error in ERRORS else OTHER).inc()

    def unexpected(self, group: str, place: str) -> None:
        """An error that nobody translated."""
        self._log.error("unexpected_error", group=Word(group), place=Word(place))

    def buried(self, group: str, reason: str) -> None:
        """A dead letter is durable."""
        self._dead_letters.labels(group, reason).inc()
        self._log.warning("dead_letter_written", group=Word(group), reason=Word(reason))

    def waiting(self, group: str, partitions: int) -> None:
        """How many wait now."""
        self._of[group].waiting.set(partitions)

    def stopped(self, group: str, state: str, partitions: int) -> None:
        """How many stand still until somebody looks."""
        self._of[group].stopped[state].set(partitions)
        if partitions:
            self._log.error("partition_stopped", group=Word(group), state=Word(state))

    def lag(self, group: str, records: int) -> None:
        """Records between what is finished and the end."""
        self._of[group].lag.set(records)

    def commit_refused(self, group: str) -> None:
        """A commit failed."""
        self._of[group].refused.inc()
        self._log.warning("commit_refused", group=Word(group))

    def expired(self, group: str, partition: int, records: int) -> None:
        """Records were deleted by retention, unread."""
        self._of[group].expired.inc(records)
        self._log.error(
            "records_expired",
            group=Word(group),
            partition=partition,
            records=records,
        )
