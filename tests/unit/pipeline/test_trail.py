"""What a step is called: its record's id follows from it."""

from hashlib import sha256

from pipeline.trail import Step
from pipeline.trail import recorded as record_of
from schemas.events import after
from schemas.requests import Decision
from tests.support.audit import NOON, recorded
from tests.support.installation import terms

CAUSE = recorded("cause").attributes
SOURCE = "/sluice/screening"


def test_what_a_guard_failed_to_say_names_its_step_as_it_ever_did() -> None:
    """Another order of a decision's members is another id, and a second record."""
    failed = Decision(stage="screening", control="pii", verdict="failed_open")
    step = Step(action="request.screened", decisions=[failed], guards_ran=["secrets"])

    found = record_of(CAUSE, terms(), step, source=SOURCE, now=NOON).event.attributes

    told = (
        '{"stage":"screening","control":"pii","verdict":"failed_open","rule":null}\n'
        "secrets"
    )
    name = f"request.screened:{sha256(told.encode()).hexdigest()[:16]}"
    expected = after(CAUSE, found.type, source=SOURCE, time=NOON, name=name)
    assert expected.id == found.id
