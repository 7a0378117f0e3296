"""What a confidence means: log-odds of the engine against texts of our own making.

Each class has Platt's slope and offset, and the threshold of a cell that names none.
Two of three sentences hold something, one only looks like it (``training/cases.py``);
where that is otherwise, a confidence is off by as much.
"""

import json
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from infra import recipes
from pipeline.detection.engine import Finding, Recipe, inspect
from schemas.policies import DataClass
from training.cases import HOLDING, LIKE, SLOTS
from training.dice import Dice
from training.grammar import written
from training.values import MAKERS

SEED: Final = 61_803
EACH: Final = 600
"""Sentences of a class; half as many again only look like something."""
HALF: Final = 0.5
STEPS: Final = 12
PRIOR: Final = 50.0
"""Findings that pull slope and offset back to 1 and 0: where few are seen, little is
learned."""
SLOPES: Final = (0.2, 3.0)
"""A slope is positive: what scores higher is never less sure."""
_VALUE: Final = re.compile(r"<([A-Z0-9]+)>")
Scored = list[tuple[float, bool]]
Told = Sequence[tuple[float, bool]]
"""Confidences, and whether it was so."""
Spans = list[tuple[str, int, int]]


class Writer:
    """Sentences, and where in them something stands."""

    def __init__(self, first: Sequence[str], last: Sequence[str]) -> None:
        self._dice = Dice(SEED)
        self._first, self._last = first, last

    def texts(self) -> Iterator[tuple[str, Spans]]:
        """All sentences, class by class."""
        for data_class, frames in HOLDING.items():
            for number in range(EACH):
                yield self._written(self._dice.of(frames), data_class)
                if number % 2:
                    yield self._written(self._dice.of(LIKE), None)

    def _written(self, frame: str, data_class: DataClass | None) -> tuple[str, Spans]:
        text = written(frame, SLOTS, self._dice).replace("«", "\x01")
        text = _VALUE.sub(self._value, text.replace("»", "\x02"))
        told, spans, opened = "", Spans(), list[int]()
        for piece in re.split(r"([\x01\x02])", text):
            if piece == "\x01":
                opened.append(len(told))
            elif piece == "\x02":
                start = opened.pop()
                if data_class is not None and not opened:
                    spans.append((data_class.value, start, len(told)))
            else:
                told += piece
        return told, spans

    def _value(self, found: re.Match[str]) -> str:
        kind = found[1]
        value = self._name() if kind == "PERSON" else MAKERS[kind](self._dice)
        return f"\x01{value}\x02"

    def _name(self) -> str:
        return f"{self._dice.of(self._first)} {self._dice.of(self._last)}".title()


def judged(
    texts: Iterable[tuple[str, Spans]], recipe: Recipe
) -> Mapping[DataClass, Scored]:
    """Log-odds of each finding, and whether it is one; by class."""
    scores: dict[DataClass, Scored] = defaultdict(list)
    for text, spans in texts:
        for each in inspect(text, recipe).findings:
            right = any(_same(each, span) for span in spans)
            scores[each.data_class].append((_odds(each.confidence), right))
    return scores


def _same(found: Finding, span: tuple[str, int, int]) -> bool:
    name, start, end = span
    both = min(found.end, end) - max(found.start, start)
    either = max(found.end, end) - min(found.start, start)
    return found.data_class == name and both / either >= HALF


def _odds(confidence: float) -> float:
    return math.log(confidence / (1 - confidence))


def platt(scores: Scored) -> tuple[float, float]:
    """Slope and offset by Newton's method, held to 1 and 0 by ``PRIOR`` findings."""
    slope, offset = 1.0, 0.0
    for _ in range(STEPS):
        down_s, down_o = PRIOR * (slope - 1), PRIOR * offset
        ss, so, oo = PRIOR, 0.0, PRIOR
        for score, right in scores:
            sure = _sure(slope * score + offset)
            error, weight = sure - right, sure * (1 - sure)
            down_s, down_o = down_s + error * score, down_o + error
            ss, so, oo = ss + weight * score**2, so + weight * score, oo + weight
        whole = ss * oo - so * so
        slope -= (oo * down_s - so * down_o) / whole
        offset -= (ss * down_o - so * down_s) / whole
        slope = min(SLOPES[1], max(SLOPES[0], slope))
    return round(slope, 2), round(offset, 2)


def _sure(score: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def threshold(offset: float) -> float:
    """The confidence of even evidence, from which a finding is acted on.

    Rules were tuned so that it divides best; what sentences of our own would choose is
    worse on texts of others, since they are easier.
    """
    return math.floor(100 * _sure(offset)) / 100


def ece(told: Told, bins: int = 10) -> float:
    """Expected calibration error: how far confidences are from what is so."""
    found: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for sure, right in told:
        found[min(bins - 1, int(sure * bins))].append((sure, right))
    off = (
        abs(sum(s for s, _ in each) - sum(r for _, r in each))
        for _, each in sorted(found.items())
    )
    return round(sum(off) / max(1, len(told)), 4)


def fitted(seen: Mapping[DataClass, Scored]) -> dict[str, list[float]]:
    """Slope, offset and threshold of each class that was seen."""
    found = {}
    for data_class, scores in sorted(seen.items()):
        slope, offset = platt(scores)
        found[data_class.value] = [slope, offset, threshold(offset)]
    return found


def make() -> bytes:
    """The artefact: zlib over JSON; the same rules, model and cases, the same bytes."""
    recipe = recipes.uncalibrated()
    told = fitted(judged(writer(recipe).texts(), recipe))
    raw = json.dumps(told, separators=(",", ":"), sort_keys=True)
    return zlib.compress(raw.encode(), 9)


def writer(recipe: Recipe) -> Writer:
    """One who knows the lists of names that are shipped."""
    lists = recipe.people.lists if recipe.people else {}
    first = sorted(name for name, of in lists.items() if of & 1 and name.isalpha())
    last = sorted(name for name, of in lists.items() if of & 2 and name.isalpha())
    return Writer(first, last)
