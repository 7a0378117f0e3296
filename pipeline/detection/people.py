"""Names of people by a linear model: a gate, a gazetteer, and what stands around.

Only capitalised words, and lower-case ones that the gazetteer knows beside another,
are looked at. Features are strings, the model their weights: log-odds by token.
"""

# ruff: noqa: SIM905, RUF001 - lists of words

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection.rules import Candidate
from schemas.policies import DataClass

MAX_CANDIDATES: Final = 2_000
"""Words scored in 64 KB; the gate lets one word in ten of usual prose through."""
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
PARTICLES: Final = frozenset(
    "de da do dos das di del della van von der den ter la le el al bin ibn bint zu af "
    "av y e san mc mac".split()
)
_TOP: Final = 6.0
UNREAD: Final = 1.0


@dataclass(frozen=True, slots=True)
class People:
    """What is known about names.

    Attributes:
        first: given names, lower case, without common words; ``last``: family names.
        weights: of each feature.
    """

    first: frozenset[str]
    last: frozenset[str]
    weights: Mapping[str, float]

    def listed(self, word: str) -> str:
        """Which lists hold a word: ``F``, ``L``, ``FL`` or nothing."""
        return ("F" if word in self.first else "") + ("L" if word in self.last else "")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text."""

    start: int
    end: int
    text: str
    lower: str
    listed: str

    @property
    def shape(self) -> str:
        """Capitalised, upper or lower case, or an initial."""
        if self.text[0].islower():
            return "x"
        if len(self.text) == 1:
            return "I"
        return "X" if self.text.isupper() else "Xx"


def tokens(text: str, people: People) -> list[Token]:
    """The words of a text, with what the lists say of them."""
    return [
        Token(m.start(), m.end(), m[0], m[0].lower(), people.listed(m[0].lower()))
        for m in _TOKEN.finditer(text)
    ]


def gated(found: Sequence[Token], i: int) -> bool:
    """Whether a word may be of a name at all."""
    token = found[i]
    if not token.text[0].islower():
        return True
    if not token.listed or len(token.text) < 3:  # noqa: PLR2004 - too short to tell
        return False
    beside = (*found[max(0, i - 1) : i], *found[i + 1 : i + 2])
    return any(each.listed or each.lower in _CUES for each in beside)


_CUES: Final = frozenset(
    "is mr mrs ms dr name dear hi hello with from to by met called".split()
)


def features(text: str, found: Sequence[Token], i: int) -> Iterator[str]:
    """What is seen of one word; strings of ours and words that stand beside it."""
    here = found[i]
    before = found[i - 1] if i else None
    after = found[i + 1] if i + 1 < len(found) else None
    left = _gap(text, before.end if before else 0, here.start, first=before is None)
    right = _gap(
        text, here.end, after.start if after else len(text), first=after is None
    )
    near_left = before if before and left in " -" else None
    near_right = after if after and right in " -." else None
    shape, listed = here.shape, here.listed
    yield "bias"
    yield f"s={shape}"
    yield f"l={listed}"
    yield f"sl={shape}{listed}"
    yield f"n={min(len(here.text), 12) // 2}"
    yield f"x3={here.lower[-3:]}"
    yield f"lg={left}"
    yield f"rg={right}"
    yield f"lgl={left}{listed}{shape}"
    yield f"rgl={right}{listed}{shape}"
    if before:
        yield f"w-1={before.lower}"
        yield f"w-1g={before.lower}{left}{shape}"
        yield f"b={before.shape}{before.listed}{left}"
        yield f"bl={before.shape}{before.listed}{left}{shape}{listed}"
    if i > 1:
        yield f"w-2={found[i - 2].lower}"
    if after:
        yield f"w+1={after.lower}"
        yield f"a={after.shape}{after.listed}{right}"
        yield f"al={after.shape}{after.listed}{right}{shape}{listed}"
    both = f"{near_left.shape + near_left.listed if near_left else '0'}"
    both += f"|{near_right.shape + near_right.listed if near_right else '0'}"
    yield f"both={both}|{shape}{listed}"


def _gap(text: str, start: int, end: int, *, first: bool) -> str:
    """What stands between two words, told in one sign or a few."""
    between = text[start:end]
    if "\n" in between or (first and not between.strip()):
        return "^"
    squeezed = "".join("9" if c.isdigit() else c for c in between.strip())[:2]
    return squeezed or " "


def score(
    text: str, found: Sequence[Token], i: int, weights: Mapping[str, float]
) -> float:
    """Log-odds that a word is of a name."""
    return sum(weights.get(feature, 0.0) for feature in features(text, found, i))


def candidates(text: str, people: People) -> tuple[list[Candidate], bool]:
    """Names in characters of the text, and whether the cap was reached."""
    found = tokens(text, people)
    scores: dict[int, float] = {}
    cap = MAX_CANDIDATES * (1 + len(text) // 65_536)
    read = 0
    for i in range(len(found)):
        if gated(found, i):
            read += 1
            scores[i] = (
                score(text, found, i, people.weights)
                if read <= cap
                else _unread(found[i])
            )
    return list(_spans(text, found, scores)), read > cap


def _unread(token: Token) -> float:
    """Beyond the cap every listed word counts as a name: more goes than must."""
    return UNREAD if token.listed else -1.0


def _spans(
    text: str, found: Sequence[Token], scores: Mapping[int, float]
) -> Iterator[Candidate]:
    """Words of names that stand together, as one name."""
    i = 0
    while i < len(found):
        if scores.get(i, -1.0) <= NEAR:
            i += 1
            continue
        last = i
        while (following := _next(text, found, last, scores)) is not None:
            last = following
        told = [scores[k] for k in range(i, last + 1) if k in scores]
        sure = max(-_TOP, min(_TOP, sum(told) / len(told)))
        if last == i:
            sure -= ALONE
        start, end = found[i].start, found[last].end
        yield Candidate(DataClass.PERSON, "name", "person.model", start, end, sure)
        i = last + 1


NEAR: Final = -0.4
"""Log-odds from which a word is joined to a name."""


ALONE: Final = 0.6
"""What a word that stands alone must have more."""


def _next(
    text: str, found: Sequence[Token], i: int, scores: Mapping[int, float]
) -> int | None:
    """The word that goes on with the name, past particles; None where it ends."""
    for k in range(i + 1, min(i + 4, len(found))):
        gap = text[found[k - 1].end : found[k].start]
        dotted = gap in {". ", "."} and len(found[k - 1].text) <= 2  # noqa: PLR2004 - J.
        if gap not in {" ", "-", "\u00a0"} and not dotted:
            return None
        if scores.get(k, -1.0) > NEAR:
            return k
        if found[k].lower not in PARTICLES:
            return None
    return None
