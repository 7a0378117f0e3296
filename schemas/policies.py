"""A tenant's policy: which controls run, and what they do. Versions never change."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Schema
from schemas.requests import Code


class Guard(StrEnum):
    """One control that screening or redaction runs."""

    INJECTION = "injection"
    INSTRUCTION = "instruction"
    PII = "pii"
    SECRETS = "secrets"
    NAMES = "names"
    OUTPUT = "output"


class Failing(StrEnum):
    """What a guard that cannot decide does to the request."""

    CLOSED = "closed"
    OPEN = "open"


class GuardRule(Schema):
    """How one guard stands.

    Attributes:
        required: it must run; coverage compares with what ran.
        on_failure: ``closed`` ends the request as failed, ``open`` lets it go on as
            unscreened, named in its coverage.
        block: a hit ends the request; otherwise it is flagged.
    """

    required: bool = True
    on_failure: Failing = Failing.CLOSED
    block: bool = True


class DataClass(StrEnum):
    """A class of personal or secret data."""

    PERSON = "PERSON"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    GOV_ID = "GOV_ID"
    CARD = "CARD"
    BANK = "BANK"
    SECRET = "SECRET"  # noqa: S105 - a class, not a secret
    NETWORK = "NETWORK"
    URL = "URL"
    CRYPTO = "CRYPTO"


class Mode(StrEnum):
    """What redaction does with a finding."""

    STRICT = "strict"
    REVERSIBLE = "reversible"
    FLAG = "flag"


class Cell(Schema):
    """What happens to one class in one channel; what nobody set takes its default.

    Attributes:
        channel: ``user``, ``system``, ``tool``, ``document``, ``completion``.
        threshold: confidence below which a finding is recorded, and not acted on.
    """

    data_class: DataClass
    channel: Annotated[str, Field(pattern="^(user|system|tool|document|completion)$")]
    mode: Mode
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5


class PolicyDocument(Schema):
    """One version of a tenant's policy.

    Attributes:
        retention_class: how long the content's key lives.
        deadline_s: seconds after acceptance in which a request must end.
        regions: ISO 3166 country codes whose national phone shapes are expected.
    """

    id: Code = "default"
    version: Annotated[int, Field(ge=1)] = 1
    guards: Mapping[Guard, GuardRule] = {}
    cells: tuple[Cell, ...] = ()
    retention_class: Code = "transient"
    deadline_s: Annotated[int, Field(ge=1, le=3600)] = 120
    regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ("US", "GB")

    def guard(self, guard: Guard) -> GuardRule:
        """The guard's rule; the strict default where none was set."""
        return self.guards.get(guard, GuardRule())

    @property
    def guards_required(self) -> tuple[str, ...]:
        """Every guard that must run, in a fixed order."""
        return tuple(guard.value for guard in Guard if self.guard(guard).required)
