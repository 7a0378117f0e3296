"""A group member's hand on the partitions that it was assigned."""

from collections.abc import Collection, Mapping
from typing import Protocol


class Partitions(Protocol):
    """The partitions of one topic, as one member of one group holds them.

    A rebalance may take a partition away at any moment, in the middle of anything.
    What is then asked of that partition is dropped: its new owner has it.
    """

    def assigned(self) -> frozenset[int]:
        """What is ours now."""
        ...

    def pause(self, partitions: Collection[int]) -> None:
        """Hand out no more of these; what was fetched ahead is dropped."""
        ...

    def resume(self, partitions: Collection[int]) -> None:
        """Hand out again, from where they stood."""
        ...

    def rewind(self, partition: int, offset: int) -> None:
        """Hand out ``offset`` again. Does not touch what was committed.

        Dropped where it is ahead of what comes next: after a rebalance, what a member
        still remembers must not make it pass over records.
        """
        ...

    def begin(self, partition: int, offset: int) -> None:
        """Begin here and not at the committed; asked while it is being assigned."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Store, by partition, the offset to begin at: one past the last finished.

        False: refused, or not known within 10 s. Nothing may rest on it.
        """
        ...

    async def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """What was committed; None where nothing was.

        Raises:
            RetryableError: it cannot be known within 5 s.
        """
        ...

    async def bounds(self, partitions: Collection[int]) -> Mapping[int, range]:
        """The offsets that the log holds now, from its start up to its end.

        Raises:
            RetryableError: they cannot be known within 5 s.
        """
        ...


class Listener(Protocol):
    """Whoever must know which partitions are a member's."""

    async def revoked(self, partitions: Collection[int]) -> None:
        """These are taken away once this returns."""
        ...

    async def assigned(self, partitions: Collection[int]) -> None:
        """These are ours, none paused, each from its committed offset."""
        ...
