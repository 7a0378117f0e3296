"""Why something was found, or was not: the evidence, and what became of it.

It looks as the engine does, and tells also what the engine drops.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection import numbers, people
from pipeline.detection.checks import digits
from pipeline.detection.normalise import Normal, normalise
from pipeline.detection.recipe import Recipe
from pipeline.detection.rules import NOWHERE, Candidate, Term, confidence
from pipeline.detection.scan import Scan
from pipeline.detection.spans import ASIDE, surest, why
from pipeline.detection.work import Work

STANDS: Final = "stands"


@dataclass(frozen=True, slots=True)
class Account:
    """One candidate, and what became of it; offsets are source characters.

    Law: ``terms`` add up to ``score``, unless nobody looked at it (``unchecked``).

    Attributes:
        words: of context that speak for it: our own words, as rules list them.
        fate: ``stands``, or why it does not.
    """

    rule: str
    data_class: str
    kind: str
    start: int
    end: int
    score: float
    confidence: float
    terms: Sequence[Term]
    words: Sequence[str]
    via: str
    fate: str


class Explained:
    """What the engine saw in a text.

    Raises:
        GuardFailed: a pattern set did not look.
    """

    def __init__(self, text: str, recipe: Recipe, regions: Sequence[str] = ()) -> None:
        self._normal = normalise(text)
        self._data = self._normal.text.encode()
        self._recipe = recipe
        self._scan = Scan(self._data, recipe, Work(len(self._data)), regions)
        self._hints = {**numbers.HINTS_OF, **{r.id: r.hints for r in recipe.rules}}

    def accounts(self) -> list[Account]:
        """All candidates by position, those that stand first."""
        scan = self._scan
        found = [
            *scan.candidates(),
            *scan.hidden(),
            *scan.names(self._normal.text),
        ]
        near = [each for each in found if each.score > NOWHERE]
        standing = surest(near, self._data)
        kept = set(map(id, standing))
        told = [self._told(each, STANDS) for each in standing]
        rest = [*found, *_unchosen(scan.readings(), found)]
        lost = [each for each in rest if id(each) not in kept]
        told += [self._told(each, self._fate(each, standing)) for each in lost]
        return sorted(told, key=lambda a: (a.start, a.fate != STANDS, -a.score))

    def silence(self, start: int, end: int) -> Iterator[str]:
        """Why nothing was found in a span of the source."""
        first, last = _reached(self._normal, start, end)
        piece = self._normal.text[first:last]
        number = digits(piece)
        if number:
            yield from _unnumbered(number)
        if self._recipe.people is not None:
            yield from self._unnamed(first, last, self._recipe.people)

    def _unnamed(self, first: int, last: int, known: people.People) -> Iterator[str]:
        for at, end, terms in people.weighed(self._normal.text, known):
            if first <= at and end <= last:
                word = self._normal.text[at:end]
                yield f"{word!r} as a word of a name: {summed(terms)}"

    def _told(self, each: Candidate, fate: str) -> Account:
        scale = self._recipe.calibration.get(each.data_class, (1.0, 0.0))
        hints = self._hints.get(each.rule, frozenset())
        spoken = any(n == "context" and weight > 0 for n, weight in each.terms)
        near = self._scan.around.words(each.start, each.end) if spoken else ()
        start, end = self._source(each)
        return Account(
            rule=each.rule,
            data_class=each.data_class.value,
            kind=each.kind,
            start=start,
            end=end,
            score=each.score,
            confidence=confidence(each.score, scale),
            terms=each.terms,
            words=sorted(hints.intersection(near)),
            via=each.via,
            fate=fate if each.checked else "beyond a cap: acted on unchecked",
        )

    def _source(self, each: Candidate) -> tuple[int, int]:
        start = len(self._data[: each.start].decode("utf-8", "ignore"))
        size = len(self._data[each.start : each.end].decode("utf-8", "ignore"))
        return self._normal.source(start, start + size)

    def _fate(self, each: Candidate, standing: Iterable[Candidate]) -> str:
        if each.score <= NOWHERE:
            return f"not even near: below {confidence(NOWHERE):.2f}"
        aside = each.data_class in ASIDE
        for other in standing:
            overlaps = other.start < each.end and each.start < other.end
            if overlaps and (other.data_class in ASIDE) is aside:
                start, end = self._source(other)
                return f"{other.rule} at {start}-{end} is {why(other, each)}"
        return "another reading of these digits is surer"


def _unchosen(
    readings: Iterable[Candidate], found: Sequence[Candidate]
) -> Iterator[Candidate]:
    """Readings of digits that were not the best of their stretch."""
    chosen = {(each.rule, each.start, each.end) for each in found}
    for each in readings:
        if (each.rule, each.start, each.end) not in chosen:
            yield each


def _reached(normal: Normal, start: int, end: int) -> tuple[int, int]:
    """The span of the normalised text that came from a span of the source."""
    if normal.offsets is None:
        return start, end
    inside = [i for i, at in enumerate(normal.offsets[:-1]) if start <= at < end]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _unnumbered(number: str) -> Iterator[str]:
    told = numbers.known(number)
    yield f"{len(number)} digits: {len(told)} kinds of number are so long"
    for passed, said in ((True, "passes"), (False, "fails"), (None, "there is no")):
        kinds = [rule for rule, each in told.items() if each is passed]
        if kinds:
            yield f"  {said} the check of {', '.join(kinds)}"


def summed(terms: Sequence[Term]) -> str:
    """Terms in words, and their sum."""
    if not terms:
        return "in small letters, and no list knows it or nothing beside it leads there"
    parts = ", ".join(f"{name} {weight:+.2f}" for name, weight in terms if weight)
    return f"{parts} = {sum(weight for _, weight in terms):+.2f}"
