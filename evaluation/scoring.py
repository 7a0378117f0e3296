"""Same class and IoU of at least one half, one to one, greedy by IoU."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evaluation.documents import IGNORE, Document, Span
from training.dice import Dice

IOU: Final = 0.5
RESAMPLES: Final = 200
BETA: Final = 2
"""Of F2: a value that is missed counts for more than one too many."""
Rows = Sequence[tuple[int, int, int]]
"""Hits, wrong and missed of each document."""


@dataclass(slots=True)
class Tally:
    """What matched, by class.

    Attributes:
        exact: labels that a finding of their class covers to the character.
        touched: labels that a finding of their class overlaps at all.
    """

    hits: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    exact: Counter[str] = field(default_factory=Counter)
    touched: Counter[str] = field(default_factory=Counter)

    def row(self, classes: Iterable[str]) -> tuple[int, int, int]:
        """Hits, wrong and missed of some classes together."""
        wanted = list(classes)
        hits, wrong, missed = (
            sum(counted[c] for c in wanted)
            for counted in (self.hits, self.wrong, self.missed)
        )
        return hits, wrong, missed


def ratios(hits: int, wrong: int, missed: int) -> tuple[float, float, float]:
    """Precision, recall and F1; nothing found or nothing there is zero."""
    return (
        hits / max(1, hits + wrong),
        hits / max(1, hits + missed),
        2 * hits / max(1, 2 * hits + wrong + missed),
    )


def f_beta(precision: float, recall: float, beta: float = BETA) -> float:
    """The weighted harmonic mean of both."""
    weighted = beta * beta * precision + recall
    return (1 + beta * beta) * precision * recall / weighted if weighted else 0.0


def tally(document: Document, found: Sequence[Span], scored: Collection[str]) -> Tally:
    """Match one document's findings with its labels."""
    mine = [span for span in found if span.data_class in scored]
    theirs = [span for span in document.spans if span.data_class in scored]
    matched, met = _matches(mine, theirs)
    counted = Tally()
    for i, span in enumerate(mine):
        if i in matched:
            counted.hits[span.data_class] += 1
        elif not _excused(span, document.spans):
            counted.wrong[span.data_class] += 1
    for j, span in enumerate(theirs):
        counted.missed[span.data_class] += j not in met
        counted.exact[span.data_class] += span in mine
        counted.touched[span.data_class] += any(_touch(span, m) for m in mine)
    return counted


def _matches(
    mine: Sequence[Span], theirs: Sequence[Span]
) -> tuple[Collection[int], Collection[int]]:
    """Indices of what belongs together, the closest first."""
    pairs = sorted(
        (-iou(m, s), i, j)
        for i, m in enumerate(mine)
        for j, s in enumerate(theirs)
        if m.data_class == s.data_class and iou(m, s) >= IOU
    )
    used_mine: set[int] = set()
    used: set[int] = set()
    for _, i, j in pairs:
        if i not in used_mine and j not in used:
            used_mine.add(i)
            used.add(j)
    return used_mine, used


def iou(one: Span, other: Span) -> float:
    """Intersection over union of two spans."""
    both = min(one.end, other.end) - max(one.start, other.start)
    if both <= 0:
        return 0.0
    return both / (max(one.end, other.end) - min(one.start, other.start))


def _touch(one: Span, other: Span) -> bool:
    return one.data_class == other.data_class and iou(one, other) > 0


def _excused(span: Span, labels: Sequence[Span]) -> bool:
    return any(s.data_class == IGNORE and iou(span, s) > 0 for s in labels)


def figures(tallies: Sequence[Tally], classes: Collection[str]) -> Mapping[str, Any]:
    """Micro figures over some classes.

    Returns:
        ``p``, ``r`` and ``f1``, each with its 95 % interval; ``f2``; ``exact`` and
        ``overlap``: recall by the exact span, and by any overlap; ``labels``.
    """
    rows = [row for each in tallies if any(row := each.row(classes))]
    precision, recall, f1 = ratios(*_sum(rows))
    there = max(1, sum(hits + missed for hits, _, missed in rows))
    exact = sum(each.exact[c] for each in tallies for c in classes)
    touched = sum(each.touched[c] for each in tallies for c in classes)
    return {
        **{
            name: [round(value, 4), *bounds]
            for name, value, bounds in zip(
                ("p", "r", "f1"), (precision, recall, f1), intervals(rows), strict=True
            )
        },
        "f2": round(f_beta(precision, recall), 4),
        "exact": round(exact / there, 4),
        "overlap": round(touched / there, 4),
        "labels": sum(hits + missed for hits, _, missed in rows),
    }


def macro(by_class: Iterable[Mapping[str, Any]]) -> Mapping[str, float]:
    """The means of precision, recall and F1, each class counting the same."""
    rows = [(each["p"][0], each["r"][0], each["f1"][0]) for each in by_class]
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return dict(zip(("p", "r", "f1"), [round(mean, 4) for mean in means], strict=True))


def intervals(rows: Rows) -> list[tuple[float, float]]:
    """95 % of precision, recall and F1 by bootstrap over documents, seed fixed."""
    if not rows:
        return [(0.0, 0.0)] * 3
    dice = Dice(7)
    drawn = [ratios(*_sum([dice.of(rows) for _ in rows])) for _ in range(RESAMPLES)]
    return [_middle(sorted(column)) for column in zip(*drawn, strict=True)]


def _middle(ordered: Sequence[float]) -> tuple[float, float]:
    cut = len(ordered) // 40
    return round(ordered[cut], 4), round(ordered[-cut - 1], 4)


def _sum(rows: Rows) -> tuple[int, int, int]:
    hits, wrong, missed = (sum(row[i] for row in rows) for i in range(3))
    return hits, wrong, missed
