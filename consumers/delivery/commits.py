"""Committing what is finished: never backwards, and again where it was refused."""

import asyncio

from consumers.delivery.means import Means
from pipeline.ports.partitions import Partitions


class Commits:
    """The offsets of one member: what is finished, and what the group knows of it."""

    def __init__(self, group: str, partitions: Partitions, means: Means) -> None:
        self._group = group
        self._partitions = partitions
        self._means = means
        self._owed: dict[int, int] = {}
        self._settling = asyncio.Lock()
        self.done: dict[int, int] = {}
        """By partition, one past the last finished, since its assignment."""
        self.owing = asyncio.Event()
        """Set while something is finished that the group does not know of."""

    def finished(self, partition: int, offset: int) -> None:
        """All before ``offset`` is finished."""
        if offset > self.done.get(partition, -1):
            self.done[partition] = self._owed[partition] = offset
            self.owing.set()

    async def settle(self) -> None:
        """Commit what is owed; what is refused stays owed.

        One at a time: a client repeats a commit that met an error, and of two that
        are on their way the older one could be the last to arrive.
        """
        async with self._settling:
            await self._settle()

    async def _settle(self) -> None:
        owed = dict(self._owed)
        if not owed:
            return
        if not await self._partitions.commit(owed):
            self._means.signals.commit_refused(self._group)
            return
        for partition, offset in owed.items():
            if self._owed.get(partition) == offset:
                del self._owed[partition]
        if not self._owed:
            self.owing.clear()

    def forget(self) -> None:
        """The partitions were taken away; their new owner begins at the committed."""
        self._owed.clear()
        self.owing.clear()
        self.done.clear()
