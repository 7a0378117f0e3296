"""The engine: what a text holds, where, and how sure that is.

A ``re2.Set`` answers which of all patterns hit, in one linear pass; only those are then
located, checked, and weighed in log-odds with the words around them. Everything is a
pure function of text and recipe; work is capped, never timed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import re2

from pipeline.detection import numbers
from pipeline.detection import people as people_of
from pipeline.detection.addresses import ADDRESSES
from pipeline.detection.context import Around
from pipeline.detection.decode import runs
from pipeline.detection.health import HEALTH
from pipeline.detection.linear import Linear
from pipeline.detection.names import CUES
from pipeline.detection.normalise import Normal, normalise
from pipeline.detection.patterns import STRUCTURED
from pipeline.detection.people import People
from pipeline.detection.rules import (
    HINT,
    NEGATIVE,
    Candidate,
    Rule,
    confidence,
    evidence,
)
from pipeline.detection.secrets import PEM_BEGIN, PEM_END, SECRETS
from pipeline.detection.sets import CHUNK, GuardFailed, PatternSet, options
from pipeline.detection.spans import surest
from pipeline.injection import PHRASES, Phrase
from pipeline.intents import INTENTS
from schemas.policies import DataClass

__all__ = ["Finding", "GuardFailed", "Inspection", "Recipe", "build", "inspect"]

MAX_PART_BYTES: Final = 1_048_576
MAX_MATCHES: Final = 2_000
"""Raw matches looked at in one chunk of 64 KB."""
MAX_FINDINGS: Final = 10_000
UNCHECKED: Final = 0.1
"""Log-odds of a match beyond the cap: acted on, and signalled."""
LIMIT: Final = "limit"
STURDY: Final = 2.5
"""Rules of this base heed no word that says "version" or "order"."""
_NUMBERS: Final = Rule(
    id="numbers", data_class=DataClass.GOV_ID, pattern=numbers.PATTERN, base=0.0
)
_DIGITS_FIRST: Final = r"[0-9][^0-9a-zA-Z]{0,3}(?:[0-9][^0-9a-zA-Z]{0,3}){6}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found; offsets are source characters. Never the value.

    Attributes:
        kind: within the class, e.g. ``us.ssn``.
        confidence: 0.8 means four in five.
        via: ``plain``, ``normalised``, or how it was encoded.
    """

    data_class: DataClass
    kind: str
    rule: str
    start: int
    end: int
    confidence: float
    via: str = "plain"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one text holds.

    Attributes:
        findings: without overlap but for passages that are only marked; by position.
        signals: what was undone or not looked at, e.g. ``disguise.homoglyph``.
    """

    findings: tuple[Finding, ...]
    signals: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """All that the engine knows: built once by a root, never changed.

    Attributes:
        people: the model of names; None: only cues find names.
        attacks: the model of what a user types; None: only phrases are looked for.
        orders: the model of orders in tool output and documents; None: likewise.
        artefacts: names and SHA-256 of what was loaded.
        calibration: Platt's slope and offset of a class; (1, 0) where none is told.
        id: SHA-256 over its inputs; every record of a decision names it.
    """

    rules: tuple[Rule, ...] = (
        *STRUCTURED,
        *SECRETS,
        *CUES,
        *ADDRESSES,
        *HEALTH,
    )
    phrases: tuple[Phrase, ...] = (*PHRASES, *INTENTS)
    calibration: Mapping[DataClass, tuple[float, float]] = field(default_factory=dict)
    people: People | None = field(default=None, repr=False)
    attacks: Linear | None = field(default=None, repr=False)
    orders: Linear | None = field(default=None, repr=False)
    artefacts: tuple[tuple[str, str], ...] = ()

    @cached_property
    def id(self) -> str:
        """64 hex digits."""
        inputs = [
            (r.id, r.pattern, r.base, sorted(r.hints), r.accepts) for r in self.rules
        ]
        words = [(p.id, p.pattern, p.channels) for p in self.phrases]
        scale = sorted(self.calibration.items())
        return sha256(repr((inputs, words, scale, self.artefacts)).encode()).hexdigest()

    @cached_property
    def data(self) -> PatternSet:
        """Structured data and secrets."""
        return PatternSet([rule.pattern for rule in (*self.rules, _FIRST)])

    @cached_property
    def words(self) -> PatternSet:
        """Phrases of attacks."""
        return PatternSet([phrase.pattern for phrase in self.phrases])

    @cached_property
    def pem(self) -> tuple[Any, Any]:
        """Where a private key begins and ends."""
        begin, end = PEM_BEGIN.encode(), PEM_END.encode()
        return re2.compile(begin, options()), re2.compile(end, options())

    @cached_property
    def digits(self) -> Any:
        """The longest runs of digits and what is set between them."""
        return re2.compile(numbers.PATTERN.encode(), options())


_FIRST: Final = Rule(
    id="numbers", data_class=DataClass.GOV_ID, pattern=_DIGITS_FIRST, base=0.0
)


def build() -> Recipe:
    """The recipe of what needs no model, with everything compiled.

    Raises:
        GuardFailed: its pattern sets do not work on this machine.
    """
    recipe = Recipe()
    recipe.data.hits(b"")
    recipe.words.hits(b"")
    return recipe


def inspect(text: str, recipe: Recipe) -> Inspection:
    """What a text holds.

    Law: findings do not depend on where the text is cut into chunks.

    Raises:
        GuardFailed: the text is too long, or a pattern set did not look.
    """
    normal = normalise(text)
    data = normal.text.encode()
    if len(data) > MAX_PART_BYTES:
        raise GuardFailed("a text is longer than the engine may look at")
    scan = _Scan(data, recipe)
    found = [*scan.candidates(), *_decoded(data, recipe), *scan.names(normal.text)]
    standing = surest(each for each in found if each.score > _NOWHERE)
    if len(standing) > MAX_FINDINGS:
        raise GuardFailed("a text holds more than the engine may find")
    signals = {*normal.signals, *scan.signals}
    return Inspection(
        tuple(_findings(normal, data, standing, recipe)), tuple(sorted(signals))
    )


_NOWHERE: Final = -2.2
"""Log-odds of one in ten: not even near."""


def _findings(
    normal: Normal, data: bytes, standing: Iterable[Candidate], recipe: Recipe
) -> Iterator[Finding]:
    """Candidates as findings; bytes are counted as characters once, in order."""
    at = counted = 0
    plain = len(data) == len(normal.text)
    for each in standing:
        if plain:
            start, end = each.start, each.end
        else:
            counted += len(data[at : each.start].decode("utf-8", "ignore"))
            at = each.start
            start = counted
            end = start + len(data[each.start : each.end].decode("utf-8", "ignore"))
        first, last = normal.source(start, end)
        rule, _, via = each.rule.partition("|")
        yield Finding(
            each.data_class,
            each.kind,
            rule,
            first,
            last,
            confidence(each.score, recipe.calibration.get(each.data_class, (1.0, 0.0))),
            via or ("normalised" if normal.signals else "plain"),
        )


def _decoded(data: bytes, recipe: Recipe) -> Iterator[Candidate]:
    """What encoded runs hold: a hit stands for the whole run."""
    for run in runs(data):
        inner = [
            each for each in _Scan(run.data, recipe).candidates() if each.score > 0
        ]
        inner = [each for each in inner if each.data_class not in _TOO_WEAK]
        if inner:
            best = max(inner, key=lambda each: each.score)
            rule = f"{best.rule}|{run.via}"
            yield Candidate(
                best.data_class, best.kind, rule, run.start, run.end, best.score
            )


_TOO_WEAK: Final = frozenset({DataClass.URL, DataClass.MINOR})


class _Scan:
    """One pass over one text."""

    def __init__(self, data: bytes, recipe: Recipe) -> None:
        self._data = data
        self._recipe = recipe
        self._around = Around(data)
        self._left = MAX_MATCHES * (1 + len(data) // CHUNK)
        self.signals: set[str] = set()

    def candidates(self) -> Iterator[Candidate]:
        """Everything that may be something, scored, with overlaps."""
        for index in self._recipe.data.hits(self._data):
            if index == len(self._recipe.rules):
                yield from self._numbers()
                continue
            rule = self._recipe.rules[index]
            group = self._recipe.data.groups[index]
            for match in self._recipe.data.compiled[index].finditer(self._data):
                yield from self._weighed(rule, *match.span(group))
        if b"-----BEGIN" in self._data:
            yield from self._pem()

    def _numbers(self) -> Iterator[Candidate]:
        for match in self._recipe.digits.finditer(self._data):
            start, end = match.span()
            if end - start < numbers.MIN_DIGITS:
                continue
            self._left -= 1
            if self._left < 0:
                self.signals.add(LIMIT)
                yield _unchecked(_NUMBERS, start, end)
                continue
            yield from numbers.candidates(self._data, start, end, self._around)

    def _weighed(self, rule: Rule, start: int, end: int) -> Iterator[Candidate]:
        self._left -= 1
        if self._left < 0:
            self.signals.add(LIMIT)
            yield _unchecked(rule, start, end)
            return
        if start == end or not (rule.joined or self._alone(start, end)):
            return
        yield Candidate(
            rule.data_class,
            rule.kind,
            rule.id,
            start,
            end,
            self._score(rule, start, end),
        )

    def _score(self, rule: Rule, start: int, end: int) -> float:
        score = rule.base
        if rule.check is not None:
            value = self._data[start:end].decode("utf-8", "replace")
            score += evidence(passed=rule.check(value), accepts=rule.accepts)
        if rule.hints and not rule.hints.isdisjoint(self._around.words(start, end)):
            score += HINT
        elif rule.base < STURDY and self._around.negative(start):
            score += NEGATIVE
        return score

    def _alone(self, start: int, end: int) -> bool:
        """No letter or digit goes on at either end."""
        data = self._data
        before, after = data[start - 1 : start], data[end : end + 1]
        first, last = data[start : start + 1], data[end - 1 : end]
        return not (
            (_wordy(before) and _wordy(first)) or (_wordy(after) and _wordy(last))
        )

    def names(self, text: str) -> Iterator[Candidate]:
        """Names by the model, counted in bytes."""
        if self._recipe.people is None:
            return
        found, capped = people_of.candidates(text, self._recipe.people)
        if capped:
            self.signals.add(LIMIT)
        at = counted = 0
        for each in found:
            counted += len(text[at : each.start].encode())
            at = each.start
            size = len(text[each.start : each.end].encode())
            yield replace(each, start=counted, end=counted + size)

    def _pem(self) -> Iterator[Candidate]:
        """Private keys: from BEGIN to END, an open one to the end of the text."""
        begin, end = self._recipe.pem
        at = 0
        while (opening := begin.search(self._data, at)) is not None:
            closing = end.search(self._data, opening.end())
            at = closing.end() if closing else len(self._data)
            yield Candidate(
                DataClass.SECRET, "private_key", "secret.pem", opening.start(), at, 9.0
            )


def _wordy(byte: bytes) -> bool:
    return byte.isalnum() or byte == b"_"


def _unchecked(rule: Rule, start: int, end: int) -> Candidate:
    return Candidate(rule.data_class, rule.kind, rule.id, start, end, UNCHECKED)
