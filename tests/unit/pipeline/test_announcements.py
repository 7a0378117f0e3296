"""Which kinds of message a request's end becomes."""

import pytest

from pipeline.announcements import of_end
from pipeline.reasons import CUT_SHORT, Reason
from schemas.events import Attributes, Event
from schemas.ids import EventId
from schemas.policies import Guard
from schemas.requests import Decision, Dialect, Outcome, RequestFinished
from schemas.webhooks import Kind
from tests.support.audit import NOON
from tests.support.installation import new_request_id, new_tenant, terms

OUTPUT = Decision(stage="screening", control=Guard.OUTPUT, verdict="blocked")


def kinds(dialect: Dialect, end: RequestFinished) -> list[str]:
    request = new_request_id()
    attributes = Attributes(
        id=EventId(request),
        type=RequestFinished.kind,
        source="/sluice/test",
        subject=request,
        tenant=new_tenant(),
        time=NOON,
    )
    asked = terms(dialect=dialect)
    return [each.kind for each in of_end(Event(attributes, end), asked)]


@pytest.mark.parametrize(
    ("outcome", "reason", "decisions", "request_kind", "response_kind"),
    [
        (
            Outcome.COMPLETED,
            None,
            (),
            Kind.REQUEST_COMPLETED,
            Kind.RESPONSE_COMPLETED,
        ),
        (
            Outcome.COMPLETED,
            CUT_SHORT,
            (),
            Kind.REQUEST_COMPLETED,
            Kind.RESPONSE_INCOMPLETE,
        ),
        (
            Outcome.BLOCKED,
            "security.output",
            (OUTPUT,),
            Kind.REQUEST_BLOCKED,
            Kind.RESPONSE_INCOMPLETE,
        ),
        (
            Outcome.BLOCKED,
            "security.output",
            (),
            Kind.REQUEST_BLOCKED,
            Kind.RESPONSE_FAILED,
        ),
        (
            Outcome.FAILED,
            Reason.UPSTREAM_BUSY,
            (),
            Kind.REQUEST_FAILED,
            Kind.RESPONSE_FAILED,
        ),
        (
            Outcome.CANCELLED,
            Reason.CANCELLED,
            (),
            Kind.REQUEST_CANCELLED,
            Kind.RESPONSE_CANCELLED,
        ),
    ],
)
def test_an_end_is_told_as_what_it_is(
    outcome: Outcome,
    reason: str | None,
    decisions: tuple[Decision, ...],
    request_kind: Kind,
    response_kind: Kind,
) -> None:
    end = RequestFinished(
        terms=None, outcome=outcome, reason=reason, decisions=decisions, guards_ran=()
    )

    assert [request_kind, response_kind] == kinds(Dialect.OPENAI_RESPONSES, end)
    assert [request_kind] == kinds(Dialect.OPENAI_CHAT, end)
