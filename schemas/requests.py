"""The events of one request, from acceptance to its end."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from schemas.base import Exact, Schema
from schemas.ids import Actor

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9_.:@-]{1,128}$")]
"""A dotted word of ours: a reason, a guard, a rule id. Never free text."""


class Dialect(StrEnum):
    """The language in which a body is written; it stays in it."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"


class Outcome(StrEnum):
    """How a request ended. Every accepted request ends once."""

    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Arrival(StrEnum):
    """How a body lies in the inbox, until the topic's time is over."""

    LETTER = "letter"
    PLAIN = "plain"


class PolicyRef(Schema):
    """The policy version that was in force at acceptance."""

    id: Code
    sha256: Hex64
    version: Annotated[Exact, Field(ge=1)]


class Route(Schema):
    """Where the provider call goes: a provider's name and the model it knows."""

    provider: Code
    model: Name


class Retention(Schema):
    """How long the content's key lives: a class, and the day it was made."""

    retention_class: Code
    day: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Terms(Schema):
    """The terms on which a request was admitted: fixed then, carried ever after.

    Attributes:
        deadline: past it, any stage ends the request as failed.
        key_id: 32 hex digits, the data key that seals the content.
        reply_partition: where the gateway waits for the reply; None: nobody waits.
        arrival: how its body lay in the inbox; None: it came by HTTP.
    """

    actor: Actor
    environment: Literal["live", "test"]
    dialect: Dialect
    model: Name
    route: Route
    policy: PolicyRef
    guards_required: tuple[Code, ...]
    retention: Retention
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    deadline: datetime
    reply_partition: Annotated[int, Field(ge=0)] | None = None
    arrival: Arrival | None = None


class SealedContent(Schema):
    """A sealed record, and the salted commitment to what is in it.

    Attributes:
        sealed: the exact bytes of ``pipeline.sealing``; base64 on the wire.
        commit: SHA-256 over salt and plaintext, as the ledger holds it.
    """

    sealed: bytes
    commit: Hex64


class Decision(Schema):
    """What one control said. Ids and words of ours alone, never content."""

    control: Code
    rule: Code | None = None
    stage: Code
    verdict: Code


Signal = Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,32}$")]
Lower = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,16}$")]
Count = Annotated[int, Field(ge=0, le=10**9)]


def _by_name(
    found: Mapping[str, Mapping[str, int]],
) -> Mapping[str, Mapping[str, int]]:
    return {name: dict(sorted(each.items())) for name, each in sorted(found.items())}


class Looked(Schema):
    """What detection saw in one stage: numbers and words of ours, never content.

    Attributes:
        stage: ``screening``, ``redaction``, or ``answer``.
        recipe: the id of what it knew: rules, models, calibration.
        signals: what was undone or not looked at, e.g. ``disguise.homoglyph``.
        found: how often, by class in lower case, and by what was done.
    """

    found: Annotated[
        Mapping[Lower, Annotated[Mapping[Lower, Count], Field(max_length=4)]],
        Field(max_length=24),
        AfterValidator(_by_name),
    ] = {}
    recipe: Hex64
    signals: Annotated[tuple[Signal, ...], Field(max_length=16)] = ()
    stage: Lower


class Usage(Schema):
    """Tokens, as the provider counted them."""

    input_tokens: Exact = 0
    output_tokens: Exact = 0


class RequestAccepted(Schema):
    """A request is durable; it will end exactly once."""

    kind: ClassVar[str] = "request.accepted.v1"

    terms: Terms
    content: SealedContent


class RequestScreened(Schema):
    """A request may pass."""

    kind: ClassVar[str] = "request.screened.v1"

    terms: Terms
    content: SealedContent
    decisions: tuple[Decision, ...]
    guards_ran: tuple[Code, ...]
    looked: tuple[Looked, ...] = ()


class RequestRedacted(Schema):
    """A request without what must not leave.

    Attributes:
        content: the redacted body.
        vault: the reversible values, sealed; None where there are none.
        findings: where what was found, sealed; None where nothing was.
    """

    kind: ClassVar[str] = "request.redacted.v1"

    terms: Terms
    content: SealedContent
    vault: SealedContent | None
    findings: SealedContent | None = None
    decisions: tuple[Decision, ...]
    guards_ran: tuple[Code, ...]
    looked: tuple[Looked, ...] = ()


class RequestFinished(Schema):
    """A request's one end, and the whole story of its decisions.

    Attributes:
        terms: None where the record that carried them could not be read; they stand in
            the request's row.
        reason: why it has no answer; where it was completed, ``cut_short`` or None.
        answer: the body that the caller gets, in its own dialect.
        model: the model that the provider said it used.
        findings: where what was found, sealed: in the request, then in the answer.
    """

    kind: ClassVar[str] = "request.finished.v1"

    terms: Terms | None
    outcome: Outcome
    reason: Code | None = None
    answer: SealedContent | None = None
    decisions: tuple[Decision, ...]
    guards_ran: tuple[Code, ...]
    usage: Usage | None = None
    model: Name | None = None
    looked: tuple[Looked, ...] = ()
    findings: tuple[SealedContent, ...] = ()


class RequestReplied(Schema):
    """The end of a request, for the gateway that waits for it."""

    kind: ClassVar[str] = "request.replied.v1"

    outcome: Outcome
    reason: Code | None = None
    answer: SealedContent | None = None
