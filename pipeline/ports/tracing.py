"""Traces: one story from the first request to the last effect, in spans.

A span's place in its story travels as a W3C ``traceparent``. Names and facts are words,
ids and numbers of ours; never content.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

Fact: TypeAlias = str | int
Kind: TypeAlias = Literal["server", "consumer", "client"]


class Span(Protocol):
    """Something that takes time, as a part of a story."""

    @property
    def traceparent(self) -> str:
        """What follows from it names it so."""
        ...

    def tell(self, name: str, fact: Fact) -> None:
        """One more fact."""
        ...

    def end(self, error: str | None = None) -> None:
        """It is over; ``error``: a class's name or a status, where it failed."""
        ...


class Tracing(Protocol):
    """Where spans begin. It never fails and never waits."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        facts: Mapping[str, Fact],
        *,
        at: datetime | None = None,
    ) -> Span:
        """A span below ``parent``, a traceparent; a new story where it is none.

        Args:
            name: a word of ours, from a small set.
            kind: of OpenTelemetry's kinds.
            parent: what a stranger wrote is not believed, only tried.
            facts: by names of OpenTelemetry's conventions, or ``sluice.…``.
            at: when it began; None: now.
        """
        ...
