"""From a record to an event, or to words that hold no value."""

from dataclasses import replace

import pytest

from consumers.delivery.decode import decode
from pipeline.errors import InvalidMessage
from pipeline.ports.bus import Record
from schemas.topics import AUDIT_RECORDED
from tests.support.audit import recorded

EVENT = recorded("one", request="one")
GOOD = Record(
    topic=AUDIT_RECORDED.name,
    partition=0,
    offset=0,
    key=b"k",
    value=EVENT.data.model_dump_json().encode(),
    headers=tuple(EVENT.attributes.headers()),
    timestamp_ms=0,
    appended=True,
)


def with_header(name: str, value: bytes | None) -> Record:
    rest = tuple(pair for pair in GOOD.headers if pair[0] != name)
    return replace(GOOD, headers=(*rest, (name, value)))


def test_what_was_written_is_read() -> None:
    assert EVENT == decode(AUDIT_RECORDED, GOOD)


def test_headers_of_others_are_passed_over() -> None:
    record = replace(GOOD, headers=(*GOOD.headers, ("x-other", b"\xff"), ("y", None)))

    assert EVENT == decode(AUDIT_RECORDED, record)


@pytest.mark.parametrize(
    "record",
    [
        replace(GOOD, value=None),
        replace(GOOD, value=b""),
        replace(GOOD, value=b"{"),
        replace(GOOD, value=b'{"secret": 1}'),
        replace(GOOD, value=b"\xff\xfe secret"),
        replace(GOOD, value=b"[" * 100_000),
        replace(GOOD, headers=()),
        with_header("ce_id", None),
        with_header("ce_id", b"\xff"),
        with_header("ce_time", b"secret"),
        with_header("ce_type", b"secret.v1"),
        with_header("ce_specversion", b"0.3"),
        with_header("ce_causation", b"\xff"),
    ],
)
def test_poison_is_named_without_its_values(record: Record) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(AUDIT_RECORDED, record)

    told = f"{caught.value} {caught.value.__cause__}"
    assert "secret" not in told
    assert caught.value.where
