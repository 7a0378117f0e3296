"""A tenant's policy: which controls run, and what they do. Versions never change."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from schemas.base import Schema
from schemas.requests import Code


class Guard(StrEnum):
    """One control that screening or redaction runs."""

    INJECTION = "injection"
    INSTRUCTION = "instruction"
    INTENT = "intent"
    PII = "pii"
    SECRETS = "secrets"
    NAMES = "names"
    HEALTH = "health"
    OUTPUT = "output"
    ATTACHMENTS = "attachments"


class Failing(StrEnum):
    """What a guard that cannot decide does to the request."""

    CLOSED = "closed"
    OPEN = "open"


Threshold = Annotated[float, Field(ge=0, le=1)]
ChannelName = Annotated[str, Field(pattern="^(user|system|tool|document|completion)$")]


class GuardRule(Schema):
    """How one guard stands.

    Attributes:
        required: it must run; coverage compares with what ran.
        on_failure: ``closed`` ends the request as failed, ``open`` lets it go on as
            unscreened, named in its coverage.
        block: a hit ends the request; otherwise it is flagged.
        threshold: confidence from which a model's answer is a hit; None: the recipe's.
            Only guards that ask a model take one (``MODELLED``).
        thresholds: likewise, in one channel; beside ``threshold``.
    """

    required: bool = True
    on_failure: Failing = Failing.CLOSED
    block: bool = True
    threshold: Threshold | None = None
    thresholds: Mapping[ChannelName, Threshold] = {}

    def least(self, channel: str) -> float | None:
        """The confidence of a hit in a channel; None: the recipe's."""
        return self.thresholds.get(channel, self.threshold)


DEFAULTS: Final[Mapping[Guard, GuardRule]] = {
    **dict.fromkeys(Guard, GuardRule()),
    Guard.INTENT: GuardRule(block=False),
    Guard.ATTACHMENTS: GuardRule(required=False),
}
"""Rules of guards that nobody set."""

MODELLED: Final[Mapping[Guard, frozenset[str]]] = {
    Guard.INJECTION: frozenset({"user"}),
    Guard.INSTRUCTION: frozenset({"tool", "document"}),
}
"""Guards that ask a model, and the channels in which they do."""


class DataClass(StrEnum):
    """A class of personal or secret data."""

    PERSON = "PERSON"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    ADDRESS = "ADDRESS"
    GOV_ID = "GOV_ID"
    CARD = "CARD"
    BANK = "BANK"
    MEDICAL_ID = "MEDICAL_ID"
    HEALTH = "HEALTH"
    BIOMETRIC = "BIOMETRIC"
    SECRET = "SECRET"  # noqa: S105 - a class, not a secret
    MINOR = "MINOR"
    BIRTH_DATE = "BIRTH_DATE"
    NETWORK = "NETWORK"
    URL = "URL"
    CRYPTO = "CRYPTO"
    PLATE = "PLATE"


class Mode(StrEnum):
    """What redaction does with a finding."""

    STRICT = "strict"
    REVERSIBLE = "reversible"
    FLAG = "flag"


class Cell(Schema):
    """What happens to one class in one channel; what nobody set takes its default.

    Attributes:
        channel: ``user``, ``system``, ``tool``, ``document``, ``completion``.
        threshold: confidence below which a finding is recorded, and not acted on; None:
            the recipe's for its class.
        block: screening ends a request that holds a finding of this cell.
    """

    data_class: DataClass
    channel: ChannelName
    mode: Mode
    threshold: Threshold | None = None
    block: bool = False


class External(Schema):
    """A recogniser from outside that must look too; installed by the operator.

    Attributes:
        on_failure: as of a guard; it fails also where it is not installed.
        classes: whose mentions count; None: all that it finds.
    """

    on_failure: Failing = Failing.CLOSED
    classes: tuple[DataClass, ...] | None = None


RetentionName = Annotated[str, Field(pattern="^(transient|1d|7d|30d|90d|180d|365d)$")]
"""The classes that :mod:`pipeline.keystore` knows; a test compares."""
RecogniserName = Annotated[str, Field(pattern="^[a-z0-9_-]{1,32}$")]


class TopicRule(Schema):
    """A subject that a tenant does not want spoken of; the guard ``intent`` looks.

    Attributes:
        name: told as the reason ``safety.topic.<name>``.
        terms: words or phrases, found whole and in any case; no patterns.
        block: a hit ends the request; otherwise it is flagged.
    """

    name: Annotated[str, Field(pattern="^[a-z0-9_]{1,32}$")]
    terms: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
        Field(min_length=1, max_length=200),
    ]
    block: bool = False
    channels: tuple[ChannelName, ...] = ("user",)


