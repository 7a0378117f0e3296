"""The weights of the names model, laid out so that a word costs nine look-ups.

The model is trained on features that are strings, twenty a word (``features``). Most of
them tell of few things: the shape of a word and which lists hold it (one of twenty
codes), the same of its neighbours, and what stands between. So what several of them
weigh together is one cell of a table, added up when the recipe is loaded.

Law: ``Tables(weights).score(words, i)`` is what ``features(words, i)`` weigh.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection.rules import Term

SHAPES: Final = ("x", "I", "X", "Xx")
"""Lower case, an initial, upper case, capitalised."""
LISTS: Final = ("", "F", "L", "FL")
_CODES: Final = tuple((shape, lists) for shape in SHAPES for lists in LISTS)
NOBODY: Final = len(_CODES)
"""The code of a neighbour that is not there."""
_SIDES: Final = NOBODY + 1
_LONGEST: Final = 12


def code_of(word: str, lists: int) -> int:
    """A word's shape, and the number of its lists in ``LISTS``, as one number."""
    if word[0].islower():
        return lists
    if len(word) == 1:
        return 4 + lists
    return (8 if word.isupper() else 12) + lists


def lower_case(code: int) -> bool:
    """Does it begin with a small letter?"""
    return code < 4  # noqa: PLR2004 - the codes of the first shape


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, in order.

    Attributes:
        starts: where each begins; ``ends``: one past its last character.
        gaps: what stands before each, and after the last; ``joins``: each in a sign.
        codes: see :func:`code_of`.
    """

    starts: list[int]
    ends: list[int]
    gaps: list[str]
    joins: list[str]
    lowers: list[str]
    codes: list[int]

    def listed(self, i: int) -> bool:
        """Does a list hold it?"""
        return self.codes[i] % 4 != 0


def gap(between: str, *, edge: bool) -> str:
    """What stands between two words, or at an edge, told in one sign or a few."""
    if between == " " and not edge:
        return between
    if "\n" in between or (edge and not between.strip()):
        return "^"
    two = between.strip()[:2]
    return "".join("9" if c.isdigit() else c for c in two) or " "


def joined(gaps: list[str]) -> list[str]:
    """All gaps of a text, told so; each that occurs is looked at once."""
    seen = {each: gap(each, edge=False) for each in set(gaps)}
    told = [seen[each] for each in gaps]
    told[0], told[-1] = gap(gaps[0], edge=True), gap(gaps[-1], edge=True)
    return told


def _gaps(found: Words, i: int) -> tuple[str, str]:
    """What stands before and after a word."""
    return found.joins[i], found.joins[i + 1]


def features(found: Words, i: int) -> Iterator[str]:
    """What is seen of one word; strings of ours and words that stand beside it."""
    left, right = _gaps(found, i)
    shape, lists = _CODES[found.codes[i]]
    before = found.codes[i - 1] if i else NOBODY
    after = found.codes[i + 1] if i + 1 < len(found.codes) else NOBODY
    yield from _own(shape, lists)
    yield f"n={min(found.ends[i] - found.starts[i], _LONGEST) // 2}"
    yield f"x3={found.lowers[i][-3:]}"
    yield from _beside("lg", left, shape, lists)
    yield from _beside("rg", right, shape, lists)
    if i:
        yield f"w-1={found.lowers[i - 1]}"
        yield f"w-1g={found.lowers[i - 1]}{left}{shape}"
    yield from _neighbour("b", before, left, shape, lists)
    if i > 1:
        yield f"w-2={found.lowers[i - 2]}"
    if after != NOBODY:
        yield f"w+1={found.lowers[i + 1]}"
    yield from _neighbour("a", after, right, shape, lists)
    near = (
        before if left in _JOINS_LEFT else NOBODY,
        after if right in _JOINS_RIGHT else NOBODY,
    )
    yield _both(*near, shape, lists)


_JOINS_LEFT: Final = " -"
_JOINS_RIGHT: Final = " -."


def _own(shape: str, lists: str) -> Iterator[str]:
    yield "bias"
    yield f"s={shape}"
    yield f"l={lists}"
    yield f"sl={shape}{lists}"


def _beside(side: str, between: str, shape: str, lists: str) -> Iterator[str]:
    yield f"{side}={between}"
    yield f"{side}l={between}{lists}{shape}"


def _neighbour(
    side: str, code: int, between: str, shape: str, lists: str
) -> Iterator[str]:
    if code != NOBODY:
        other = "".join(_CODES[code])
        yield f"{side}={other}{between}"
        yield f"{side}l={other}{between}{shape}{lists}"


def _both(before: int, after: int, shape: str, lists: str) -> str:
    sides = ("".join(_CODES[c]) if c != NOBODY else "0" for c in (before, after))
    return f"both={'|'.join(sides)}|{shape}{lists}"


class Tables:
    """Weights by what is looked up."""

    def __init__(self, given: Mapping[str, float]) -> None:
        """``weights``: of features, in hundredths; one that is not there is 0."""
        weights = {name: round(100 * weight) for name, weight in given.items()}
        gaps = sorted(_known_gaps(weights))
        self._gaps = {each: k for k, each in enumerate(gaps, start=1)}
        told = ["\0", *gaps]
        self._own = [_sum(weights, _own(*code)) for code in _CODES]
        self._size = [weights.get(f"n={k}", 0) for k in range(_LONGEST // 2 + 1)]
        self._left = _around(weights, "lg", "b", told)
        self._right = _around(weights, "rg", "a", told)
        self._both = [
            weights.get(_both(before, after, *code), 0)
            for before in range(_SIDES)
            for after in range(_SIDES)
            for code in _CODES
        ]
        self._ending = _named(weights, "x3=")
        self._before = _named(weights, "w-1=")
        self._joined = _named(weights, "w-1g=")
        self._second = _named(weights, "w-2=")
        self._after = _named(weights, "w+1=")

    def score(self, found: Words, i: int) -> float:
        """Log-odds that a word is of a name."""
        codes, lowers = found.codes, found.lowers
        code, lower = codes[i], lowers[i]
        left, right = found.joins[i], found.joins[i + 1]
        before = codes[i - 1] if i else NOBODY
        after = codes[i + 1] if i + 1 < len(codes) else NOBODY
        count, stride = len(self._gaps) + 1, len(_CODES)
        at_left, at_right = self._gaps.get(left, 0), self._gaps.get(right, 0)
        near_left = before if left in _JOINS_LEFT else NOBODY
        near_right = after if right in _JOINS_RIGHT else NOBODY
        total = (
            self._own[code]
            + self._size[min(found.ends[i] - found.starts[i], _LONGEST) // 2]
            + self._ending.get(lower[-3:], 0)
            + self._left[(before * count + at_left) * stride + code]
            + self._right[(after * count + at_right) * stride + code]
            + self._both[(near_left * _SIDES + near_right) * stride + code]
        )
        if i:
            word = lowers[i - 1]
            joined = word + left + _CODES[code][0]
            total += self._before.get(word, 0) + self._joined.get(joined, 0)
        if i > 1:
            total += self._second.get(lowers[i - 2], 0)
        if after != NOBODY:
            total += self._after.get(lowers[i + 1], 0)
        return total / 100

    def terms(self, found: Words, i: int) -> Sequence[Term]:
        """What ``score`` adds up, by what it is of."""
        codes, lowers = found.codes, found.lowers
        code = codes[i]
        left, right = found.joins[i], found.joins[i + 1]
        before = codes[i - 1] if i else NOBODY
        after = codes[i + 1] if i + 1 < len(codes) else NOBODY
        near = (
            before if left in _JOINS_LEFT else NOBODY,
            after if right in _JOINS_RIGHT else NOBODY,
        )
        word, joined = lowers[i - 1], lowers[i - 1] + left + _CODES[code][0]
        said = self._before.get(word, 0) + self._joined.get(joined, 0) if i else 0
        said += self._second.get(lowers[i - 2], 0) if i > 1 else 0
        said += self._after.get(lowers[i + 1], 0) if after != NOBODY else 0
        size = min(found.ends[i] - found.starts[i], _LONGEST) // 2
        told = (
            ("shape and lists", self._own[code]),
            ("length", self._size[size]),
            ("ending", self._ending.get(lowers[i][-3:], 0)),
            ("what stands before", self._left[self._place(before, left, code)]),
            ("what stands after", self._right[self._place(after, right, code)]),
            ("names beside", self._both[self._sides(*near, code)]),
            ("words beside", said),
        )
        return tuple((name, weight / 100) for name, weight in told)

    def _place(self, side: int, between: str, code: int) -> int:
        at = self._gaps.get(between, 0)
        return (side * (len(self._gaps) + 1) + at) * len(_CODES) + code

    @staticmethod
    def _sides(before: int, after: int, code: int) -> int:
        return (before * _SIDES + after) * len(_CODES) + code


def _sum(weights: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(weights.get(name, 0) for name in names)


def _around(
    weights: Mapping[str, int], gap_kind: str, kind: str, gaps: Sequence[str]
) -> list[int]:
    """What a gap weighs together with who stands beyond it: by side, gap and code.

    Most pairs of them have no weight with any code, and are asked for none.
    """
    texts = ["".join(code) for code in _CODES]
    known = {
        name.removesuffix(text)
        for name in weights
        if name.startswith(f"{kind}l=")
        for text in texts
        if name.endswith(text)
    }
    alone = [[_sum(weights, _beside(gap_kind, g, *c)) for c in _CODES] for g in gaps]
    cells: list[int] = []
    for side in range(_SIDES):
        for between, each in zip(gaps, alone, strict=True):
            if side == NOBODY:
                cells += each
                continue
            beyond = texts[side] + between
            both = weights.get(f"{kind}={beyond}", 0)
            row = [weight + both for weight in each] if both else each
            if (name := f"{kind}l={beyond}") in known:
                pairs = zip(row, texts, strict=True)
                row = [weight + weights.get(name + text, 0) for weight, text in pairs]
            cells += row
    return cells


def _named(weights: Mapping[str, int], kind: str) -> dict[str, int]:
    size = len(kind)
    return {n[size:]: weight for n, weight in weights.items() if n.startswith(kind)}


def _known_gaps(weights: Iterable[str]) -> set[str]:
    """Every gap that a feature may tell of; some that none does cost nothing."""
    found: set[str] = set()
    for name in weights:
        kind, _, rest = name.partition("=")
        if kind in {"lg", "rg"}:
            found.add(rest)
        elif kind in {"lgl", "rgl", "b", "a", "bl", "al"}:
            found.update(rest[at : at + n] for at in range(len(rest)) for n in (1, 2))
    return found
