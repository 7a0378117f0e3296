"""Acts on a tenant's settings, as its ledger tells them."""

from dataclasses import dataclass
from datetime import datetime

from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, TenantId, event_id
from schemas.requests import Decision
from schemas.topics import AUDIT_RECORDED, Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who did what, to what.

    Attributes:
        id: a new id, or one derived from the cause.
        stage: which part of us did it, e.g. ``operator``.
        action: ``noun.past_tense``, e.g. ``key.revoked``.
        about: the id or the word of what it was done to; never content.
        model: the model name that it was about, where there is one.
    """

    id: str
    tenant: TenantId
    actor: Actor
    stage: str
    action: str
    about: str
    source: str
    at: datetime
    model: str | None = None


def acted(act: Act) -> Outgoing[AuditRecorded]:
    """The record of an act."""
    noun, _, verb = act.action.partition(".")
    attributes = Attributes(
        id=event_id(act.id, act.action),
        type=AuditRecorded.kind,
        source=act.source,
        subject=act.id,
        tenant=act.tenant,
        time=act.at,
    )
    decision = Decision(stage=act.stage, control=noun, verdict=verb, rule=act.about)
    told = AuditRecorded(
        action=act.action,
        actor=act.actor,
        status="ok",
        decision=(decision,),
        model=act.model,
    )
    return Outgoing(AUDIT_RECORDED, Event(attributes, told))
