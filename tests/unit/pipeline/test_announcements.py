"""Which kinds of message a request's end becomes, and what they tell to whom."""

import json

import pytest

from pipeline.announcements import of_end, of_receipt
from pipeline.dialects.openai_responses import response_id
from pipeline.ports.tenants import Environment
from pipeline.reasons import CUT_SHORT, Reason
from schemas.events import Attributes, Event
from schemas.ids import EventId, RequestId
from schemas.policies import Guard
from schemas.requests import Decision, Dialect, Outcome, RequestFinished
from schemas.webhooks import Kind
from tests.support.audit import NOON
from tests.support.installation import new_request_id, new_tenant, terms

OUTPUT = Decision(stage="screening", control=Guard.OUTPUT, verdict="blocked")


def ended(end: RequestFinished) -> Event[RequestFinished]:
    request = new_request_id()
    attributes = Attributes(
        id=EventId(request),
        type=RequestFinished.kind,
        source="/sluice/test",
        subject=request,
        tenant=new_tenant(),
        time=NOON,
    )
    return Event(attributes, end)


def kinds(dialect: Dialect, end: RequestFinished) -> list[str]:
    return [each.kind for each in of_end(ended(end), terms(dialect=dialect))]


@pytest.mark.parametrize("environment", ["live", "test"])
def test_an_end_is_told_where_it_was_asked_in_ids_and_words(
    environment: Environment,
) -> None:
    event = ended(
        RequestFinished(
            terms=None,
            outcome=Outcome.FAILED,
            reason=Reason.UPSTREAM_BUSY,
            decisions=(OUTPUT,),
            guards_ran=(),
        )
    )
    request, tenant = RequestId(event.attributes.subject), event.attributes.tenant
    asked = terms(dialect=Dialect.OPENAI_RESPONSES, environment=environment)
    told = of_end(event, asked)
    words = {"request_id": request, "outcome": "failed", "reason": "upstream_busy"}

    assert {(tenant, environment, NOON)} == {
        (each.tenant_id, each.environment, each.created_at) for each in told
    }
    assert [{"id": request, **words}, {"id": response_id(request), **words}] == [
        json.loads(each.body)["data"] for each in told
    ]


def test_what_is_of_no_environment_is_told_in_each_by_itself() -> None:
    """Else the second announcement would be taken for a repeat of the first."""
    tenant = new_tenant()
    told = of_receipt(tenant, "a job", NOON)

    assert [(tenant, "live"), (tenant, "test")] == [
        (each.tenant_id, each.environment) for each in told
    ]
    assert 2 == len({each.id for each in told})
    assert [{"id": "a job"}] * 2 == [json.loads(each.body)["data"] for each in told]


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
