"""Many patterns in one pass: RE2 Sets that cannot fail unseen."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import re2

from pipeline.errors import SluiceError

CANARY: Final = b"\x02sluice-canary\x03"
MAX_MEMORY: Final = 128 * 1024 * 1024
SHARD: Final = 24
"""Patterns of one Set: states multiply within a Set and only add up between Sets."""


class GuardFailed(SluiceError):
    """A guard could not look; it says nothing about what it was to look at."""


def options(memory: int = MAX_MEMORY) -> Any:
    """Of every pattern: enough memory for all of them, nothing to stderr."""
    made = re2.Options()
    made.max_mem = memory
    made.log_errors = False
    return made


class PatternSet:
    """Patterns compiled once; time is linear in the text, which is never cut.

    ``Set.Match`` answers alike for "no hit", "out of memory" and "never compiled". So a
    canary is among the patterns and ends each text: an answer without it is a failure.

    Attributes:
        memory: bytes that each Set may take.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        compiled: bool = True,
        memory: int = MAX_MEMORY,
    ) -> None:
        self._shards = [
            _shard(patterns[at : at + SHARD], compiled=compiled, memory=memory)
            for at in range(0, len(patterns), SHARD)
        ]
        self.compiled: tuple[Any, ...] = tuple(
            re2.compile(pattern.encode(), options()) for pattern in patterns
        )
        self.groups: tuple[int, ...] = tuple(
            each.groupindex.get(b"v", 0) for each in self.compiled
        )

    def hits(self, data: bytes) -> list[int]:
        """Indexes of the patterns that hit, in order.

        Where an answer lacks the canary, its patterns are tried one by one.

        Raises:
            GuardFailed: even that could not be done.
        """
        text = data + CANARY
        found: list[int] = []
        for number, shard in enumerate(self._shards):
            first = number * SHARD
            canary = min(SHARD, len(self.compiled) - first)
            answer = shard.Match(text) or ()
            if canary in answer:
                found += [first + hit for hit in answer if hit != canary]
            else:
                found += self._singly(first, canary, data)
        return sorted(found)

    def spans(self, index: int, data: bytes) -> Iterator[tuple[int, int]]:
        """Where one pattern's value stands, from the left, without overlap."""
        group = self.groups[index]
        for match in self.compiled[index].finditer(data):
            yield match.span(group)

    def _singly(self, first: int, count: int, data: bytes) -> Iterable[int]:
        try:
            return [
                i for i in range(first, first + count) if self.compiled[i].search(data)
            ]
        except re2.error as error:
            raise GuardFailed("a pattern set did not look") from error


def _shard(patterns: Sequence[str], *, compiled: bool, memory: int) -> Any:
    made: Any = re2.Set.SearchSet(options(memory))
    for pattern in (*patterns, CANARY.decode()):
        made.Add(pattern)
    if compiled:
        made.Compile()
    return made
