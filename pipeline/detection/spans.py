"""Overlaps: which findings stand, in O(n log n)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pipeline.detection.rules import Candidate
from schemas.policies import DataClass

PRIORITY: Final = {
    each: rank
    for rank, each in enumerate(
        (
            DataClass.URL,
            DataClass.MINOR,
            DataClass.HEALTH,
            DataClass.BIOMETRIC,
            DataClass.PLATE,
            DataClass.NETWORK,
            DataClass.PHONE,
            DataClass.PERSON,
            DataClass.ADDRESS,
            DataClass.BIRTH_DATE,
            DataClass.BANK,
            DataClass.MEDICAL_ID,
            DataClass.GOV_ID,
            DataClass.CRYPTO,
            DataClass.EMAIL,
            DataClass.CARD,
            DataClass.SECRET,
        )
    )
}
"""Of two that are equally sure, the class that harms more stands."""
ASIDE: Final = frozenset({DataClass.URL, DataClass.MINOR})
"""Classes that mark a passage: they displace none, and none displaces them."""

_BETWEEN: Final = b" \t\r\n\"'`,;:<>()[]{}|/&="
"""What stands between two findings, and is of neither."""
_WORDY: Final = re.compile(rb"[0-9A-Za-z\x80-\xff]")


class Taken:
    """Spans without overlap, sorted."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def free(self, start: int, end: int) -> list[tuple[int, int]]:
        """What nobody has of a span, by position."""
        place = bisect_right(self._ends, start)
        pieces: list[tuple[int, int]] = []
        while place < len(self._starts) and self._starts[place] < end:
            if self._starts[place] > start:
                pieces.append((start, self._starts[place]))
            start = self._ends[place]
            place += 1
        return [*pieces, (start, end)] if start < end else pieces

    def take(self, start: int, end: int) -> None:
        """Take a span that is free."""
        place = bisect_left(self._starts, start)
        self._starts.insert(place, start)
        self._ends.insert(place, end)


def surest(
    found: Iterable[Candidate],
    data: bytes,
    acts: Callable[[Candidate], bool] = lambda _: True,
) -> list[Candidate]:
    """Candidates without overlap; passages that are only marked stand aside.

    Whatever is acted on goes before what is not, however sure that is. What lies beyond
    a cap and is acted on unchecked, and a secret, lose to a surer one only what that
    one has.

    Args:
        found: candidates in the bytes of a text.
        data: these bytes.
        acts: whether something is done with a candidate.
    """
    marks: list[Candidate] = []
    rest: list[Candidate] = []
    for each in found:
        (marks if each.data_class in ASIDE else rest).append(each)
    rest.sort(key=lambda each: (acts(each), *_rank(each)), reverse=True)
    marks.sort(key=_rank, reverse=True)
    standing = [*_apart(rest, data, acts), *_apart(marks, data, lambda _: False)]
    return sorted(standing, key=_span)


def _apart(
    ordered: Iterable[Candidate], data: bytes, acts: Callable[[Candidate], bool]
) -> Iterator[Candidate]:
    """Those that stand: the first take their span, later ones what is left of it."""
    taken = Taken()
    for each in ordered:
        pieces = taken.free(each.start, each.end)
        if pieces == [_span(each)]:
            taken.take(*_span(each))
            yield each
        elif _outlasts(each) and acts(each):
            for start, end in _trimmed(pieces, data):
                taken.take(start, end)
                yield each._replace(start=start, end=end)


def _outlasts(each: Candidate) -> bool:
    """Whether what is left of it is still what it was.

    A secret is what runs to the next space, whatever else is found in that.
    """
    secret = each.data_class is DataClass.SECRET and each.score > 0
    return secret or not each.checked


def _trimmed(
    pieces: Iterable[tuple[int, int]], data: bytes
) -> Iterator[tuple[int, int]]:
    """Pieces that hold a letter or a digit, without what sets them apart."""
    for start, end in pieces:
        piece = data[start:end]
        if _WORDY.search(piece):
            first = end - len(piece.lstrip(_BETWEEN))
            yield first, start + len(piece.rstrip(_BETWEEN))


_BY: Final = ("surer", "surer", "of a class that goes first", "longer", "surer")


def why(winner: Candidate, loser: Candidate) -> str:
    """By what a candidate stands, and another one, which overlaps it, does not."""
    ranks = zip(_rank(winner), _rank(loser), _BY, strict=False)
    return next((told for mine, other, told in ranks if mine != other), "earlier")


def _span(each: Candidate) -> tuple[int, int]:
    return each.start, each.end


def _rank(each: Candidate) -> tuple[float, ...]:
    likely = min(each.score, 3.0)
    return (
        float(likely > 0),
        round(likely),
        PRIORITY[each.data_class],
        each.end - each.start,
        each.score,
        -each.start,
    )
