"""What a pass found, as an incident on the ledger."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.audit import Recorded
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, TenantId, event_id
from schemas.requests import Decision


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold; the same finding is recorded once, not each day.

    Attributes:
        tenant: whose log says so.
        what: tells it from other findings.
    """

    tenant: TenantId
    what: str
    verdict: str
    rule: str


def incident(found: Finding, action: str, worker: str, now: datetime) -> Recorded:
    """The record of a finding; ``worker`` names who found it."""
    attributes = Attributes(
        id=event_id(found.what, action),
        type=AuditRecorded.kind,
        source=f"/sluice/{worker}",
        subject=action,
        tenant=found.tenant,
        time=now,
    )
    said = Decision(
        stage="ledger", control=worker, verdict=found.verdict, rule=found.rule
    )
    data = AuditRecorded(
        action=action,
        actor=Actor(f"system:{worker}"),
        status="broken",
        decision=(said,),
    )
    return Event(attributes, data)
