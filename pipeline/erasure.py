"""Orders to forget, and what the ledger is told of them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.audit import AuditRecorded, Erase
from schemas.events import Attributes, Event, after, timestamp
from schemas.ids import Actor, EventId, RequestId, TenantId, event_id
from schemas.requests import Decision
from schemas.retention import ErasureOrdered
from schemas.topics import AUDIT_RECORDED, Outgoing

ORDERED = "erasure.ordered"
COMPLETED = "erasure.completed"
SOURCE = "/sluice/retention"


def order(
    tenant: TenantId, data: ErasureOrdered, job: EventId, source: str, now: datetime
) -> Event[ErasureOrdered]:
    """An order to forget a request or a person; ``job`` is a new id."""
    attributes = Attributes(
        id=job,
        type=ErasureOrdered.kind,
        source=source,
        subject=job,
        tenant=tenant,
        time=now,
    )
    return Event(attributes, data)


def ordered(event: Event[ErasureOrdered]) -> Outgoing[AuditRecorded]:
    """The intent, on the ledger whether or not the job ends.

    It covers nothing: content may still open until ``erasure.completed``.
    """
    data = event.data
    intent = Decision(
        stage="retention",
        control="erasure",
        verdict="ordered",
        rule=f"{data.scope}:{data.ref}",
    )
    recorded = _record(event, ORDERED, Actor(data.actor), decision=(intent,))
    return _outgoing(event.attributes, ORDERED, recorded)


def completed(event: Event[ErasureOrdered], as_of: datetime) -> Outgoing[AuditRecorded]:
    """Why content of this scope, older than ``as_of``, opens no more."""
    data = event.data
    covered = Erase(scope=data.scope, ref=data.ref, as_of=timestamp(as_of))
    recorded = _record(event, COMPLETED, Actor("system:retention"), erase=covered)
    return _outgoing(
        replace(event.attributes, source=SOURCE, time=as_of), COMPLETED, recorded
    )


def _record(
    event: Event[ErasureOrdered], action: str, actor: Actor, **facts: Any
) -> AuditRecorded:
    named = event.data.ref if event.data.scope == "request" else None
    request = RequestId(named) if named else None
    return AuditRecorded(
        action=action, actor=actor, status="ok", request_id=request, **facts
    )


def _outgoing(
    cause: Attributes, action: str, data: AuditRecorded
) -> Outgoing[AuditRecorded]:
    """Two records of one order have ids of their own, by their actions."""
    made = after(cause, AuditRecorded.kind, source=cause.source, time=cause.time)
    named = replace(made, id=event_id(cause.id, action))
    return Outgoing(AUDIT_RECORDED, Event(named, data))
