"""What must be there, and what is due to go."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.keystore import CLASSES, TRANSIENT, Partition, class_named
from pipeline.retention import ahead, expired, last_expired

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


@given(moments)
def test_the_last_expired_day_is_the_last_that_is_due_to_go(now: datetime) -> None:
    day = timedelta(days=1)

    for each, last in last_expired(now).items():
        assert Partition(each, last).drops_at <= now
        assert Partition(each, last + day).drops_at > now


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
