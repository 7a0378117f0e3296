"""The loop of every timed worker: do what is due, wait, go on whatever happened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from infra.log import Log, Word
from pipeline.ports.system import Clock, Entropy

Job = Callable[[], Awaitable[bool]]
"""One round. True: there was as much as one round may take, so go on at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One worker.

    Attributes:
        every_s: seconds between rounds that left nothing behind.
        alive_within_s: without a round that ended well for so long, it is not ready;
            a single round that takes twice as long hangs.
    """

    name: Word
    job: Job
    every_s: float
    alive_within_s: float


@dataclass(slots=True, kw_only=True)
class Loop:
    """Runs one worker until it is cancelled.

    Rounds are safe in several copies because each takes its work by row locks; the
    waiting is spread so that copies do not meet.
    """

    timed: Timed
    clock: Clock
    entropy: Entropy
    log: Log
    _last_good: float = field(init=False)
    _began: float | None = field(init=False, default=None)
    _ended: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._last_good = self.clock.monotonic()

    @property
    def ready(self) -> bool:
        """Did a round end well lately?"""
        return self.idle_s < self.timed.alive_within_s

    @property
    def idle_s(self) -> float:
        """Seconds since a round last ended well, or since the start."""
        return self.clock.monotonic() - self._last_good

    @property
    def alive(self) -> bool:
        """False: only a new process helps, for a round hangs or the loop is gone.

        Rounds that fail are no reason: what they lean on comes back, or does not,
        for a new process too.
        """
        began = self.clock.monotonic() if self._began is None else self._began
        running_s = self.clock.monotonic() - began
        return not self._ended and running_s < 2 * self.timed.alive_within_s

    async def run(self) -> None:
        """Round after round; only cancelling ends it."""
        try:
            while True:
                if not await self._round():
                    spread = self.entropy.uniform(0.8, 1.2)
                    await self.clock.sleep(self.timed.every_s * spread)
        finally:
            self._ended = True

    async def _round(self) -> bool:
        self._began = self.clock.monotonic()
        try:
            more = await self.timed.job()
        except Exception as error:  # noqa: BLE001 - a round may fail
            kind = Word(type(error).__name__)
            # Its class alone: a driver's text may hold values.
            self.log.error(  # noqa: TRY400
                "timed_worker_failed", worker=self.timed.name, error=kind
            )
            return False
        finally:
            self._began = None
        self._last_good = self.clock.monotonic()
        return more


def alive(loops: Sequence[Loop]) -> bool:
    """False: start this process anew."""
    return all(loop.alive for loop in loops)


def not_ready(loops: Sequence[Loop]) -> Sequence[str]:
    """``worker:hung`` for each that needs a new process, ``worker:late`` for others.

    Late are those whose rounds do not end well.
    """
    return [
        f"{loop.timed.name}:{'late' if loop.alive else 'hung'}"
        for loop in loops
        if not (loop.alive and loop.ready)
    ]


@asynccontextmanager
async def running(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run them for the length of a block."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
