"""Records of the ledger: which are new, and how they are chained.

A record's canonical bytes are stored, are what the next record's ``prev`` hashes, and
are the leaf: chain and tree commit to one string. Nothing is hashed but those bytes.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from pipeline.canonical import canonical, parse
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.merkle import CompactRange, Node, extend, leaf_hash
from schemas.audit import (
    MAX_DECISIONS,
    MAX_RECORD_BYTES,
    TERMINAL,
    AuditRecord,
    AuditRecorded,
)
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, RequestId, TenantId, event_id
from schemas.requests import Decision

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
ROOT = TenantId("00000000-0000-0000-0000-000000000000")
"""Nobody: the root log stands where a tenant's would."""
SECOND_TERMINAL = "incident.second_terminal"
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


@dataclass(frozen=True, slots=True)
class Entry:
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
    body = canonical(
        {
            "v": 1,
            "log": origin,
            "seq": seq,
            "prev": prev.hex(),
            "event_id": attributes.id,
            "ts": ts,
            **facts(data),
        }
    )
    if len(body) > MAX_RECORD_BYTES:
        raise InvalidMessage(f"expected at most {MAX_RECORD_BYTES} bytes", "record")
    return Entry(
        seq=seq,
        event_id=attributes.id,
        request_id=data.request_id,
        action=data.action,
        actor=data.actor,
        ts=ts,
        body=body,
        leaf=leaf_hash(body),
    )


def facts(data: AuditRecorded) -> dict[str, Any]:
    """An event's part of its record: what is absent or empty is left out."""
    found = data.model_dump(mode="json", exclude_none=True)
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


@dataclass(frozen=True, slots=True)
class Sifted:
    """A batch without its repeats.

    Attributes:
        fresh: what is to be appended, in the order of the batch.
        repeats: how many events are on the log already, with the same decision.
        incidents: those of ``fresh`` that claimed a second end of a request.
    """

    fresh: tuple[Recorded, ...]
    repeats: int
    incidents: tuple[EventId, ...]


def sift(
    events: Iterable[Recorded],
    known: Mapping[EventId, bytes],
    ended: Collection[RequestId],
) -> Sifted:
    """Drop repeats, before a sequence number is given: only event ids tell them.

    Args:
        events: one tenant's, in the order in which they arrived.
        known: records that the log holds under some of the events' ids.
        ended: those of the events' requests that have a terminal record.

    Raises:
        IntegrityError: the same id came with another decision.
    """
    closed, repeats, incidents = set(ended), 0, list[EventId]()
    fresh: dict[EventId, Recorded] = {}
    for event in events:
        each, data = event.attributes.id, event.data
        if each in known or each in fresh:
            first = parse(known[each]) if each in known else facts(fresh[each].data)
            _same_decision(first, data)
            repeats += 1
        elif data.action in TERMINAL and data.request_id in closed:
            fresh[each] = Event(event.attributes, _second_terminal(data))
            incidents.append(each)
        else:
            fresh[each] = event
            if data.action in TERMINAL and data.request_id:
                closed.add(data.request_id)
    return Sifted(tuple(fresh.values()), repeats, tuple(incidents))


def _same_decision(first: Mapping[str, Any], data: AuditRecorded) -> None:
    claims = (data, _second_terminal(data))
    if decision_hash(first) not in [decision_hash(facts(each)) for each in claims]:
        raise IntegrityError("an event came again with another decision")


def _second_terminal(data: AuditRecorded) -> AuditRecorded:
    """The same event as an incident; its last decision names what it claimed to be."""
    claim = Decision(
        stage="ledger", control="terminal", verdict="second", rule=data.action
    )
    decision = (*data.decision[: MAX_DECISIONS - 1], claim)
    return data.model_copy(update={"action": SECOND_TERMINAL, "decision": decision})


def by_tenant(events: Iterable[Recorded]) -> dict[TenantId, list[Recorded]]:
    """The events of each tenant, in their order; tenants sorted.

    Whoever locks logs does so in this order, so that two batches never wait for each
    other.

    Raises:
        InvalidMessage: an event's id or tenant is no UUID in canonical text.
    """
    found: dict[TenantId, list[Recorded]] = {}
    for event in events:
        _check_uuid(event.attributes.id, "id")
        _check_uuid(event.attributes.tenant, "tenant")
        found.setdefault(event.attributes.tenant, []).append(event)
    return dict(sorted(found.items()))


def _check_uuid(text: str, where: str) -> None:
    if not _UUID(text):
        raise InvalidMessage("expected a UUID in canonical text", where)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands; what a caller that waits for it is told.

    Attributes:
        leaf: the leaf hash of the record.
    """

    origin: str
    seq: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Grown:
    """What a batch is to one log.

    Attributes:
        places: of the batch's events, new and known.
    """

    sifted: Sifted
    chained: Chained
    places: Mapping[EventId, Place]


def grow(
    head: Head,
    events: Sequence[Recorded],
    known: Mapping[EventId, bytes],
    ended: Collection[RequestId],
) -> Grown:
    """What is new of a tenant's ``events``, chained; a new log begins with itself.

    Raises:
        IntegrityError: as :func:`sift`.
        InvalidMessage: as :func:`chain`.
    """
    sifted = sift(events, known, ended)
    first = () if head.size else (created(head.origin, events[0]),)
    chained = chain(head, (*first, *sifted.fresh))
    places = {
        each: Place(head.origin, parse(body)["seq"], leaf_hash(body))
        for each, body in known.items()
    }
    for entry in chained.entries[len(first) :]:
        places[entry.event_id] = Place(head.origin, entry.seq, entry.leaf)
    return Grown(sifted, chained, places)
