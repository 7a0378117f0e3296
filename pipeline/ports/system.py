"""Time and randomness, as arguments."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

Hold = Callable[[], AbstractContextManager[object]]
"""Open as long as something is held that nobody takes: its holder waits in sight."""


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...

    def cpu(self) -> float:
        """Seconds that this thread has computed; what others do does not count."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancelled like any other await."""
        ...


class Entropy(Protocol):
    """Unpredictable bytes and numbers."""

    def bytes(self, count: int) -> bytes:
        """``count`` bytes fit for keys."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high), fit for jitter, not for keys."""
        ...

    def uuid7(self) -> str:
        """A new UUIDv7 (RFC 9562 section 5.7), canonical text."""
        ...
