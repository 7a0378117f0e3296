"""Names of people by a linear model: a gate, a gazetteer, and what stands around.

Only capitalised words, and lower-case ones that the gazetteer knows beside another,
are looked at. What is seen of a word, and what that weighs, is in ``weights.py``.
"""

# ruff: noqa: SIM905, RUF001 - lists of words

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import Final

from pipeline.detection.rules import Candidate, Term
from pipeline.detection.weights import Tables, Words, code_of, joined, lower_case
from schemas.policies import DataClass

MAX_CANDIDATES: Final = 2_000
"""Words scored in 64 KB; the gate lets one word in ten of usual prose through."""
_TOKEN: Final = re.compile(r"([^\W\d_]+(?:['’][^\W\d_]+)*)")
PARTICLES: Final = frozenset(
    "de da do dos das di del della van von der den ter la le el al bin ibn bint zu af "
    "av y e san mc mac".split()
)
_CUES: Final = frozenset(
    "is mr mrs ms dr name dear hi hello with from to by met called".split()
)
_LOWER: Final = 3
"""The last code of a word in small letters; 0: one that no list holds."""
_TOP: Final = 6.0
UNREAD: Final = 1.0
NEAR: Final = -0.4
"""Log-odds from which a word is joined to a name."""
ALONE: Final = 0.6
"""What a word that stands alone must have more."""


@dataclass(frozen=True, slots=True)
class People:
    """What is known about names.

    Attributes:
        lists: names, lower case, without common words: 1 given, 2 family, 3 both.
        tables: what each thing that is seen of a word weighs.
    """

    lists: Mapping[str, int] = field(repr=False)
    tables: Tables = field(repr=False)


def listed(first: frozenset[str], last: frozenset[str]) -> Mapping[str, int]:
    """Given names and family names as one list."""
    found = dict.fromkeys(first, 1) | dict.fromkeys(last, 2)
    return found | dict.fromkeys(first & last, 3)


def words(text: str, lists: Mapping[str, int]) -> Words:
    """The words of a text, with what the lists say of them."""
    parts = _TOKEN.split(text)
    at = [*accumulate(map(len, parts))]
    told = parts[1::2]
    lowers = [*map(str.lower, told)]
    return Words(
        starts=at[:-1:2],
        ends=at[1::2],
        gaps=parts[::2],
        joins=joined(parts[::2]),
        lowers=lowers,
        codes=[
            number if word[0].islower() else code_of(word, number)
            for word, number in zip(
                told, map(lists.get, lowers, repeat(0)), strict=True
            )
        ],
    )


def gated(found: Words, i: int) -> bool:
    """Whether a word may be of a name at all."""
    if not lower_case(found.codes[i]):
        return True
    if not found.listed(i) or found.ends[i] - found.starts[i] < 3:  # noqa: PLR2004 - too short to tell
        return False
    return (i > 0 and _leads(found, i - 1)) or (
        i + 1 < len(found.codes) and _leads(found, i + 1)
    )


def _leads(found: Words, i: int) -> bool:
    return found.listed(i) or found.lowers[i] in _CUES


def candidates(text: str, people: People) -> tuple[list[Candidate], bool]:
    """Names in characters of the text, and whether the cap was reached."""
    found = words(text, people.lists)
    scores: dict[int, float] = {}
    left = MAX_CANDIDATES * (1 + len(text) // 65_536)
    score = people.tables.score
    for i, code in enumerate(found.codes):
        if code > _LOWER or (code and gated(found, i)):
            left -= 1
            scores[i] = score(found, i) if left >= 0 else _unread(found, i)
    return list(_spans(found, scores)), left < 0


def weighed(text: str, people: People) -> Iterator[tuple[int, int, Sequence[Term]]]:
    """What each word weighs and why, for who asks; nothing: it may be of no name."""
    found = words(text, people.lists)
    for i in range(len(found.codes)):
        terms = people.tables.terms(found, i) if gated(found, i) else ()
        yield found.starts[i], found.ends[i], terms


def _unread(found: Words, i: int) -> float:
    """Beyond the cap every listed word counts as a name: more goes than must."""
    return UNREAD if found.listed(i) else -1.0


def _spans(found: Words, scores: Mapping[int, float]) -> Iterator[Candidate]:
    """Words of names that stand together, as one name."""
    done = -1
    for i, first in scores.items():
        if first <= NEAR or i <= done:
            continue
        done = i
        while (following := _next(found, done, scores)) is not None:
            done = following
        told = [scores[k] for k in range(i, done + 1) if k in scores]
        mean = max(-_TOP, min(_TOP, sum(told) / len(told)))
        sure = mean - ALONE if done == i else mean
        start, end = found.starts[i], found.ends[done]
        terms = (("words", mean), ("alone", sure - mean))
        yield Candidate(
            DataClass.PERSON, "name", "person.model", start, end, sure, terms=terms
        )


def _next(found: Words, i: int, scores: Mapping[int, float]) -> int | None:
    """The word that goes on with the name, past particles; None where it ends."""
    starts, ends = found.starts, found.ends
    for k in range(i + 1, min(i + 4, len(ends))):
        gap = found.gaps[k]
        dotted = gap in {". ", "."} and ends[k - 1] - starts[k - 1] <= 2  # noqa: PLR2004 - J.
        if gap not in {" ", "-", "\u00a0"} and not dotted:
            return None
        if scores.get(k, -1.0) > NEAR:
            return k
        if found.lowers[k] not in PARTICLES:
            return None
    return None
