"""Dead letters: what is told of one, and that it goes back as it came."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.letters import REPLAY_OF, Letter, Refusal, again, dead_topics, letter
from pipeline.ports.bus import RawOutgoing, Record
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_INBOX,
    TOPICS,
)
from tests.support.audit import TENANT, recorded, request_id

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OURS: dict[str, str] = {
    "dead_id": ID,
    "dead_topic": AUDIT_RECORDED.name,
    "dead_partition": "3",
    "dead_offset": "41",
    "dead_timestamp": "2026-01-01T12:00:00.000000Z",
    "dead_group": "audit",
    "dead_reason": "invalid_message",
    "dead_where": "AuditRecorded.action",
    "dead_attempts": "1",
    "dead_first_at": "2026-01-01T12:00:00.000000Z",
    "dead_at": "2026-01-01T12:00:01.000000Z",
    "dead_version": "0.1.0",
}
SOURCE = tuple(recorded("a").attributes.headers())


def buried(
    *,
    value: bytes = b"{",
    headers: tuple[tuple[str, bytes | None], ...] = SOURCE,
    **ours: str,
) -> Record:
    told = tuple((name, text.encode()) for name, text in {**OURS, **ours}.items())
    return Record(
        topic=f"{AUDIT_RECORDED.name}.dead",
        partition=3,
        offset=5,
        key=b"k",
        value=value,
        headers=(*headers, *told),
        timestamp_ms=0,
        appended=True,
    )


def read(record: Record) -> Letter:
    found = letter(record)
    assert found is not None
    return found


def test_a_letter_tells_where_why_and_how_large() -> None:
    found = read(buried(value=b"secret content"))

    assert (ID, 3, 41, (3, 5)) == (found.id, found.partition, found.offset, found.place)
    assert ("audit", "invalid_message") == (found.group, found.reason)
    assert (1, 14) == (found.key_bytes, found.value_bytes)
    assert sha256(b"secret content").hexdigest() == found.sha256
    assert found.tenant == TENANT
    assert "secret" not in repr(found)


def test_what_delivery_did_not_write_is_no_letter() -> None:
    foreign = replace(buried(), headers=SOURCE)

    assert letter(foreign) is None
    assert letter(buried(dead_offset="x")) is None


def test_a_header_that_is_not_what_it_should_be_tells_its_size_alone() -> None:
    told: tuple[tuple[str, bytes | None], ...] = (
        ("ce_subject", b"tell nobody"),
        ("ce_tenant", b"\xff"),
        ("x-note", b"psst"),
    )
    odd = (*told, ("ce_id", None))

    found = read(buried(headers=odd))

    shown = {"ce_subject": "(11 bytes)", "ce_tenant": "(1 bytes)"}
    assert shown == found.headers
    assert found.tenant is None


def test_nothing_that_a_stranger_wrote_is_shown() -> None:
    found = read(buried(dead_topic=REQUESTS_INBOX.name))

    assert not [text for text in found.headers.values() if "bytes)" not in text]


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.binary(max_size=60),
    extra=st.dictionaries(
        st.sampled_from(["ce_extra", "tracestate", REPLAY_OF]), st.binary(max_size=20)
    ),
)
def test_what_is_put_back_is_what_was_buried(
    key: bytes | None, value: bytes, extra: dict[str, Any]
) -> None:
    """Law: equal key, value and carried headers, in the same partition."""
    headers = (*SOURCE, *extra.items())
    record = replace(buried(value=value, headers=headers), key=key)

    made = again(record, read(record))

    assert isinstance(made, RawOutgoing)
    carried = [pair for pair in headers if pair[0] != REPLAY_OF]
    assert [*carried, (REPLAY_OF, ID.encode())] == list(made.headers)
    assert (key, value, 3) == (made.key, made.value, made.partition)
    assert AUDIT_RECORDED.name == made.topic


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (buried(dead_topic=REQUESTS_INBOX.name), Refusal.STRANGER),
        (buried(dead_omitted="9"), Refusal.OMITTED),
        (buried(headers=()), Refusal.NOBODYS),
    ],
)
def test_what_cannot_be_put_back_says_why(record: Record, refusal: Refusal) -> None:
    assert refusal == again(record, read(record))


def test_a_request_is_named_only_by_events_of_requests() -> None:
    about = read(buried(dead_topic=REQUESTS_ACCEPTED.name))

    assert request_id("a") == about.request
    assert read(buried()).request is None


def test_topics_are_chosen_by_name_by_group_or_by_the_letters_topic() -> None:
    by_group = dead_topics(TOPICS, topic=None, group="audit")
    by_name = dead_topics(TOPICS, topic=AUDIT_RECORDED.dead, group=None)

    assert [AUDIT_RECORDED] == by_group == by_name
    assert len(TOPICS) - 1 == len(dead_topics(TOPICS, topic=None, group=None))
