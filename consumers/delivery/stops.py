"""Which partitions stand still now, and why."""

import asyncio
from collections.abc import Collection, Sequence, Sized
from dataclasses import dataclass

from consumers.delivery.attempts import back_off
from consumers.delivery.holding import earliest
from consumers.delivery.means import Means
from consumers.delivery.offsets import firsts
from consumers.delivery.progress import TRIED_WITHIN_S
from pipeline.ports.bus import Record
from pipeline.ports.partitions import Partitions


@dataclass(slots=True)
class Wait:
    """A partition that waits: since when, how often, and what wakes it.

    Attributes:
        since: None where nothing is wrong: its next record is due later.
        until: monotonic seconds at which its record is to come again.
    """

    since: float | None
    until: float = 0.0
    count: int = 0
    timer: asyncio.Task[None] | None = None


class Stops:
    """Waiting ends by itself; halted and held end when somebody looked.

    Args:
        beside: what else of the member waits, while its partition goes on.
    """

    def __init__(
        self, group: str, partitions: Partitions, means: Means, beside: Sized = ()
    ) -> None:
        self._group = group
        self._partitions = partitions
        self._means = means
        self._beside = beside
        self._waits: dict[int, Wait] = {}
        self._halted: set[int] = set()
        self.held = False
        """The brake is pulled: nothing of the subscription moves."""

    @property
    def halted(self) -> frozenset[int]:
        """Where what we stored contradicts itself."""
        return frozenset(self._halted)

    @property
    def waiting_since(self) -> float | None:
        """When the longest wait began; None: nothing waits."""
        return earliest(wait.since for wait in self._waits.values())

    def stands(self, partition: int) -> bool:
        """Does it stand still for a reason that we know?

        A wait that is over is one as long as what is away may take to say so again.
        """
        wait = self._waits.get(partition)
        waits = wait is not None and self._waits_on(wait)
        return self.held or partition in self._halted or waits

    def wait(self, partition: int, offset: int) -> None:
        """Rewind to ``offset`` and come back to it after a while."""
        now = self._means.clock.monotonic()
        wait = self._waits.get(partition)
        if wait is None or wait.since is None:
            wait = Wait(now)
        seconds = back_off(wait.count, self._means.entropy)
        wait.count += 1
        self._pause(partition, offset, wait, seconds)

    def all_wait(self, records: Sequence[Record]) -> None:
        """Come back to each of their partitions after a while."""
        for partition, offset in firsts(records).items():
            self.wait(partition, offset)

    def rewind(self, records: Sequence[Record]) -> None:
        """They come again; not at once, or they would until the rebalance is over."""
        first = firsts(records)
        for partition, offset in first.items():
            self._partitions.rewind(partition, offset)
        self._partitions.pause(first)

    def delay(self, partition: int, offset: int, seconds: float) -> None:
        """Rewind to ``offset``, which is due then; nothing is wrong meanwhile."""
        self._pause(partition, offset, Wait(None), seconds)

    def _pause(self, partition: int, offset: int, wait: Wait, seconds: float) -> None:
        if partition not in self._partitions.assigned():
            return
        self._partitions.rewind(partition, offset)
        self._partitions.pause([partition])
        if partition in self._waits:
            _cancel(self._waits[partition])
        self._waits[partition] = wait
        wait.until = self._means.clock.monotonic() + seconds
        wait.timer = asyncio.create_task(self._wake(partition, seconds))
        self.tell()

    def moved(self, partition: int) -> None:
        """A record of it was finished: it waits no more."""
        if partition in self._waits:
            _cancel(self._waits.pop(partition))
            self.tell()

    def nothing_left(self, partition: int) -> None:
        """What it waited for is finished, by another member: it waits no more."""
        if partition in self._waits:
            self.moved(partition)
            if not self.held and partition not in self._halted:
                self._partitions.resume([partition])

    def halt(self, partition: int, offset: int) -> None:
        """Rewind to ``offset`` and stay there."""
        if partition not in self._partitions.assigned():
            return
        self._partitions.rewind(partition, offset)
        self._partitions.pause([partition])
        self._halted.add(partition)
        self.tell()

    def hold(self) -> None:
        """Stop everything."""
        self.held = True
        self._partitions.pause(self._partitions.assigned())
        self.tell()

    def release(self) -> None:
        """An operator looked: try halted and held partitions again."""
        self.held = False
        self._halted.clear()
        self._partitions.resume(self._partitions.assigned() - set(self._asleep()))
        self.tell()

    def restore(self, assigned: Collection[int]) -> None:
        """After a rebalance, which forgot every pause: pause again what stands.

        A halted partition is read once more, from the record that halted it.
        """
        for partition in set(self._waits) - set(assigned):
            _cancel(self._waits.pop(partition))
        self._halted.clear()
        self._partitions.pause(assigned if self.held else self._asleep())
        self.tell()

    def close(self) -> None:
        """Nothing wakes any more."""
        for wait in self._waits.values():
            _cancel(wait)

    def _waits_on(self, wait: Wait) -> bool:
        tried_s = 0.0 if wait.since is None else TRIED_WITHIN_S
        return self._means.clock.monotonic() <= wait.until + tried_s

    def _asleep(self) -> list[int]:
        return [
            partition
            for partition, wait in self._waits.items()
            if wait.timer is not None and not wait.timer.done()
        ]

    async def _wake(self, partition: int, seconds: float) -> None:
        await self._means.clock.sleep(seconds)
        if not self.held and partition not in self._halted:
            self._partitions.resume([partition])

    def tell(self) -> None:
        """How much stands still now."""
        signals = self._means.signals
        held = len(self._partitions.assigned()) if self.held else 0
        wrong = [wait for wait in self._waits.values() if wait.since is not None]
        signals.waiting(self._group, len(wrong) + len(self._beside))
        signals.stopped(self._group, "halted", len(self._halted))
        signals.stopped(self._group, "held", held)


def _cancel(wait: Wait) -> None:
    if wait.timer is not None:
        wait.timer.cancel()
