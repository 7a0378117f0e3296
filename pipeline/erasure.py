"""Orders to forget, and what the ledger is told of them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.audit import AuditRecorded, Erase
from schemas.events import Attributes, Event, after, timestamp
from schemas.ids import Actor, EventId, RequestId, TenantId, event_id
from schemas.requests import Decision
from schemas.retention import ErasureOrdered
from schemas.topics import AUDIT_RECORDED, RETENTION_DUE, Outgoing

ORDERED = "erasure.ordered"
COMPLETED = "erasure.completed"
PARTLY = "partly"
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


def rest(event: Event[ErasureOrdered]) -> Outgoing[ErasureOrdered]:
    """The order once more, as a job of its own, for what one job leaves over.

    Law: equal orders have equal rests, so a redelivery orders nothing twice.
    """
    cause = event.attributes
    made = after(cause, ErasureOrdered.kind, source=SOURCE, time=cause.time)
    job = event_id(cause.id, "rest")
    named = replace(made, id=job, subject=job)
    return Outgoing(RETENTION_DUE, Event(named, event.data))


def completed(
    event: Event[ErasureOrdered], as_of: datetime, *, partly: bool = False
) -> Outgoing[AuditRecorded]:
    """Why content of this scope, older than ``as_of``, opens no more.

    ``partly``: some of it still does, and :func:`rest` of the order is on its way.
    """
    data = event.data
    covered = Erase(scope=data.scope, ref=data.ref, as_of=timestamp(as_of))
    recorded = _record(
        event,
        COMPLETED,
        Actor("system:retention"),
        status=PARTLY if partly else "ok",
        erase=covered,
    )
    return _outgoing(
        replace(event.attributes, source=SOURCE, time=as_of), COMPLETED, recorded
    )


def _record(
    event: Event[ErasureOrdered],
    action: str,
    actor: Actor,
    status: str = "ok",
    **facts: Any,
) -> AuditRecorded:
    named = event.data.ref if event.data.scope == "request" else None
    request = RequestId(named) if named else None
    return AuditRecorded(
        action=action, actor=actor, status=status, request_id=request, **facts
    )


def _outgoing(
    cause: Attributes, action: str, data: AuditRecorded
) -> Outgoing[AuditRecorded]:
    """Two records of one order have ids of their own, by their actions.

    So has one that says less than a version told that knew no parts.
    """
    made = after(cause, AuditRecorded.kind, source=cause.source, time=cause.time)
    name = action if data.status == "ok" else f"{action}:{data.status}"
    named = replace(made, id=event_id(cause.id, name))
    return Outgoing(AUDIT_RECORDED, Event(named, data))
