"""Same class and IoU of at least one half, one to one, greedy by IoU."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evaluation.documents import IGNORE, Document, Span
from training.dice import Dice

IOU = 0.5
RESAMPLES = 200


@dataclass(slots=True)
class Tally:
    """What matched, by class."""

    hits: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        self.hits.update(other.hits)
        self.wrong.update(other.wrong)
        self.missed.update(other.missed)

    def figures(self, classes: Iterable[str]) -> tuple[float, float, float]:
        """Micro precision, recall and F1 over some classes."""
        wanted = list(classes)
        hits = sum(self.hits[c] for c in wanted)
        found = hits + sum(self.wrong[c] for c in wanted)
        there = hits + sum(self.missed[c] for c in wanted)
        precision, recall = hits / max(1, found), hits / max(1, there)
        return precision, recall, 2 * hits / max(1, found + there)


def tally(document: Document, found: Sequence[Span], scored: frozenset[str]) -> Tally:
    """Match one document's findings with its labels."""
    mine = [span for span in found if span.data_class in scored]
    pairs = sorted(
        (
            (iou(m, s), i, j)
            for i, m in enumerate(mine)
            for j, s in enumerate(document.spans)
            if m.data_class == s.data_class
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    used_mine: set[int] = set()
    used: set[int] = set()
    for overlap, i, j in pairs:
        if overlap >= IOU and i not in used_mine and j not in used:
            used_mine.add(i)
            used.add(j)
    counted = Tally()
    for i, m in enumerate(mine):
        if i in used_mine:
            counted.hits[m.data_class] += 1
        elif not _excused(m, document.spans):
            counted.wrong[m.data_class] += 1
    for j, s in enumerate(document.spans):
        if j not in used and s.data_class in scored:
            counted.missed[s.data_class] += 1
    return counted


def iou(one: Span, other: Span) -> float:
    """Intersection over union of two spans."""
    both = min(one.end, other.end) - max(one.start, other.start)
    if both <= 0:
        return 0.0
    return both / (max(one.end, other.end) - min(one.start, other.start))


def _excused(span: Span, labels: Sequence[Span]) -> bool:
    return any(s.data_class == IGNORE and iou(span, s) > 0 for s in labels)


def interval(tallies: Sequence[Tally], data_class: str) -> tuple[float, float]:
    """95 % of F1 by bootstrap over documents, seed fixed."""
    dice = Dice(7)
    relevant = [
        (t.hits[data_class], t.wrong[data_class], t.missed[data_class]) for t in tallies
    ]
    relevant = [row for row in relevant if any(row)] or [(0, 0, 0)]
    scores = []
    for _ in range(RESAMPLES):
        rows = [dice.of(relevant) for _ in relevant]
        hits, wrong, missed = (sum(column) for column in zip(*rows, strict=True))
        scores.append(2 * hits / max(1, 2 * hits + wrong + missed))
    scores.sort()
    return scores[RESAMPLES // 40], scores[-RESAMPLES // 40 - 1]
