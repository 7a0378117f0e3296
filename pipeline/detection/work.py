"""How much work one text may cause: counted first, timed only where a clock is given.

Counts are the same on every machine and at every try, so a redelivery decides alike.
"""

from collections.abc import Callable
from typing import Final

from pipeline.detection.sets import GuardFailed

Clock = Callable[[], float]
"""Seconds, from any point; CPU time of the thread, so that neighbours do not count."""

PER_BYTES: Final = 65_536
MAX_CANDIDATES: Final = 2_000
"""Candidates that are checked and weighed in 64 KB."""
MAX_UNCHECKED: Final = 2_000
"""Candidates beyond them that are told one by one, unchecked, in 64 KB."""
BASE_S: Final = 0.250
FREE_BYTES: Final = 16_384
PER_KB_S: Final = 0.005
"""Four times what the worst text takes that we know; its time is computed, not waited.
Counts end what is foreseen, so this ends only what is not."""
LOOK_EVERY: Final = 256
"""Candidates between two looks at the clock."""
LIMIT: Final = "limit"
TIMED_FROM: Final = 2_048
"""Bytes from which a text is timed: counts alone bound less, and a look at the clock of
a thread costs as much as a tenth of such a text."""


class GuardTimedOut(GuardFailed):
    """A text took longer than it may; counts alone did not stop it."""


def budget_s(size: int) -> float:
    """Seconds that a text of so many bytes may take."""
    return BASE_S + max(0, size - FREE_BYTES) / 1024 * PER_KB_S


class Work:
    """What is left to spend on one text."""

    def __init__(self, size: int, clock: Clock | None = None) -> None:
        chunks = 1 + size // PER_BYTES
        self.left = MAX_CANDIDATES * chunks
        self.unchecked = MAX_UNCHECKED * chunks
        self.signals: set[str] = set()
        self._clock = clock if size >= TIMED_FROM else None
        self._until = self._clock() + budget_s(size) if self._clock else 0.0

    def spend(self, cost: int = 1) -> bool:
        """One candidate more is to be looked at; False: none may be.

        Raises:
            GuardTimedOut: the time is over.
        """
        self.left -= cost
        if self.left % LOOK_EVERY < cost:
            self.look()
        if self.left < 0:
            self.signals.add(LIMIT)
        return self.left >= 0

    def tell(self) -> bool:
        """One candidate more is told unchecked; False: it must stand for all others."""
        self.unchecked -= 1
        return self.unchecked >= 0

    def late(self) -> bool:
        """Is the time over?"""
        return self._clock is not None and self._clock() > self._until

    def look(self) -> None:
        """Between two steps.

        Raises:
            GuardTimedOut: the time is over.
        """
        if self.late():
            raise GuardTimedOut("a text took longer to look at than it may")
