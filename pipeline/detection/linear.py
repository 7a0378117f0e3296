"""A linear model of sentences: words and pairs of words, as log-odds.

What it knows is a dictionary of readable features. A feature that it never saw weighs
nothing, so text in a script that it was not trained on is no attack.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pipeline.detection.rules import confidence

STEM: Final = 5
"""Characters of a word that its stem keeps: ``ignore`` and ``ignoring`` are one."""
LONGEST: Final = 40
"""Words of one sentence; a longer one is read in pieces."""
SHORT: Final = 4
"""Added to the number of features: two words alone do not decide."""
LENGTH: Final = 0.7
"""Share of the logarithm of the number of sentences that is taken off the total."""
NOTHING: Final = -9.0
"""Log-odds of a text without a sentence."""
_SIGNS: Final = '?!:;.\n"<>[]{}|#@=/'
_RUN: Final = re.compile(rf"\w++(?:['.@/:-]++\w++)*|[{re.escape(_SIGNS)}]")
"""Words and what joins them share no character: no text is read twice."""
_PIECE: Final = re.compile(
    r"[a-z]+(?:'[a-z]+)?|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+|\d+|"
    r"[?!:;.@=/]"
)
_ADDRESS: Final = re.compile(
    r"https?:|www\.|\w+[^@]*@\w|.*\.(?:com|net|org|io|co|de|fr|uk|eu|info|biz|xyz|dev|"
    r"app|test|example|invalid)(?:/|$)"
)
_NUMBER: Final = re.compile(r"\d[\d.,:/-]*$")
_LONG: Final = 400
"""Characters of a run beyond which nobody wrote an address or a word."""
_ENDS: Final = frozenset("?!.\n;")
_OPEN: Final = "^"


@dataclass(frozen=True, slots=True)
class Linear:
    """One trained model.

    Attributes:
        name: with its version, as decisions tell it.
        weights: of each feature.
        bias: of a sentence with none.
        bands: for each band of lengths, ``(sentences up to, threshold in log-odds)``;
            longer texts have more sentences, so more of them are high by chance.
        calibration: Platt's slope and offset, from log-odds to a confidence.
    """

    name: str
    weights: Mapping[str, float]
    bias: float
    bands: Sequence[tuple[int, float]]
    calibration: tuple[float, float]

    def threshold(self, size: int) -> float:
        """The log-odds from which a text of so many sentences is a hit."""
        return next(
            (least for most, least in self.bands if size <= most), self.bands[-1][1]
        )


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model says of a text.

    Attributes:
        score: log-odds, before calibration.
        confidence: the probability, where half of all texts are attacks.
        sure: the score reaches the model's own threshold for a text of this length.
    """

    score: float
    confidence: float
    sure: bool


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence; signs that end one belong to it.

    Time is linear in the text; nothing is left out.
    """
    found: list[list[str]] = []
    now: list[str] = []
    for word in _tokens(text.lower()):
        if word != "\n":
            now.append(word)
        if word in _ENDS or len(now) >= LONGEST:
            found.append(now)
            now = []
    found.append(now)
    return [each for each in found if len(each) > 1 and _says(each)]


def _says(words: Sequence[str]) -> bool:
    """Whether two of them are more than a sign or a letter."""
    return len([1 for w in words if len(w) > 1 or w > "~"]) > 1


def _tokens(text: str) -> Iterator[str]:
    for run in _RUN.findall(text):
        if (run.isalpha() and run.isascii()) or run in _SIGNS:
            yield run
        elif len(run) > _LONG:
            yield from _PIECE.findall(run)
        else:
            yield from _pieces(run)


def _pieces(run: str) -> Sequence[str]:
    """A number is ``0``, an address ``@``; the rest is taken apart."""
    if _NUMBER.match(run):
        return ("0",)
    if _ADDRESS.match(run):
        return ("@",)
    return ["0" if each[0].isdigit() else each for each in _PIECE.findall(run)] or (
        run,
    )


def features(words: Sequence[str]) -> set[str]:
    """What is seen of one sentence."""
    stems = [_OPEN, *[word[:STEM] for word in words]]
    pairs = map(" ".join, pairwise(stems))
    apart = map(" _ ".join, zip(stems, stems[2:], strict=False))
    return {*words, *pairs, *apart}


def score(words: Sequence[str], model: Linear) -> float:
    """Log-odds that one sentence is what the model looks for."""
    seen = features(words)
    # An exact sum: in which order a set is read differs from process to process.
    found = math.fsum(filter(None, map(model.weights.get, seen)))
    return model.bias + found / math.sqrt(len(seen) + SHORT)


def reasons(text: str, model: Linear, most: int = 6) -> list[tuple[str, float]]:
    """What weighs most in the sentence of a text that scores highest."""
    told = sentences(text)
    if not told:
        return []
    seen = features(max(told, key=lambda words: score(words, model)))
    scale = math.sqrt(len(seen) + SHORT)
    found = [(each, model.weights.get(each, 0.0) / scale) for each in sorted(seen)]
    return sorted(found, key=lambda each: -abs(each[1]))[:most]


def total(scores: Sequence[float]) -> float:
    """The evidence of all sentences, less what length alone would bring."""
    top = max(scores)
    odds = sum(math.exp(each - top) for each in scores)
    return top + math.log(odds) - LENGTH * math.log(len(scores))


def opinion(text: str, model: Linear, *, together: bool) -> Opinion:
    """What a model says of a text.

    Attributes:
        together: all sentences count; otherwise the highest alone.
    """
    scores = [score(words, model) for words in sentences(text)] or [NOTHING]
    found = total(scores) if together else max(scores)
    sure = found >= model.threshold(len(scores))
    return Opinion(found, confidence(found, model.calibration), sure)
