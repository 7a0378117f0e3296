"""Orders to forget, and their two records."""

from datetime import UTC, datetime, timedelta

from pipeline.erasure import completed, order, ordered
from schemas.events import timestamp
from schemas.ids import EventId, TenantId
from schemas.retention import ErasureOrdered

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
JOB = EventId("018f3c1a-7c00-7000-8000-000000000001")
TENANT = TenantId("018f3c1a-7c00-7000-8000-000000000002")
REQUEST = "018f3c1a-7c00-7000-8000-000000000003"
PERSON = "ab" * 32


def of_request() -> ErasureOrdered:
    return ErasureOrdered(actor="user:anna", scope="request", ref=REQUEST)


def test_the_order_and_its_records_are_one_story() -> None:
    event = order(TENANT, of_request(), JOB, "/sluice/cli", NOON)
    intent, end = ordered(event), completed(event, LATER)

    assert (JOB, TENANT, NOON) == (
        event.attributes.id,
        event.attributes.tenant,
        event.attributes.time,
    )
    assert {JOB} == {each.event.attributes.causation for each in (intent, end)}
    assert intent.event.attributes.id != end.event.attributes.id
    assert [NOON, LATER] == [each.event.attributes.time for each in (intent, end)]
    assert ordered(event) == intent
    assert completed(event, LATER) == end


def test_the_intent_names_who_ordered_and_covers_nothing() -> None:
    record = ordered(order(TENANT, of_request(), JOB, "/x", NOON)).event.data

    assert ("erasure.ordered", "user:anna") == (record.action, record.actor)
    assert REQUEST == record.request_id
    assert record.erase is None
    assert [f"request:{REQUEST}"] == [each.rule for each in record.decision]


def test_the_end_covers_what_was_ordered() -> None:
    person = ErasureOrdered(actor="user:anna", scope="subject", ref=PERSON)
    record = completed(order(TENANT, person, JOB, "/x", NOON), LATER).event.data

    assert "erasure.completed" == record.action
    assert record.request_id is None
    assert record.erase is not None
    assert ("subject", PERSON, timestamp(LATER)) == (
        record.erase.scope,
        record.erase.ref,
        record.erase.as_of,
    )
