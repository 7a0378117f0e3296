"""What a confidence means on each set: how far it is from the share that is right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from evaluation.documents import IGNORE, Document, Span
from evaluation.scoring import iou
from infra.recipes import uncalibrated
from pipeline.detection.engine import Recipe, inspect
from training.calibration import HALF, Told, ece

FEW: Final = 100
"""Of fewer findings of a class in a set nothing is said."""


def measured(
    sets: Mapping[str, Sequence[Document]], recipe: Recipe
) -> Mapping[str, Mapping[str, Any]]:
    """Expected calibration error by set and class: of bare log-odds, and as shipped.

    Every finding counts, however unsure; a class that a set does not label does not.
    """
    plain = uncalibrated()
    found: dict[str, dict[str, Any]] = {}
    for name, documents in sets.items():
        before, after = (_told(documents, each) for each in (plain, recipe))
        found[name] = {
            kind: {"findings": len(rows), "before": ece(before[kind]), "ece": ece(rows)}
            for kind, rows in sorted(after.items())
            if len(rows) >= FEW
        }
    return found


def _told(documents: Sequence[Document], recipe: Recipe) -> Mapping[str, Told]:
    labelled = {s.data_class for d in documents for s in d.spans} - {IGNORE}
    found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for document in documents:
        for each in inspect(document.text, recipe).findings:
            kind = each.data_class.value
            span = Span(kind, each.start, each.end)
            if kind in labelled and not _ignored(span, document):
                right = any(_same(span, s) for s in document.spans)
                found[kind].append((each.confidence, right))
    return found


def _same(mine: Span, label: Span) -> bool:
    return mine.data_class == label.data_class and iou(mine, label) >= HALF


def _ignored(mine: Span, document: Document) -> bool:
    return any(s.data_class == IGNORE and iou(mine, s) > 0 for s in document.spans)
