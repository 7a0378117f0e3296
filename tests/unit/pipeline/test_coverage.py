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
