"""Should the gateway get work? What it leans on is asked at intervals."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from infra.log import Word
from pipeline.ports.system import Clock
from producers.timed import Timed

LOOK_EVERY_S: Final = 2.0
ANSWERS_WITHIN_S: Final = 5.0
LATE_S: Final = 30.0
SILENT_S: Final = 120.0
"""A part that says nothing for so long sits behind a dead connection, perhaps."""

Answers = Callable[[], Awaitable[bool]]
"""True, False, or silence."""


class Readiness:
    """Knows which of its parts did not answer when they were last asked.

    Law: ready needs one look at all parts, in which each answered.

    Attributes:
        stopping: set it, and it is not ready whatever answers.
    """

    def __init__(
        self,
        parts: Mapping[str, Answers],
        clock: Clock,
        *,
        within_s: float = ANSWERS_WITHIN_S,
    ) -> None:
        self.stopping = False
        self._clock = clock
        self._parts = parts
        self._within_s = within_s
        self._away: Sequence[str] | None = None
        self._asked: dict[str, asyncio.Future[bool]] = {}
        self._since: dict[str, float] = {}

    def timed(self) -> Timed:
        """What looks, as a timed worker."""
        return Timed(
            name=Word("readiness"),
            job=self.look,
            every_s=LOOK_EVERY_S,
            alive_within_s=LATE_S,
        )

    async def look(self) -> bool:
        """Ask every part, side by side; silence for ``within_s`` is no answer.

        Who was asked and is silent is not asked again: a lost connection may hold up
        even the cancelling of a query.
        """
        for part in [each for each in self._parts if each not in self._asked]:
            self._asked[part] = asyncio.ensure_future(self._parts[part]())
            self._since[part] = self._clock.monotonic()
        await self._silence()
        silent = {
            part: asked for part, asked in self._asked.items() if not asked.done()
        }
        answered, self._asked = self._asked, silent
        self._away = [
            part
            for part in self._parts
            if part in silent or not answered[part].result()
        ]
        return False

    def reasons(self) -> Sequence[str]:
        """``gateway:word`` for each reason why it should get no work."""
        if self.stopping:
            return ["gateway:stopping"]
        if self._away is None:
            return ["gateway:starting"]
        return [f"gateway:{part}_away" for part in self._away]

    @property
    def alive(self) -> bool:
        """False: one was silent so long that a new process may fare better.

        Who refuses, or cannot be reached, is not silent.
        """
        latest = self._clock.monotonic() - SILENT_S
        return all(self._since[part] > latest for part in self._asked)

    async def _silence(self) -> None:
        try:
            await asyncio.wait(self._asked.values(), timeout=self._within_s)
        except asyncio.CancelledError:
            for asked in self._asked.values():
                asked.cancel()
            raise
