"""One pass over one text: what it may hold, scored, with overlaps."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from pipeline.detection import people as people_of
from pipeline.detection.context import Around
from pipeline.detection.decode import decoded
from pipeline.detection.numbers import Reader, unread
from pipeline.detection.phones import Phones
from pipeline.detection.recipe import Recipe
from pipeline.detection.rules import (
    HINT,
    NEGATIVE,
    STURDY,
    Candidate,
    Rule,
    Term,
    evidence,
    unchecked,
)
from pipeline.detection.sets import GuardFailed
from pipeline.detection.spans import ASIDE, Taken
from pipeline.detection.work import LIMIT, Work
from pipeline.policies import guard_of
from schemas.policies import DataClass, Guard

SURE: Final = 3.0
"""Log-odds from which digits inside a finding are not read on their own."""
WHOLE: Final = frozenset({DataClass.EMAIL, DataClass.NETWORK, DataClass.CRYPTO})
"""Classes whose digits mean nothing alone; those of an IBAN neither."""

OF_WORDS: Final = frozenset({DataClass.ADDRESS, DataClass.PERSON})
"""Classes of several words, of which the last may be another thing's."""
_LAST_WORD: Final = re.compile(rb"(?<=\S)[\s,]+[^\s,]+\Z")
_WORDY: Final = frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
)


