"""Times as they stand in headers and records."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.events import timestamp

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=30))])
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the zone is drawn
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=ZONES,
)


@given(moments)
@example(datetime(2026, 1, 1, tzinfo=UTC))
@example(datetime(2026, 1, 1, microsecond=1, tzinfo=UTC))
def test_a_moment_is_written_in_utc_with_six_digits(moment: datetime) -> None:
    written = timestamp(moment)

    assert f"{moment.astimezone(UTC):%H:%M:%S.%f}Z" == written[11:]
    assert moment.astimezone(UTC).date().isoformat() == written[:10]
    assert moment == datetime.fromisoformat(written)
