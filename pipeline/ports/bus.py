"""Records in and out of the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from typing_extensions import override

from schemas.topics import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as it lies in a partition; nothing of it has been believed yet.

    Attributes:
        headers: as stored; a value may be null or any bytes.
        timestamp_ms: milliseconds since the epoch.
        appended: the broker set ``timestamp_ms`` at append (LogAppendTime).
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int
    appended: bool

    @override
    def __repr__(self) -> str:
        return f"Record({self.topic}[{self.partition}]@{self.offset})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutgoing:
    """Bytes on their way to one partition, as they are (dead letters)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @override
    def __repr__(self) -> str:
        return f"RawOutgoing({self.topic}[{self.partition}])"


class Publisher(Protocol):
    """The way into topics."""

    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        """Send all, in order per partition; return once all are durable.

        Raises:
            RetryableError: at least one was not acknowledged; its fate is unknown.
            InvalidMessage: one is too large for its topic; none was sent.
        """
        ...

    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        """Send bytes as they are; return once they are durable.

        Raises:
            RetryableError: not acknowledged; its fate is unknown.
            InvalidMessage: too large for its topic.
        """
        ...