class Scan:
    """One pass over one text.

    An exception in a check is its guard's failure and nobody else's: what was being
    looked at is told unchecked, and the pass goes on.

    Attributes:
        around: the words beside each place.
        failed: guards that could not look at something.
    """

    def __init__(
        self,
        data: bytes,
        recipe: Recipe,
        work: Work,
        regions: Sequence[str] = (),
        acting: Mapping[DataClass, float] | None = None,
    ) -> None:
        self._data = data
        self._recipe = recipe
        self._work = work
        self._regions = regions
        self._acting = acting
        self.around = Around(data)
        self.failed: set[Guard] = set()

    def candidates(self) -> list[Candidate]:
        """What patterns and digits say."""
        found: list[Candidate] = []
        hits = self._recipe.data.hits(self._data)
        digits = bool(hits) and hits[-1] == len(self._recipe.rules)
        for index in hits[:-1] if digits else hits:
            found += self._matches(index)
            self._work.look()
        if b"-----BEGIN" in self._data:
            found += self._pem()
        return [*found, *self._numbers(found)] if digits else found

    def _matches(self, index: int) -> Iterator[Candidate]:
        """Matches of one rule; beyond all caps, one stands for all that follow."""
        rule = self._recipe.rules[index]
        for start, end in self._recipe.data.spans(index, self._data):
            if rule.fits is not None:
                end = start + rule.fits(self._data[start:end].decode())  # noqa: PLW2901 - cut
            if rule.data_class in OF_WORDS:
                end = self._whole_words(start, end)  # noqa: PLW2901 - cut
            if start == end or not (rule.joined or self._alone(start, end)):
                continue
            if self._work.spend():
                yield self._weighed(rule, start, end)
            elif self._work.tell():
                yield unchecked(rule, start, end)
            else:
                yield unchecked(rule, start, len(self._data))
                return

    def _weighed(self, rule: Rule, start: int, end: int) -> Candidate:
        try:
            terms = self._terms(rule, start, end)
        except Exception:  # noqa: BLE001 - a check may be wrong about any input
            self.failed.add(guard_of(rule.data_class))
            return unchecked(rule, start, end)
        score = sum([weight for _, weight in terms])
        return Candidate(
            rule.data_class,
            rule.kind,
            rule.id,
            start,
            end,
            score,
            terms=tuple(terms),
        )

    def _terms(self, rule: Rule, start: int, end: int) -> list[Term]:
        terms = [("pattern", rule.base)]
        if rule.check is not None:
            value = self._data[start:end].decode("utf-8", "replace")
            passed = rule.check(value)
            terms.append(("check", evidence(passed=passed, accepts=rule.accepts)))
        if rule.hints and self._spoken(rule, start, end):
            terms.append(("context", HINT))
        elif rule.base < STURDY and self.around.negative(start):
            terms.append(("negative", NEGATIVE))
        return terms

    def _spoken(self, rule: Rule, start: int, end: int) -> bool:
        """Whether words near it, or for some rules in its sentence, speak for it."""
        if not rule.hints.isdisjoint(self.around.words(start, end)):
            return True
        linked = rule.linked
        return bool(linked) and not linked.isdisjoint(self.around.sentence(start, end))

    def _whole_words(self, start: int, end: int) -> int:
        """The end, before a word that goes on behind it: only its letters were taken.

        Where it has no other word it stays as it is.
        """
        data = self._data
        if end == len(data) or data[end] not in _WORDY or data[end - 1] not in _WORDY:
            return end
        before = _LAST_WORD.search(data, start, end)
        return before.start() if before else end

    def _alone(self, start: int, end: int) -> bool:
        """No letter or digit goes on at either end."""
        data = self._data
        if start and data[start - 1] in _WORDY and data[start] in _WORDY:
            return False
        return end == len(data) or not (data[end] in _WORDY and data[end - 1] in _WORDY)

    def _numbers(self, found: Sequence[Candidate]) -> Iterator[Candidate]:
        """What digits say, but where something sure has them already."""
        reader = self._reader()
        inside = _Inside(found)
        for start, end in inside.beside(reader.runs()):
            try:
                yield from reader.candidates(start, end)
            except GuardFailed:
                raise
            except Exception:  # noqa: BLE001 - as with every check
                self.failed.add(Guard.PII)
                yield unread(start, end)

    def _reader(self) -> Reader:
        phones = Phones(self._data, self._regions)
        return Reader(self._data, self.around, self._work, phones)

    def readings(self) -> Iterator[Candidate]:
        """All that digits may be, for who asks why; a check that breaks is silent."""
        reader = self._reader()
        for start, end in reader.runs():
            with suppress(Exception):
                yield from reader.every(start, end)

    def _pem(self) -> Iterator[Candidate]:
        """Private keys: from BEGIN to END, an open one to the end of the text."""
        begin, end = self._recipe.pem
        at = 0
        while (opening := begin.search(self._data, at)) is not None:
            closing = end.search(self._data, opening.end())
            at = closing.end() if closing else len(self._data)
            yield Candidate(
                DataClass.SECRET,
                "private_key",
                "secret.pem",
                opening.start(),
                at,
                9.0,
                terms=(("pattern", 9.0),),
            )

    def names(self, text: str) -> list[Candidate]:
        """Names by the model, counted in bytes."""
        if self._recipe.people is None:
            return []
        try:
            found, capped = people_of.candidates(text, self._recipe.people)
        except Exception:  # noqa: BLE001 - as with every check
            self.failed.add(Guard.NAMES)
            return []
        if capped:
            self._work.signals.add(LIMIT)
        if self._work.late():
            self.failed.add(Guard.NAMES)
        return list(_in_bytes(found, text, plain=len(text) == len(self._data)))

    def hidden(self) -> list[Candidate]:
        """What encoded runs hold: a hit stands for the whole run."""
        said = decoded(self._data)
        if not said.runs:
            return []
        inner = Scan(said.data, self._recipe, self._work, self._regions, self._acting)
        best: dict[tuple[int, int], Candidate] = {}
        for each in inner.candidates():
            if each.score <= 0 or each.data_class in ASIDE:
                continue
            for run in said.reached(each.start, each.end):
                known = best.get((run.start, run.end))
                if known is None or self._graver(each, known):
                    best[run.start, run.end] = each._replace(
                        start=run.start, end=run.end, via=run.via
                    )
        self.failed |= inner.failed
        return list(best.values())

    def acts(self, each: Candidate) -> bool:
        """Whether something is done with it; nobody said: with everything."""
        if self._acting is None:
            return True
        least = self._acting.get(each.data_class)
        if least is None:
            return False
        return not each.checked or self._recipe.sure(each) >= least

    def _graver(self, one: Candidate, other: Candidate) -> bool:
        return (self.acts(one), one.score) > (self.acts(other), other.score)


def _in_bytes(
    found: Iterable[Candidate], text: str, *, plain: bool
) -> Iterator[Candidate]:
    """Candidates in characters, in order, counted in bytes."""
    at = counted = 0
    for each in found:
        if plain:
            yield each
            continue
        counted += len(text[at : each.start].encode())
        at = each.start
        size = len(text[each.start : each.end].encode())
        yield each._replace(start=counted, end=counted + size)


class _Inside:
    """What is sure, so that its digits are not read on their own."""

    def __init__(self, found: Iterable[Candidate]) -> None:
        self._taken = Taken()
        for start, end in sorted(
            (c.start, c.end)
            for c in found
            if c.score >= SURE and (c.data_class in WHOLE or c.kind == "iban")
        ):
            for piece in self._taken.free(start, end):
                self._taken.take(*piece)

    def beside(self, runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Runs, or what stands of them beside what is sure."""
        for start, end in runs:
            yield from self._taken.free(start, end)
