"""The engine: which patterns hit, where, and whether the checks hold.

A ``re2.Set`` answers which of all patterns hit, in one linear pass; only those are then
located. A Set that ran out of memory answers like one without a hit, so each holds a
canary pattern, and an answer without it is a failure of the guard, never "nothing".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import re2

from pipeline.detection.normalise import Normal, normalise
from pipeline.detection.patterns import CONTEXT_CHARS, RULES, Rule
from pipeline.errors import SluiceError
from pipeline.injection import PHRASES, Phrase
from schemas.policies import DataClass

CANARY: Final = "\x02sluice-canary\x03"
MAX_PART_CHARS: Final = 1_048_576
MAX_MEMORY: Final = 128 * 1024 * 1024


class GuardFailed(SluiceError):
    """A guard could not look; it says nothing about what it was to look at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found; offsets are source characters. Never the value."""

    data_class: DataClass
    rule: str
    start: int
    end: int
    confidence: float


class PatternSet:
    """Patterns compiled once; ``hits`` is linear in the text."""

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.log_errors = False
        self._set: Any = re2.Set.SearchSet(options)
        for pattern in (*patterns, CANARY):
            self._set.Add(pattern)
        self._set.Compile()
        self._canary = len(patterns)
        self.compiled: tuple[Any, ...] = tuple(
            re2.compile(pattern, options) for pattern in patterns
        )

    def hits(self, text: str) -> list[int]:
        """Indexes of the patterns that hit, in order.

        Raises:
            GuardFailed: the canary was not seen, so the Set did not look.
        """
        found = self._set.Match(text + CANARY) or ()
        if self._canary not in found:
            raise GuardFailed("a pattern set did not look")
        return sorted(index for index in found if index != self._canary)


@dataclass(frozen=True)
class Recipe:
    """All that the engine knows: built once by a root, never changed.

    Attributes:
        id: SHA-256 over its inputs; every record of a decision names it.
    """

    rules: tuple[Rule, ...] = RULES
    phrases: tuple[Phrase, ...] = PHRASES

    @cached_property
    def id(self) -> str:
        """64 hex digits."""
        inputs = [(r.id, r.pattern, r.context, r.confidence) for r in self.rules]
        words = [(p.id, p.pattern, p.channels) for p in self.phrases]
        return sha256(repr((inputs, words)).encode()).hexdigest()

    @cached_property
    def data(self) -> PatternSet:
        """Structured data and names."""
        return PatternSet([rule.pattern for rule in self.rules])

    @cached_property
    def words(self) -> PatternSet:
        """Phrases of attacks."""
        return PatternSet([phrase.pattern for phrase in self.phrases])


def build() -> Recipe:
    """The recipe, with everything compiled."""
    recipe = Recipe()
    recipe.data.hits("")
    recipe.words.hits("")
    return recipe


def inspect(text: str, recipe: Recipe) -> tuple[Finding, ...]:
    """What a text holds, overlaps resolved, by position.

    Raises:
        GuardFailed: the text is too long, or a pattern set did not look.
    """
    if len(text) > MAX_PART_CHARS:
        raise GuardFailed("a text is longer than the engine may look at")
    normal = normalise(text)
    found: list[Finding] = []
    for index in recipe.data.hits(normal.text):
        rule = recipe.rules[index]
        found += _candidates(normal, rule, recipe.data.compiled[index])
    return resolved(found)


def _candidates(normal: Normal, rule: Rule, compiled: Any) -> Iterator[Finding]:
    named = compiled.groupindex.get("v", 0)
    for match in compiled.finditer(normal.text):
        start, end = match.span(named)
        value = normal.text[start:end]
        if (
            _stands_alone(normal.text, start, end)
            and rule.check(value)
            and _has_context(normal.text, start, end, rule.context)
        ):
            first, last = normal.source(start, end)
            yield Finding(rule.data_class, rule.id, first, last, rule.confidence)


def _stands_alone(text: str, start: int, end: int) -> bool:
    left = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    right = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not (left or right)


def _has_context(text: str, start: int, end: int, words: Sequence[str]) -> bool:
    if not words:
        return True
    around = text[max(0, start - CONTEXT_CHARS) : end + CONTEXT_CHARS // 2].lower()
    return any(word in around for word in words)


def resolved(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Without overlaps: the surer wins, then the longer; by position."""
    ranked = sorted(found, key=lambda f: (-f.confidence, f.start - f.end, f.start))
    kept: list[Finding] = []
    taken: set[int] = set()
    for finding in ranked:
        span = range(finding.start, finding.end)
        if taken.isdisjoint(span):
            taken.update(span)
            kept.append(finding)
    return tuple(sorted(kept, key=lambda f: f.start))
