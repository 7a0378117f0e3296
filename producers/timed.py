"""The loop of every timed worker: do what is due, wait, go on whatever happened."""

from collections.abc import Awaitable, Callable, Sequence
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
        alive_within_s: without a round that ended well for so long, it is not ready.
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

    async def run(self) -> None:
        """Round after round; only cancelling ends it."""
        while True:
            if not await self._round():
                spread = self.entropy.uniform(0.8, 1.2)
                await self.clock.sleep(self.timed.every_s * spread)

    async def _round(self) -> bool:
        try:
            more = await self.timed.job()
        except Exception as error:  # noqa: BLE001 - a round may fail
            kind = Word(type(error).__name__)
            # Its class alone: a driver's text may hold values.
            self.log.error(  # noqa: TRY400
                "timed_worker_failed", worker=self.timed.name, error=kind
            )
            return False
        self._last_good = self.clock.monotonic()
        return more


def not_ready(loops: Sequence[Loop]) -> Sequence[str]:
    """``worker:late`` for each whose rounds do not end well."""
    return [f"{loop.timed.name}:late" for loop in loops if not loop.ready]
