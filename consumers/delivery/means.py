"""What both modes are given."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from consumers.delivery.dead import Burial
from consumers.delivery.signals import Signals
from pipeline.ports.bus import Publisher, Record
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.tracing import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The world, as delivery sees it.

    Attributes:
        batch_within_s: how long an ordered batch works before it commits what is
            finished and returns to the poll: a quarter of ``max_poll_interval_ms``.
    """

    publisher: Publisher
    clock: Clock
    entropy: Entropy
    burial: Burial
    signals: Signals
    tracing: Tracing | None = None
    batch_within_s: float = 75.0

    def aged(self, group: str, record: Record) -> None:
        """Tell how old a record was when its effects were durable."""
        now = self.clock.now().timestamp()
        self.signals.aged(group, max(0.0, now - record.timestamp_ms / 1000))


async def within(clock: Clock, seconds: float, waited: Awaitable[object]) -> bool:
    """Wait for ``waited``, at most so long. True: it ended in time."""
    done = asyncio.ensure_future(waited)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({done, timer}, return_when=asyncio.FIRST_COMPLETED)
        return done.done()
    finally:
        done.cancel()
        timer.cancel()
