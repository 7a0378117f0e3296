"""Key ids and the partitions that they name."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.keystore import (
    CLASSES,
    TRANSIENT,
    KeyId,
    Partition,
    RetentionClass,
    class_named,
    key_id,
    partition_named,
    partition_of,
    partition_prefix,
)
from schemas.policies import PolicyDocument

DAY = date(2026, 11, 22)
partitions = st.builds(
    Partition,
    st.sampled_from(CLASSES),
    st.dates(min_value=date(1970, 1, 1), max_value=date(2149, 6, 6)),
)


def test_a_policy_names_a_class_that_there_is() -> None:
    for each in CLASSES:
        assert each.name == PolicyDocument(retention_class=each.name).retention_class
    for name in ("31days", "2d", "30", "", "1d\n"):
        with pytest.raises(ValidationError, match="retention_class"):
            PolicyDocument(retention_class=name)


def test_a_key_id_is_day_class_and_randomness() -> None:
    made = key_id(Partition(class_named("30d"), DAY), bytes(range(13)))

    assert "512b03000102030405060708090a0b0c" == made


@given(partitions, st.binary(min_size=13, max_size=13))
def test_a_key_id_names_its_partition(partition: Partition, random: bytes) -> None:
    assert partition == partition_of(key_id(partition, random))


@given(partitions)
def test_a_partition_is_found_by_its_name(partition: Partition) -> None:
    assert partition == partition_named(partition.name)


@pytest.mark.parametrize("text", ["", "1d", "1d:", "2d:2026-11-22", "1d:2026-13-01"])
def test_what_names_no_partition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid|month"):
        partition_named(text)


@given(st.sampled_from(CLASSES), st.lists(st.dates(DAY), min_size=2, max_size=2))
def test_days_of_a_class_are_in_order_as_their_prefixes_are(
    each: RetentionClass, days: list[date]
) -> None:
    days = sorted(min(day, date(2149, 6, 6)) for day in days)

    first, second = (partition_prefix(Partition(each, day)) for day in days)

    assert (days[0] < days[1]) == (first < second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "512b03",
        "512B03000102030405060708090A0B0C",
        "512b03000102030405060708090a0b0c00",
        "51 2b 03 00 01 02 03 04 05 06 07 08 09 0a 0b 0c",
        "512bff000102030405060708090a0b0c",
        "zz2b03000102030405060708090a0b0c",
    ],
)
def test_what_is_no_key_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|hexadecimal"):
        partition_of(KeyId(text))


@pytest.mark.parametrize(
    ("day", "random"),
    [(DAY, bytes(12)), (date(1969, 12, 31), bytes(13)), (date(2149, 6, 7), bytes(13))],
)
def test_what_does_not_fit_a_key_id_is_refused(day: date, random: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        key_id(Partition(TRANSIENT, day), random)


def test_classes_are_found_by_name() -> None:
    names = ["transient", "1d", "7d", "30d", "90d", "180d", "365d"]

    assert list(CLASSES) == [class_named(name) for name in names]


def test_the_code_of_a_class_never_changes() -> None:
    assert list(range(7)) == [each.code for each in CLASSES]


@pytest.mark.parametrize("name", ["", "3", "30", "30D", "2d", "forever"])
def test_a_class_that_cannot_be_read_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="expected a retention class"):
        class_named(name)


def test_a_partition_drops_a_period_and_a_day_later() -> None:
    week = Partition(class_named("7d"), DAY)

    assert datetime(2026, 11, 30, tzinfo=UTC) == week.drops_at


def test_a_transient_partition_drops_the_next_day() -> None:
    transient = Partition(TRANSIENT, DAY)

    assert datetime(2026, 11, 23, 1, tzinfo=UTC) == transient.drops_at


@given(partitions, st.times())
def test_content_lives_its_period_and_a_day_more_at_most(
    partition: Partition, at: object
) -> None:
    made = datetime.fromisoformat(f"{partition.day}T{at}+00:00")
    period = partition.retention_class.period or timedelta(hours=1)

    assert period <= partition.drops_at - made <= period + timedelta(hours=24)
