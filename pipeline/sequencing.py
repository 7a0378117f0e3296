"""Sequencing: which events are new to a log, and the places that they get."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.audit import (
    Entry,
    Head,
    Recorded,
    created,
    decision_hash,
    facts,
)
from pipeline.canonical import parse
from pipeline.coverage import uncovered
from pipeline.errors import IntegrityError, InvalidMessage, LogClosed
from pipeline.merkle import leaf_hash
from schemas.audit import CLOSED, MAX_DECISIONS, TERMINAL, AuditRecorded
from schemas.events import Event
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Decision

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
SECOND_TERMINAL = "incident.second_terminal"


@dataclass(frozen=True, slots=True)
class Sifted:
    """A batch without its repeats.

    Attributes:
        fresh: what is to be appended, in the order of the batch.
        repeats: how many events are on the log already, with the same decision.
        incidents: those of ``fresh`` that claimed a second end of a request, and those
            that tell of a guard that a request missed.
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
    closed, repeats, seconds = set(ended), 0, list[EventId]()
    fresh: dict[EventId, Recorded] = {}
    for event in events:
        each, data = event.attributes.id, event.data
        if each in known or each in fresh:
            first = parse(known[each]) if each in known else facts(fresh[each].data)
            _same_decision(first, data)
            repeats += 1
        elif data.action in TERMINAL and data.request_id in closed:
            fresh[each] = Event(event.attributes, _second_terminal(data))
            seconds.append(each)
        else:
            fresh[each] = event
            if data.action in TERMINAL and data.request_id:
                closed.add(data.request_id)
    new, missed = _with_incidents(fresh.values())
    return Sifted(tuple(new), repeats, (*seconds, *missed))


def _with_incidents(
    fresh: Iterable[Recorded],
) -> tuple[list[Recorded], tuple[EventId, ...]]:
    """The events, and behind each request that a guard missed the incident of it."""
    found, incidents = list[Recorded](), list[EventId]()
    for event in fresh:
        found.append(event)
        if incident := uncovered(event):
            found.append(incident)
            incidents.append(incident.attributes.id)
    return found, tuple(incidents)


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
        tenant = event.attributes.tenant
        _check_uuid(event.attributes.id, "id")
        if tenant not in found:
            _check_uuid(tenant, "tenant")
            found[tenant] = []
        found[tenant].append(event)
    return dict(sorted(found.items()))


def _check_uuid(text: str, where: str) -> None:
    if not _UUID(text):
        raise InvalidMessage("expected a UUID in canonical text", where)


class Place(NamedTuple):
    """Where a record stands; what a caller that waits for it is told.

    Attributes:
        leaf: the leaf hash of the record.
    """

    origin: str
    seq: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Growth:
    """What a batch is to one log, before its records have places.

    Attributes:
        head: the log's end.
        fresh: what is to be chained; a new log begins with itself.
        known: records that the log holds under some of the events' ids.
        incidents: second ends of requests, and requests that a guard missed.
    """

    head: Head
    fresh: tuple[Recorded, ...]
    known: Mapping[EventId, bytes]
    repeats: int
    incidents: tuple[EventId, ...]

    def places(self, entries: Iterable[Entry]) -> Mapping[EventId, Place]:
        """Of the batch's events and incidents, once what is new is ``entries``."""
        origin = self.head.origin
        found = {
            each: Place(origin, parse(body)["seq"], leaf_hash(body))
            for each, body in self.known.items()
        }
        for entry in entries:
            if entry.seq:  # record 0 is the log's own
                found[entry.event_id] = Place(origin, entry.seq, entry.leaf)
        return found


def grow(
    head: Head, sifted: Sifted, known: Mapping[EventId, bytes], *, closed: bool = False
) -> Growth:
    """What a tenant's events are to its log.

    Args:
        head: the log's end.
        sifted: what is new of them.
        known: records that the log holds under some of their ids.
        closed: the log ended with ``log.closed``. Repeats are repeats there too.

    Raises:
        LogClosed: something is new to a log that is closed.
    """
    _refuse_behind_the_end(sifted.fresh, closed=closed)
    first = () if head.size else (created(head.origin, sifted.fresh[0]),)
    fresh = (*first, *sifted.fresh)
    return Growth(head, fresh, known, sifted.repeats, sifted.incidents)


def _refuse_behind_the_end(fresh: Sequence[Recorded], *, closed: bool) -> None:
    if fresh and (closed or any(each.data.action == CLOSED for each in fresh[:-1])):
        raise LogClosed
