"""Model providers, seen from here."""

from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from pipeline.reasons import Reason
from schemas.requests import Dialect, Route


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx: the body in the dialect of the request; ``repr`` is silent about it."""

    body: bytes

    @override
    def __repr__(self) -> str:
        return f"Answered({len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider said no in a way that a retry does not mend (4xx, but 408, 429)."""

    status: int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No usable answer: unreachable, 5xx, 408, 429, too large, broken, or not JSON.

    Attributes:
        reason: one of the ``upstream_…`` reasons.
        retry: the provider certainly did not do the work, or it is safe to repeat.
        after_s: seconds that it asks to wait for before that.
    """

    reason: Reason
    retry: bool
    after_s: float = 0.0


class Providers(Protocol):
    """Calls to model providers by their configured names."""

    def knows(self, provider: str) -> bool:
        """Is a provider of this name configured?"""
        ...

    async def call(
        self, route: Route, dialect: Dialect, body: bytes, timeout_s: float
    ) -> Answered | Refused | Unanswered:
        """One attempt. ``body`` names our model; the route's model replaces it."""
        ...
