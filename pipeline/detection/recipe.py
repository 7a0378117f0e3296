"""The recipe: all that the engine knows, built once and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import re2

from pipeline.detection import numbers
from pipeline.detection.addresses import ADDRESSES
from pipeline.detection.health import HEALTH
from pipeline.detection.linear import Linear
from pipeline.detection.names import CUES
from pipeline.detection.patterns import STRUCTURED
from pipeline.detection.people import People
from pipeline.detection.rules import Candidate, Rule, confidence
from pipeline.detection.secrets import PEM_BEGIN, PEM_END, SECRETS
from pipeline.detection.sets import PatternSet, options
from pipeline.injection import PHRASES, Phrase
from pipeline.intents import INTENTS
from schemas.policies import Cell, DataClass, Guard

THRESHOLD: Final = 0.5
RULES: Final = (*STRUCTURED, *SECRETS, *CUES, *ADDRESSES, *HEALTH)


@dataclass(frozen=True)
class Recipe:
    """All that the engine knows: built once by a root, never changed.

    Attributes:
        people: the model of names; None: only cues find names.
        attacks: the model of what a user types; None: only phrases are looked for.
        orders: the model of orders in tool output and documents; None: likewise.
        artefacts: names and SHA-256 of what was loaded.
        code: SHA-256 of the engine's own code and tables, and its libraries' versions;
            empty where nobody told it.
        calibration: Platt's slope and offset of a class; (1, 0) where none is told.
        thresholds: of a class, where a cell names none; 0.5 where none is told.
        id: SHA-256 over all of these; every record of a decision names it.
    """

    rules: tuple[Rule, ...] = RULES
    phrases: tuple[Phrase, ...] = (*PHRASES, *INTENTS)
    calibration: Mapping[DataClass, tuple[float, float]] = field(default_factory=dict)
    thresholds: Mapping[DataClass, float] = field(default_factory=dict)
    people: People | None = field(default=None, repr=False)
    attacks: Linear | None = field(default=None, repr=False)
    orders: Linear | None = field(default=None, repr=False)
    artefacts: tuple[tuple[str, str], ...] = ()
    code: str = ""

    @cached_property
    def id(self) -> str:
        """64 hex digits."""
        rules = [_told(rule) for rule in self.rules]
        words = [(p.id, p.pattern, p.channels, p.reason) for p in self.phrases]
        scale = sorted(self.calibration.items()), sorted(self.thresholds.items())
        models = [_model(each) for each in (self.attacks, self.orders)]
        inputs = (rules, words, scale, models, self.people is None)
        told = repr((inputs, self.artefacts, self.code))
        return sha256(told.encode()).hexdigest()

    def least(self, cell: Cell) -> float:
        """The confidence from which a finding of a cell is acted on."""
        if cell.threshold is not None:
            return cell.threshold
        return self.thresholds.get(cell.data_class, THRESHOLD)

    def sure(self, each: Candidate) -> float:
        """The confidence of a candidate."""
        scale = self.calibration.get(each.data_class, (1.0, 0.0))
        return confidence(each.score, scale)

    @cached_property
    def missing(self) -> frozenset[Guard]:
        """Guards that have no model here: their rules look, but they did not run."""
        models = {
            Guard.NAMES: self.people,
            Guard.INJECTION: self.attacks,
            Guard.INSTRUCTION: self.orders,
        }
        return frozenset(guard for guard, model in models.items() if model is None)

    @cached_property
    def data(self) -> PatternSet:
        """Structured data and secrets; the last index says that there are digits."""
        return PatternSet([*(rule.located for rule in self.rules), numbers.FIRST])

    @cached_property
    def words(self) -> PatternSet:
        """Phrases of attacks."""
        return PatternSet([phrase.pattern for phrase in self.phrases])

    @cached_property
    def pem(self) -> tuple[Any, Any]:
        """Where a private key begins and ends."""
        begin, end = PEM_BEGIN.encode(), PEM_END.encode()
        return re2.compile(begin, options()), re2.compile(end, options())


def _told(rule: Rule) -> tuple[object, ...]:
    """A rule's own values; a check is told by its name, its code by the recipe's."""
    check = [getattr(each, "__qualname__", None) for each in (rule.check, rule.fits)]
    return (
        rule.id, rule.data_class, rule.kind, rule.located, rule.base, rule.accepts,
        sorted(rule.hints), sorted(rule.linked), check,
    )  # fmt: skip


def _model(model: Linear | None) -> tuple[object, ...] | None:
    if model is None:
        return None
    return model.name, model.bias, tuple(model.bands), model.calibration


def build() -> Recipe:
    """The recipe of what needs no model, with everything compiled.

    Raises:
        GuardFailed: its pattern sets do not work on this machine.
    """
    recipe = Recipe()
    recipe.data.hits(b"")
    recipe.words.hits(b"")
    return recipe
