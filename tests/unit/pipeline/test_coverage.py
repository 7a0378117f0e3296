"""Which guards a request came through without."""

import pytest

from pipeline.coverage import INCIDENT, missing, not_run, uncovered
from schemas.requests import Decision
from tests.support.audit import recorded

GUARDS = ("phrases", "pii")
OPEN = Decision(stage="screening", control="pii", verdict="failed_open")


def test_what_ran_is_covered() -> None:
    event = recorded(
        "a", "request.completed", guards_required=GUARDS, guards_ran=GUARDS
    )

    assert frozenset() == not_run(event.data)
    assert None is uncovered(event)


def test_a_guard_that_failed_open_did_not_run_though_it_is_listed() -> None:
    event = recorded(
        "a",
        "request.completed",
        request="r",
        guards_required=GUARDS,
        guards_ran=GUARDS,
        decision=(OPEN,),
    )

    incident = uncovered(event)

    assert {"pii"} == not_run(event.data)
    assert incident is not None
    assert INCIDENT == incident.data.action
    assert event.data.request_id == incident.data.request_id
    assert incident == uncovered(event)


def told(control: str, verdict: str) -> Decision:
    return Decision(stage="screening", control=control, verdict=verdict)


@pytest.mark.parametrize("verdict", ["failed_open", "not_run"])
def test_a_guard_that_did_not_judge_did_not_run(verdict: str) -> None:
    decision = (told("pii", verdict), told("phrases", "flagged"))
    event = recorded(
        "a",
        "request.completed",
        guards_required=GUARDS,
        guards_ran=GUARDS,
        decision=decision,
    )

    assert {"pii"} == not_run(event.data)


@pytest.mark.parametrize("verdict", ["flagged", "allowed", "reversible", "near"])
def test_a_guard_that_found_something_ran(verdict: str) -> None:
    event = recorded(
        "a",
        "request.completed",
        guards_required=GUARDS,
        guards_ran=GUARDS,
        decision=(told("pii", verdict),),
    )

    assert None is uncovered(event)


def test_the_incident_names_each_guard_and_what_was_required() -> None:
    event = recorded(
        "a",
        "request.completed",
        request="r",
        guards_required=("names", *GUARDS),
        guards_ran=("phrases",),
    )

    incident = uncovered(event)

    assert incident is not None
    data, attributes = incident.data, incident.attributes
    assert [("ledger", "names", "not_run"), ("ledger", "pii", "not_run")] == [
        (each.stage, each.control, each.verdict) for each in data.decision
    ]
    assert (("names", *GUARDS), ("phrases",)) == (data.guards_required, data.guards_ran)
    assert ("guards_not_run", "system:ledger") == (data.status, data.actor)
    assert event.attributes.tenant == attributes.tenant
    assert event.attributes.subject == attributes.subject
    assert event.attributes.time == attributes.time
    assert event.attributes.id == attributes.causation != attributes.id


@pytest.mark.parametrize(
    "action", ["request.accepted", "request.blocked", "request.failed"]
)
def test_what_went_no_further_missed_no_guard(action: str) -> None:
    event = recorded("a", action, guards_required=GUARDS)

    assert None is uncovered(event)
    assert frozenset() == missing(event.data)


def test_what_came_through_without_a_guard_missed_it() -> None:
    event = recorded("a", "request.completed", guards_required=GUARDS)

    assert set(GUARDS) == missing(event.data)


def test_a_guard_that_nobody_required_is_no_matter() -> None:
    event = recorded("a", "request.completed", guards_ran=GUARDS)

    assert None is uncovered(event)


def test_a_recogniser_is_required_by_name_and_runs_under_its_version() -> None:
    required = ("ner.x", "ner.y")
    event = recorded(
        "a",
        "request.completed",
        guards_required=required,
        guards_ran=("ner.x@1.0", "ner.yy@1.0"),
    )

    assert {"ner.y"} == not_run(event.data)
