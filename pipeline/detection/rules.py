"""What a rule is, and how its evidence adds up: in log-odds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.detection.checks import Check
from schemas.policies import DataClass

HINT: Final = 3.0
"""A word of context stands near."""
NEGATIVE: Final = -2.5
"""What stands before says that it is something else."""
FAILED: Final = math.log(0.03 / 0.90)
"""A failed check: three in a hundred are mistyped."""
UNCHECKED: Final = 0.1
"""Log-odds of a match beyond the cap."""
NOWHERE: Final = -2.2
"""Log-odds of one in ten: not even near."""
STURDY: Final = 2.5
"""Rules of this base heed no word that says "version" or "order"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way of finding something.

    Attributes:
        id: as operators see it.
        kind: within the class, e.g. ``us.ssn``.
        pattern: RE2 over UTF-8; its group ``v``, where it has one, is what is found.
        base: log-odds of a match alone.
        check: of the text found; None: there is none.
        accepts: how often the check accepts what is no such thing; its log is evidence.
        hints: words of context.
        linked: words that are context wherever they stand in the sentence.
        joined: letters or digits may stand right beside it.
        fits: how many characters of a match are the value; None: all of them.
        wide: a match may begin with a sign or a letter beyond ASCII.
    """

    id: str
    data_class: DataClass
    pattern: str
    base: float
    kind: str = ""
    check: Check | None = None
    accepts: float = 1.0
    hints: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()
    joined: bool = False
    wide: bool = False
    fits: Callable[[str], int] | None = None

    @property
    def located(self) -> str:
        """The pattern as it is looked for: never from the middle of a word.

        Without this, each letter of a long run could begin a match, and the states of
        a Set were without number.
        """
        if self.joined or "(?P<v>" in self.pattern:
            return self.pattern
        flags, pattern = _flags(self.pattern)
        if self.wide:
            return rf"{flags}(?:^|[^0-9A-Za-z_])(?P<v>{pattern})"
        return rf"{flags}\b(?:{pattern})"


def _flags(pattern: str) -> tuple[str, str]:
    insensitive = "(?i)"
    if pattern.startswith(insensitive):
        return insensitive, pattern.removeprefix(insensitive)
    return "", pattern


Term = tuple[str, float]
"""One piece of evidence, as ``sluice detect --explain`` names it, in log-odds."""


class Candidate(NamedTuple):
    """A possible finding, in bytes of the normalised text.

    Attributes:
        score: the sum of ``terms``, where these are told.
        via: how it was encoded; empty where it was not.
        checked: False: it lies beyond a cap and is acted on as it is.
    """

    data_class: DataClass
    kind: str
    rule: str
    start: int
    end: int
    score: float
    via: str = ""
    checked: bool = True
    terms: tuple[Term, ...] = ()


def unchecked(rule: Rule, start: int, end: int) -> Candidate:
    """A match that nobody looked at."""
    return Candidate(
        rule.data_class, rule.kind, rule.id, start, end, UNCHECKED, checked=False
    )


def evidence(*, passed: bool | None, accepts: float) -> float:
    """What a check adds: ``ln(1 / false accepts)``, or the failure's weight."""
    if passed is None:
        return 0.0
    return -math.log(accepts) if passed else FAILED


def hinted(text: str) -> frozenset[str]:
    """Words of context, as written in a rule."""
    return frozenset(text.split())


def confidence(score: float, calibration: tuple[float, float] = (1.0, 0.0)) -> float:
    """The probability of log-odds, after Platt's scaling."""
    slope, offset = calibration
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, slope * score + offset))))
