"""Handlers that only compute, and what else the process must do meanwhile."""

import asyncio
from typing import Final

from pipeline.ports.system import Clock

LONG_S: Final = 0.1


class Turns:
    """One record at a time, and then the loop, where handlers compute for long.

    Law: of all partitions' records no second one is begun before the loop has gone
    round, once they computed for 0.1 s: heartbeats, probes and other groups would wait
    for all of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._one = asyncio.Lock()
        self._round = clock.monotonic()

    async def next(self) -> None:
        """Before a record: let the loop go round, if it did not lately."""
        if self._clock.monotonic() - self._round < LONG_S:
            return
        async with self._one:
            await self._clock.sleep(0)
            self._round = self._clock.monotonic()
