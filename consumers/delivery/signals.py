"""What delivery tells the operator; the composition root turns it into metrics."""

from typing import Literal, Protocol

from consumers.delivery.attempts import Reason


class Signals(Protocol):
    """Counters, gauges and alarms. All values are words and numbers of ours."""

    def handled(self, group: str, records: int) -> None:
        """Records whose effects are durable and whose end was noted."""
        ...

    def batch(self, group: str, seconds: float) -> None:
        """From a batch's arrival until its effects were durable."""
        ...

    def aged(self, group: str, seconds: float) -> None:
        """From a record's append until its effects were durable; a batch's oldest."""
        ...

    def retried(self, group: str, error: str) -> None:
        """An attempt failed and will be repeated; ``error`` is a class's name."""
        ...

    def unexpected(self, group: str, place: str) -> None:
        """An error that nobody translated: its class, file and line."""
        ...

    def buried(self, group: str, reason: Reason) -> None:
        """A dead letter is durable."""
        ...

    def waiting(self, group: str, partitions: int) -> None:
        """How many partitions (ordered) or records (concurrent) wait now."""
        ...

    def stopped(
        self, group: str, state: Literal["held", "halted"], partitions: int
    ) -> None:
        """How many partitions stand still until somebody looks. An alarm above 0."""
        ...

    def lag(self, group: str, records: int) -> None:
        """Records between what is finished and the end."""
        ...

    def commit_refused(self, group: str) -> None:
        """A commit failed; it is repeated, or its partition's new owner repeats it."""
        ...

    def expired(self, group: str, partition: int, records: int) -> None:
        """An alarm: so many records were deleted by retention, unread."""
        ...
