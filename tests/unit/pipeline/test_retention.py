"""What must be there, and what is due to go."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.keystore import CLASSES, TRANSIENT, KeyId, Partition, class_named
from pipeline.ports.keys import KeyRef
from pipeline.retention import ahead, expired, passing
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId
from schemas.requests import (
    Dialect,
    Outcome,
    PolicyRef,
    RequestFinished,
    Retention,
    Route,
    Terms,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)


@given(moments)
def test_today_and_tomorrow_are_ready_in_every_class(now: datetime) -> None:
    ready = ahead(now)

    for each in CLASSES:
        days = {part.day for part in ready if part.retention_class == each}
        assert now.date() in days
        assert 4 <= len(days)


@given(moments)
def test_nothing_is_made_that_is_due_to_go(now: datetime) -> None:
    assert [] == expired(ahead(now), now)


def test_what_is_due_goes_in_order_and_the_rest_stays() -> None:
    week, month = class_named("7d"), class_named("30d")
    due = [
        Partition(TRANSIENT, date(2026, 11, 21)),
        Partition(week, date(2026, 11, 13)),
        Partition(week, date(2026, 11, 14)),
    ]
    stays = [
        Partition(TRANSIENT, date(2026, 11, 22)),
        Partition(week, date(2026, 11, 15)),
        Partition(month, date(2026, 11, 13)),
    ]

    assert due == expired([*due, *stays], NOON)


def ended(request: str, retention_class: str) -> Event[RequestFinished]:
    terms = Terms(
        actor=Actor("key:one"),
        environment="live",
        dialect=Dialect.OPENAI_CHAT,
        model="m",
        route=Route(provider="p", model="m"),
        policy=PolicyRef(id="default", version=1, sha256="ab" * 32),
        guards_required=(),
        retention=Retention(retention_class=retention_class, day="2026-11-22"),
        key_id="51" * 16,
        deadline=NOON,
    )
    data = RequestFinished(
        terms=terms, outcome=Outcome.COMPLETED, decisions=(), guards_ran=()
    )
    return Event(attributes(request), data)


def attributes(request: str) -> Attributes:
    return Attributes(
        id=EventId("event"),
        type=RequestFinished.kind,
        source="/sluice/provider",
        subject=request,
        tenant=TenantId("tenant"),
        time=NOON,
    )


def test_keys_of_ended_transient_requests_are_passing() -> None:
    events = [ended("a", "transient"), ended("b", "1d"), ended("c", "transient")]
    key = KeyId("51" * 16)

    assert [
        KeyRef(TenantId("tenant"), RequestId("a"), key),
        KeyRef(TenantId("tenant"), RequestId("c"), key),
    ] == passing(events)


def test_an_end_without_terms_names_no_key() -> None:
    data = RequestFinished(
        terms=None, outcome=Outcome.FAILED, decisions=(), guards_ran=()
    )

    assert [] == passing([Event(attributes("a"), data)])
