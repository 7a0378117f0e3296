"""Many patterns in one pass: RE2 Sets that cannot fail unseen."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import re2

from pipeline.errors import SluiceError

CANARY: Final = b"\x02sluice-canary\x03"
CHUNK: Final = 65_536
OVERLAP: Final = 256
MAX_MEMORY: Final = 128 * 1024 * 1024
_CONTINUES: Final = range(0x80, 0xC0)


class GuardFailed(SluiceError):
    """A guard could not look; it says nothing about what it was to look at."""


def options() -> Any:
    """Of every pattern: enough memory for all of them, nothing to stderr."""
    made = re2.Options()
    made.max_mem = MAX_MEMORY
    made.log_errors = False
    return made


class PatternSet:
    """Patterns compiled once; time is linear in the text.

    ``Set.Match`` answers alike for "no hit", "out of memory" and "never compiled". So a
    canary is among the patterns and ends each chunk: an answer without it is a failure.
    """

    def __init__(self, patterns: Sequence[str], *, compiled: bool = True) -> None:
        self._set: Any = re2.Set.SearchSet(options())
        for pattern in (*patterns, CANARY.decode()):
            self._set.Add(pattern)
        if compiled:
            self._set.Compile()
        self._canary = len(patterns)
        self.compiled: tuple[Any, ...] = tuple(
            re2.compile(pattern.encode(), options()) for pattern in patterns
        )
        self.groups: tuple[int, ...] = tuple(
            each.groupindex.get(b"v", 0) for each in self.compiled
        )

    def hits(self, data: bytes) -> list[int]:
        """Indexes of the patterns that hit, in order.

        A chunk whose answer lacks the canary is looked at pattern by pattern.

        Raises:
            GuardFailed: even that could not be done.
        """
        found: set[int] = set()
        for chunk in chunks(data):
            answer = self._set.Match(chunk + CANARY) or ()
            found.update(answer if self._canary in answer else self._singly(chunk))
        found.discard(self._canary)
        return sorted(found)

    def _singly(self, chunk: bytes) -> Iterable[int]:
        try:
            return [i for i, each in enumerate(self.compiled) if each.search(chunk)]
        except re2.error as error:
            raise GuardFailed("a pattern set did not look") from error


def chunks(data: bytes) -> Iterable[bytes]:
    """Pieces of ``CHUNK`` bytes that overlap, cut between characters."""
    if len(data) <= CHUNK:
        yield data
        return
    start = 0
    while start < len(data):
        end = start + CHUNK
        while end < len(data) and data[end] in _CONTINUES:
            end += 1
        yield data[start:end]
        if end >= len(data):
            return
        start = end - OVERLAP
        while data[start] in _CONTINUES:
            start += 1