class Place(StrEnum):
    """Where in an answer a token stands."""

    TEXT = "text"
    TOOL_CALL = "tool_call"


class Reveal(Schema):
    """What restoring may put back, by class and place.

    From which channel a value may come back at all is the mode of its cell: what is
    replaced as ``strict`` is kept nowhere.

    Attributes:
        classes: whose tokens are restored in an answer; None: all.
        in_tool_calls: whose tokens are restored in what a tool is called with; None:
            as ``classes``. A model that was misled calls tools with what it was given.
        in_urls: tokens inside a link are restored too. Links carry values away.
    """

    classes: tuple[DataClass, ...] | None = None
    in_tool_calls: tuple[DataClass, ...] | None = None
    in_urls: bool = False

    def shows(self, data_class: DataClass, place: Place) -> bool:
        """Whether tokens of a class are restored in a place."""
        told = self.classes
        if place is Place.TOOL_CALL and self.in_tool_calls is not None:
            told = self.in_tool_calls
        return told is None or data_class in told


class PolicyDocument(Schema):
    """One version of a tenant's policy.

    Attributes:
        topics: subjects of the tenant's own.
        open_strict: allows a guard of strict classes (``secrets``, ``pii``) to fail
            open, which its rule alone does not.
        retention_class: how long the content's key lives.
        deadline_s: seconds after acceptance in which a request must end.
        recognisers: by the names that the operator gave them.
        canary: a line is added to the last system part on its way to the provider; an
            answer that holds it has told that part, and is a hit of the guard
            ``output``.
        regions: ISO 3166 country codes whose national phone shapes are expected.
    """

    id: Code = "default"
    version: Annotated[int, Field(ge=1)] = 1
    guards: Mapping[Guard, GuardRule] = {}
    cells: tuple[Cell, ...] = ()
    reveal: Reveal = Reveal()
    recognisers: Annotated[Mapping[RecogniserName, External], Field(max_length=4)] = {}
    topics: Annotated[tuple[TopicRule, ...], Field(max_length=16)] = ()
    open_strict: bool = False
    canary: bool = False
    retention_class: RetentionName = "transient"
    deadline_s: Annotated[int, Field(ge=1, le=3600)] = 120
    regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ("US", "GB")

    @model_validator(mode="after")
    def _cells_are_told_once(self) -> Self:
        told = [(cell.data_class, cell.channel) for cell in self.cells]
        twice = sorted(
            {f"{c} in {where}" for c, where in told if told.count((c, where)) > 1}
        )
        if twice:
            raise ValueError(
                f"expected one cell a class and channel: {', '.join(twice)}"
            )
        return self

    @model_validator(mode="after")
    def _topics_are_told_once(self) -> Self:
        names = [topic.name for topic in self.topics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected one topic of each name: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _strict_guards_fail_closed(self) -> Self:
        for guard in (Guard.SECRETS, Guard.PII):
            if self.guard(guard).on_failure is Failing.OPEN and not self.open_strict:
                raise ValueError(
                    f"expected open_strict where the guard {guard} fails open"
                )
        return self

    @model_validator(mode="after")
    def _thresholds_are_of_models(self) -> Self:
        for guard, rule in self.guards.items():
            channels = MODELLED.get(guard)
            if channels is None and (rule.threshold is not None or rule.thresholds):
                raise ValueError(
                    f"expected no threshold of the guard {guard}, which asks no model; "
                    f"confidences of classes are judged by the thresholds of cells"
                )
            others = sorted(set(rule.thresholds) - (channels or set()))
            if others:
                raise ValueError(
                    f"expected thresholds of the guard {guard} in "
                    f"{' and '.join(sorted(channels or ()))} alone, where its model is "
                    f"asked: not in {', '.join(others)}"
                )
        return self

    def guard(self, guard: Guard) -> GuardRule:
        """The guard's rule; the strict default where none was set."""
        return self.guards.get(guard) or DEFAULTS[guard]

    @property
    def guards_required(self) -> tuple[str, ...]:
        """Every guard that must run, in a fixed order."""
        own = (guard.value for guard in Guard if self.guard(guard).required)
        return (*own, *(f"ner.{name}" for name in sorted(self.recognisers)))
