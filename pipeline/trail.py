"""What a request leaves behind: its records, its end, the reply to who waits.

Built in one place from an event, so that every stage tells the story in the same words,
and a redelivery tells it again under the same ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from pipeline.ports.recognisers import PREFIX
from pipeline.reasons import CIRCUMSTANTIAL
from pipeline.sealing import Purpose
from pipeline.work import OpenRequest
from schemas.audit import (
    MAX_CONTENT,
    MAX_DECISIONS,
    MAX_LOOKED,
    AuditRecorded,
    ContentCommitment,
    Retained,
)
from schemas.events import Attributes, Event, after
from schemas.ids import RequestId
from schemas.policies import Guard
from schemas.requests import (
    Decision,
    Looked,
    Outcome,
    RequestAccepted,
    RequestFinished,
    RequestRedacted,
    RequestReplied,
    SealedContent,
    Terms,
    Usage,
)
from schemas.topics import AUDIT_RECORDED, REPLIES, REQUESTS_FINISHED, Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a request, as its stage tells it.

    Attributes:
        action: e.g. ``request.screened``.
        status: ``ok``, or the reason why it went no further.
    """

    action: str
    status: str = "ok"
    decisions: Sequence[Decision] = ()
    guards_ran: Sequence[str] = ()
    contents: Sequence[tuple[Purpose, SealedContent]] = ()
    usage: Usage | None = None
    model: str | None = None
    looked: Sequence[Looked] = ()


def _named(kind: str, status: str | None, said: Step | RequestFinished) -> str:
    """What tells one account of a step from another that may honestly differ.

    Two versions that run side by side, in an upgrade, judge by two recipes. A guard
    that took too long may be in time when it looks again, and another one late; and a
    recogniser from outside may be another by then. So what they said is named by that.
    """
    parts = [kind]
    parts += [status] if status is not None and status in CIRCUMSTANTIAL else []
    parts += [said.looked[-1].recipe[:16]] if said.looked else []
    failed = any(each.verdict.startswith("failed_") for each in said.decisions)
    if failed or any(each.startswith(PREFIX) for each in said.guards_ran):
        told = [*map(_words, said.decisions), *map(str.encode, said.guards_ran)]
        parts.append(sha256(b"\n".join(told)).hexdigest()[:16])
    return ":".join(parts)


def _words(said: Decision) -> bytes:
    """Ids follow from it: so it stays as it is, however a decision is written."""
    names = ("stage", "control", "verdict", "rule")
    return orjson.dumps({name: getattr(said, name) for name in names})


def told(
    event: Event[OpenRequest], step: Step, *, source: str, now: datetime
) -> Outgoing[AuditRecorded]:
    """The ledger's record of one step of an open request."""
    return recorded(event.attributes, event.data.terms, step, source=source, now=now)


def stopped(
    event: Event[OpenRequest],
    step: Step,
    *,
    source: str,
    now: datetime,
    outcome: Outcome = Outcome.FAILED,
) -> list[Outgoing[Any]]:
    """The record of a step that let a request go no further, and the request's end.

    The end carries all that was decided before, and ``step``'s decisions.
    """
    finished = RequestFinished(
        terms=event.data.terms,
        outcome=outcome,
        reason=step.status,
        decisions=(*decided(event), *step.decisions),
        guards_ran=(*ran(event), *step.guards_ran),
        usage=step.usage,
        model=step.model,
        looked=(*looked(event), *step.looked),
        findings=(*found_in(event), *findings(step)),
    )
    return [
        told(event, step, source=source, now=now),
        *ended(event.attributes, finished, source=source, now=now),
    ]


def decided(event: Event[OpenRequest]) -> tuple[Decision, ...]:
    """All decisions before this event."""
    return () if isinstance(event.data, RequestAccepted) else event.data.decisions


def ran(event: Event[OpenRequest]) -> tuple[str, ...]:
    """All guards that ran before this event."""
    return () if isinstance(event.data, RequestAccepted) else event.data.guards_ran


def looked(event: Event[OpenRequest]) -> tuple[Looked, ...]:
    """What detection saw before this event."""
    return () if isinstance(event.data, RequestAccepted) else event.data.looked


def found_in(event: Event[OpenRequest]) -> tuple[SealedContent, ...]:
    """The findings that were sealed before this event."""
    found = event.data.findings if isinstance(event.data, RequestRedacted) else None
    return () if found is None else (found,)


def sealed(
    *contents: tuple[Purpose, SealedContent | None],
) -> tuple[tuple[Purpose, SealedContent], ...]:
    """What a step sealed, of what it may have sealed."""
    return tuple((purpose, found) for purpose, found in contents if found is not None)


def findings(step: Step) -> tuple[SealedContent, ...]:
    """The findings that a step sealed."""
    return tuple(c for purpose, c in step.contents if purpose is Purpose.FINDINGS)


def withheld(end: RequestFinished) -> bool:
    """Was it the answer that was blocked, not the request?"""
    said = ((each.control, each.verdict) for each in end.decisions)
    return end.outcome is Outcome.BLOCKED and (Guard.OUTPUT, "blocked") in said


def recorded(
    cause: Attributes, terms: Terms, step: Step, *, source: str, now: datetime
) -> Outgoing[AuditRecorded]:
    """The ledger's record of one step.

    Law: its id follows from the cause, the action, the recipe and, where a redelivery
    may find otherwise, the status, the decisions and the guards that ran.
    """
    data = AuditRecorded(
        action=step.action,
        actor=terms.actor,
        status=step.status,
        request_id=RequestId(cause.subject),
        decision=decisive(step.decisions),
        guards_required=terms.guards_required,
        guards_ran=tuple(step.guards_ran),
        looked=tuple(step.looked[:MAX_LOOKED]),
        policy=terms.policy,
        model=step.model or terms.model,
        usage=step.usage,
        content=tuple(
            _commitment(purpose, content, terms)
            for purpose, content in step.contents[:MAX_CONTENT]
        ),
        retention=Retained(
            retention_class=terms.retention.retention_class, day=terms.retention.day
        ),
    )
    name = _named(step.action, step.status, step)
    attributes = after(cause, data.kind, source=source, time=now, name=name)
    return Outgoing(AUDIT_RECORDED, Event(attributes, data))


def decisive(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """As many as a record holds, those that stopped something first."""
    ranked = sorted(decisions, key=lambda each: each.verdict in ("allowed", "ran"))
    return tuple(ranked[:MAX_DECISIONS])


def _commitment(
    purpose: Purpose, content: SealedContent, terms: Terms
) -> ContentCommitment:
    return ContentCommitment(
        purpose=purpose.value,
        commit=content.commit,
        sealed_sha256=sha256(content.sealed).hexdigest(),
        key_id=terms.key_id,
    )


def ended(
    cause: Attributes,
    finished: RequestFinished,
    *,
    source: str,
    now: datetime,
) -> list[Outgoing[Any]]:
    """A request's end, and the reply where a gateway waits for it."""
    name = _named(finished.kind, finished.reason, finished)
    attributes = after(cause, finished.kind, source=source, time=now, name=name)
    found: list[Outgoing[Any]] = [
        Outgoing(REQUESTS_FINISHED, Event(attributes, finished))
    ]
    terms = finished.terms
    if terms is not None and terms.reply_partition is not None:
        reply = RequestReplied(
            outcome=finished.outcome, reason=finished.reason, answer=finished.answer
        )
        replied = after(cause, RequestReplied.kind, source=source, time=now)
        found.append(Outgoing(REPLIES, Event(replied, reply), terms.reply_partition))
    return found
