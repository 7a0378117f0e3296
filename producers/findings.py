"""What a pass found, as an incident on the ledger."""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from pipeline.audit import ROOT, Recorded
from pipeline.errors import HeadBent, LogClosed
from pipeline.ports.ledger import Ledger
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


async def recorded(
    ledger: Ledger, found: Finding, action: str, worker: str, now: datetime
) -> bool:
    """Record a finding; False: it was before.

    What is found of a log that is closed, or whose end is bent, stands on the root log,
    without a name.
    """
    try:
        made = await ledger.append([incident(found, action, worker, now)])
    except (LogClosed, HeadBent):
        elsewhere = _on_root(found)
        made = await ledger.append([incident(elsewhere, action, worker, now)])
    return not made.repeats


def _on_root(found: Finding) -> Finding:
    digest = sha256(found.tenant.encode()).hexdigest()
    return replace(found, tenant=ROOT, rule=f"{found.rule}.of_{digest[:32]}")


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
