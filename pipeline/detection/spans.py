"""Overlaps: which findings stand, in O(n log n)."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

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

T = TypeVar("T")


class Taken:
    """Spans without overlap, sorted."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def take(self, start: int, end: int) -> bool:
        """Take a span; False, and nothing taken, where some of it is."""
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] < end:
            return False
        if place and self._ends[place - 1] > start:
            return False
        self._starts.insert(place, start)
        self._ends.insert(place, end)
        return True


def resolved(
    found: Iterable[T],
    span: Callable[[T], tuple[int, int]],
    rank: Callable[[T], tuple[float, ...]],
) -> list[T]:
    """Those that stand, by position: higher ranks take their span first."""
    taken = Taken()
    kept = [
        each
        for each in sorted(found, key=rank, reverse=True)
        if taken.take(*span(each))
    ]
    return sorted(kept, key=span)


def surest(
    found: Iterable[Candidate], acts: Callable[[Candidate], bool] = lambda _: True
) -> list[Candidate]:
    """Candidates without overlap; passages that are only marked stand aside.

    Whatever is acted on goes before what is not, however sure that is.
    """
    marks: list[Candidate] = []
    rest: list[Candidate] = []
    for each in found:
        (marks if each.data_class in ASIDE else rest).append(each)
    standing = resolved(rest, _span, lambda each: (float(acts(each)), *_rank(each)))
    return sorted([*standing, *resolved(marks, _span, _rank)], key=_span)


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
