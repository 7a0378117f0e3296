"""Coverage: did every guard that the policy required run?

What was required comes from the policy version at admission, what ran from the stages.
A log line that says success proves nothing: a guard that was skipped wrote one too.
"""

from typing import Final

from schemas.audit import AuditRecord, AuditRecorded
from schemas.events import Event, after
from schemas.ids import Actor
from schemas.requests import Decision

INCIDENT: Final = "incident.coverage"
NOT_RUN: Final = frozenset({"failed_open", "not_run"})
"""Verdicts of a guard that let a request pass without having judged it."""
_THROUGH: Final = "request.completed"
# What was blocked or failed went no further, so later guards had nothing to judge.


def missing(found: AuditRecord | AuditRecorded) -> frozenset[str]:
    """The required guards that a request came through without, by its last record.

    Of every other record none: later stages may still run them.
    """
    return not_run(found) if found.action == _THROUGH else frozenset()


def not_run(found: AuditRecord | AuditRecorded) -> frozenset[str]:
    """The required guards that did not run, up to this record.

    A guard that failed open did not run, whatever it is listed as. Recognisers run
    under ``ner.<name>@<version>`` and are required by name.
    """
    failed = {each.control for each in found.decision if each.verdict in NOT_RUN}
    ran = {each.partition("@")[0] for each in found.guards_ran} - failed
    return frozenset(found.guards_required) - ran


def uncovered(event: Event[AuditRecorded]) -> Event[AuditRecorded] | None:
    """The incident that this event is, if a request came through without a guard.

    Law: the same event gives the same incident.
    """
    data = event.data
    guards = sorted(missing(data))
    if not guards:
        return None
    attributes = after(
        event.attributes,
        INCIDENT,
        source="/sluice/ledger",
        time=event.attributes.time,
    )
    incident = AuditRecorded(
        action=INCIDENT,
        actor=Actor("system:ledger"),
        status="guards_not_run",
        request_id=data.request_id,
        decision=tuple(
            Decision(stage="ledger", control=guard, verdict="not_run")
            for guard in guards
        ),
        guards_required=data.guards_required,
        guards_ran=data.guards_ran,
        policy=data.policy,
    )
    return Event(attributes, incident)
