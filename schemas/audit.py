"""What a stage says happened, and the record that the ledger keeps of it.

Every field is bounded so that no record can exceed ``MAX_RECORD_BYTES``.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from schemas.base import Exact, Schema
from schemas.ids import Actor, EventId, RequestId
from schemas.requests import Code, Decision, Hex64, Looked, PolicyRef, Usage

MAX_RECORD_BYTES = 49_152
"""Three quarters of what a leaf may have in tlog-tiles (65,535)."""
MAX_DECISIONS = 32
MAX_GUARDS = 24
MAX_CONTENT = 8
MAX_MISSING = 16
MAX_RANGES = 16
MAX_LOOKED = 4

TERMINAL = frozenset(
    {"request.completed", "request.blocked", "request.failed", "request.cancelled"}
)
"""Each accepted request has exactly one record of one of these."""

ORIGIN: Final = r"[a-z0-9./_-]{1,255}"
"""The name of a log, to be matched whole."""

CLOSED = "log.closed"
"""The last record of a log that was closed: nothing is appended behind it."""

Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Action = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}(\.[a-z0-9_]{1,32}){1,3}$")]
"""What happened: ``noun.past_tense``, e.g. ``request.screened``."""
ActorName = Annotated[
    Actor,
    Field(pattern=r"^(key|client|user|agent|system):[A-Za-z0-9_.@:-]{1,128}$"),
]
ModelName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]
"""RFC 3339 in UTC, always 27 characters: ``schemas.events.timestamp``."""


class ContentCommitment(Schema):
    """A salted commitment to content, never the content.

    Attributes:
        commit: SHA-256 over label, salt and plaintext.
        sealed_sha256: SHA-256 of the sealed record's exact bytes.
    """

    commit: Hex64
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    purpose: Code
    sealed_sha256: Hex64


class Retained(Schema):
    """How long the content's key lives: a class, and the day it was made."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    retention_class: Annotated[Code, Field(alias="class")]
    day: Day


class Erase(Schema):
    """What a destruction of keys covers.

    Attributes:
        scope: ``request``, ``subject``, ``class`` (of one day) or ``tenant``.
        ref: which: an id, or ``<class>:<day>``; never a name of a person.
        as_of: keys made after it are not covered.
    """

    as_of: Moment
    ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
    scope: Literal["request", "subject", "class", "tenant"]


class Heartbeat(Schema):
    """How many logs there are.

    Attributes:
        sha256: over the sorted SHA-256 of their origins.
    """

    logs: Exact
    sha256: Hex64


class Reconciled(Schema):
    """What became of a tenant's accepted requests, in numbers.

    Attributes:
        missing: the first of those that are unrecorded or unended.
    """

    accepted: Exact
    missing: Annotated[tuple[Uuid, ...], Field(max_length=MAX_MISSING)] = ()
    twice: Exact
    unended: Exact
    unrecorded: Exact


class OffsetRange(Schema):
    """Offsets of a partition that were read: from ``begin``, up to before ``end``."""

    begin: Exact
    end: Exact
    partition: Exact


class _Facts(Schema):
    """What an event and its record have in common. Absent means left out.

    Attributes:
        commit: the root log's salted commitment to another log's checkpoint.
        heartbeat: the root log's count of logs.
        completeness: what became of accepted requests.
        offsets: the root log's: what of their topic was read for it.
    """

    action: Action
    actor: ActorName
    status: Code | None = None
    request_id: Annotated[RequestId, Field(pattern=r"^[0-9a-f-]{36}$")] | None = None
    decision: Annotated[tuple[Decision, ...], Field(max_length=MAX_DECISIONS)] = ()
    guards_required: Annotated[tuple[Code, ...], Field(max_length=MAX_GUARDS)] = ()
    guards_ran: Annotated[tuple[Code, ...], Field(max_length=MAX_GUARDS)] = ()
    looked: Annotated[tuple[Looked, ...], Field(max_length=MAX_LOOKED)] = ()
    policy: PolicyRef | None = None
    model: ModelName | None = None
    usage: Usage | None = None
    content: Annotated[
        tuple[ContentCommitment, ...], Field(max_length=MAX_CONTENT)
    ] = ()
    retention: Retained | None = None
    erase: Erase | None = None
    commit: Hex64 | None = None
    heartbeat: Heartbeat | None = None
    completeness: Reconciled | None = None
    offsets: Annotated[tuple[OffsetRange, ...], Field(max_length=MAX_RANGES)] = ()


class AuditRecorded(_Facts):
    """Something happened that the ledger must hold.

    Who recorded it, for which tenant and when is in the event's attributes; their id
    is what makes a repeat a repeat.
    """

    kind: ClassVar[str] = "audit.recorded.v1"


class AuditRecord(_Facts):
    """A record as it lies in a log: these fields, in canonical JSON, are the leaf.

    What stands in it has its own fields in the order of their names, as canonical JSON
    has: so :data:`RECORD_JSON` writes that at once.

    Attributes:
        log: the log's origin.
        seq: the leaf index, from 0.
        prev: SHA-256 of the record before, or of the genesis.
        event_id: the id of the event that it records.
        ts: when that event arose.
    """

    v: Literal[1]
    log: Annotated[str, Field(pattern=f"^{ORIGIN}$")]
    seq: Exact
    prev: Hex64
    event_id: Annotated[EventId, Field(pattern=r"^[0-9a-f-]{36}$")]
    ts: Moment


_Members = TypedDict(  # type: ignore[misc]
    "_Members",
    {name: each.annotation for name, each in AuditRecord.model_fields.items()},
)
RECORD_JSON: Final = TypeAdapter(_Members).serializer
"""Writes the members of a record, in the order in which they are given."""
