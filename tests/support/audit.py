"""Audit events for tests."""

from datetime import UTC, datetime
from typing import Any

from pipeline.audit import Recorded
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId, derived

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TENANT = TenantId("018f3c1a-7c00-7000-8000-000000000001")
OTHER = TenantId("018f3c1a-7c00-7000-8000-000000000002")


def recorded(
    name: str,
    action: str = "request.screened",
    *,
    tenant: TenantId = TENANT,
    request: str | None = None,
    time: datetime = NOON,
    **data: Any,
) -> Recorded:
    """An event that is known by ``name``: equal names give equal ids."""
    attributes = Attributes(
        id=EventId(derived("test", tenant, name)),
        type=AuditRecorded.kind,
        source="/sluice/test",
        subject=request_id(request or name),
        tenant=tenant,
        time=time,
    )
    found = request_id(request) if request else None
    actor = Actor("system:test")
    return Event(
        attributes,
        AuditRecorded(action=action, actor=actor, request_id=found, **data),
    )


def request_id(name: str) -> RequestId:
    """The id of the request that is known by ``name``."""
    return RequestId(derived("test", "request", name))
