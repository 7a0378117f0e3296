"""Records of the ledger, and how they are chained.

A record's canonical bytes are stored, are what the next record's ``prev`` hashes, and
are the leaf: chain and tree commit to one string. Nothing is hashed but those bytes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from pipeline.canonical import canonical, parse
from pipeline.errors import InvalidMessage
from pipeline.merkle import CompactRange, Node, extend, leaf_hash
from schemas.audit import (
    MAX_RECORD_BYTES,
    RECORD_JSON,
    AuditRecord,
    AuditRecorded,
)
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, RequestId, TenantId, event_id

ROOT = TenantId("00000000-0000-0000-0000-000000000000")
"""Nobody: the root log stands where a tenant's would."""
_dumped: Final = AuditRecorded.__pydantic_serializer__.to_python
_json: Final = RECORD_JSON.to_json
_long_number: Final = re.compile(rb":[-0-9][0-9]{15}").search
"""2^53 has 16 digits; in a record no list holds numbers."""
_GENESIS = b"ledger-genesis/v1\n"
_DECISION = ("action", "status", "decision", "guards_required", "guards_ran", "policy")

Recorded = Event[AuditRecorded]


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: all that is needed to go on.

    Attributes:
        last: SHA-256 of the last record's bytes; of the genesis while there is none.
    """

    origin: str
    last: bytes
    tree: CompactRange

    @property
    def size(self) -> int:
        """How many records there are; the next one's ``seq``."""
        return self.tree.size


class Entry(NamedTuple):
    """A record as it is stored: the bytes, and the columns that index them.

    Attributes:
        body: the record's canonical bytes.
        leaf: the leaf hash of ``body``.
    """

    seq: int
    event_id: EventId
    request_id: RequestId | None
    action: str
    actor: str
    ts: str
    body: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Chained:
    """What an append adds to a log.

    Attributes:
        filled: tiles that became full, each as the node that it hashes to.
    """

    entries: tuple[Entry, ...]
    head: Head
    filled: tuple[Node, ...]


def genesis(origin: str) -> bytes:
    """What record 0 names as the record before it."""
    return sha256(_GENESIS + origin.encode()).digest()


def new_origin(tenant: TenantId, domain: str, random: bytes) -> str:
    """The name of a new log: random, so that it says nothing of whose it is."""
    return f"ledger.{domain}/{'root' if tenant == ROOT else random.hex()}"


def empty(origin: str) -> Head:
    """The end of a log without a record."""
    return Head(origin, genesis(origin), CompactRange())


def created(origin: str, first: Recorded) -> Recorded:
    """Record 0 of the log that ``first`` opens, at the time of ``first``."""
    attributes = Attributes(
        id=event_id(origin, "log.created"),
        type=AuditRecorded.kind,
        source="/sluice/ledger",
        subject=origin,
        tenant=first.attributes.tenant,
        time=first.attributes.time,
    )
    data = AuditRecorded(action="log.created", actor=Actor("system:ledger"))
    return Event(attributes, data)


def chain(head: Head, events: Iterable[Recorded]) -> Chained:
    """Give each event its place behind ``head``.

    Law: chaining a then b is chaining a and b.

    Raises:
        InvalidMessage: an event is outside the canonical profile or too large.
    """
    entries: list[Entry] = []
    last = head.last
    for seq, event in enumerate(events, head.size):
        entry = _entry(head.origin, seq, last, event)
        entries.append(entry)
        last = sha256(entry.body).digest()
    tree, filled = extend(head.tree, [entry.leaf for entry in entries])
    return Chained(tuple(entries), Head(head.origin, last, tree), tuple(filled))


def _entry(origin: str, seq: int, prev: bytes, event: Recorded) -> Entry:
    attributes, data = event.attributes, event.data
    ts = timestamp(attributes.time)
    body = _written(
        {
            "action": data.action,
            "actor": data.actor,
            "commit": data.commit,
            "completeness": data.completeness,
            "content": data.content or None,
            "decision": data.decision or None,
            "erase": data.erase,
            "event_id": attributes.id,
            "guards_ran": data.guards_ran or None,
            "guards_required": data.guards_required or None,
            "heartbeat": data.heartbeat,
            "log": origin,
            "looked": data.looked or None,
            "model": data.model,
            "offsets": data.offsets or None,
            "policy": data.policy,
            "prev": prev.hex(),
            "request_id": data.request_id,
            "retention": data.retention,
            "seq": seq,
            "status": data.status,
            "ts": ts,
            "usage": data.usage,
            "v": 1,
        }
    )
    if len(body) > MAX_RECORD_BYTES:
        raise InvalidMessage(f"expected at most {MAX_RECORD_BYTES} bytes", "record")
    return Entry(
        seq,
        attributes.id,
        data.request_id,
        data.action,
        data.actor,
        ts,
        body,
        leaf_hash(body),
    )


def _written(members: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a record, from its members in the order of their names.

    Law: they are those that :func:`canonical` gives. No schema has floats; so only what
    text and integers may still be is looked at, where some bytes of it say so.

    Raises:
        InvalidMessage: a value is outside the profile.
    """
    try:
        # Its warnings would tell what they warn of.
        raw = _json(members, exclude_none=True, warnings=False)
    except PydanticSerializationError:
        raise InvalidMessage("expected valid Unicode") from None
    if (b"\\" in raw and b"\\u0000" in raw) or _long_number(raw):
        canonical(parse(raw))
    return raw


def facts(data: AuditRecorded) -> dict[str, Any]:
    """An event's part of its record: what is absent or empty is left out."""
    # Its warnings would tell what they warn of.
    found = _dumped(data, mode="json", exclude_none=True, warnings=False)
    return {name: value for name, value in found.items() if value != []}


def record(body: bytes) -> AuditRecord:
    """The record that ``body`` is.

    Raises:
        InvalidMessage: these are not the canonical bytes of a record.
    """
    found = parse(body)
    try:
        return AuditRecord.model_validate(found)
    except ValidationError:
        raise InvalidMessage("expected a record of the ledger", "record") from None


def decision_hash(found: Mapping[str, Any]) -> bytes:
    """What a repeat has in common with the first: not its time, not its salts."""
    return sha256(
        canonical({name: found[name] for name in _DECISION if name in found})
    ).digest()
