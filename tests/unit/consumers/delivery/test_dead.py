"""What a burial writes, and whom it tells."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from consumers.delivery.attempts import Bury, Reason
from consumers.delivery.dead import SOURCE, Burial, Corpse, told
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from pipeline.errors import InvalidMessage
from pipeline.ports.bus import RawOutgoing, Record
from pipeline.sequencing import sift
from schemas.audit import AuditRecorded
from schemas.events import Attributes
from schemas.ids import EventId, derived, event_id
from schemas.requests import Outcome, RequestAccepted, RequestFinished
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    TOPICS,
    Topic,
)
from tests.support.audit import NOON, TENANT, request_id
from tests.support.delivery import HandClock, burial, headers

CAUSE = Attributes(
    id=EventId(derived("test", "cause")),
    type=RequestAccepted.kind,
    source="/sluice/gateway",
    subject=request_id("one"),
    tenant=TENANT,
    time=NOON,
    origin="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def corpse(
    topic: Topic[Any] = REQUESTS_ACCEPTED,
    *,
    value: bytes | None = b"{",
    without: str = "",
    stranger: bool = False,
    **changed: bytes | None,
) -> Corpse:
    found: dict[str, bytes | None] = {**dict(CAUSE.headers()), **changed}
    found.pop(without, None)
    record = Record(
        topic=topic.name,
        partition=3,
        offset=17,
        key=b"key",
        value=value,
        headers=tuple(found.items()),
        timestamp_ms=0,
        appended=True,
    )
    return Corpse(
        topic=topic,
        group="screening",
        record=record,
        verdict=Bury(Reason.INVALID_MESSAGE, "RequestAccepted.terms"),
        attempts=1,
        first_at=NOON,
        stranger=stranger,
    )


def test_a_request_whose_record_is_poison_ends_once_as_failed() -> None:
    audited, ended = told(corpse(), NOON)

    data = ended.event.data
    assert (AUDIT_RECORDED, REQUESTS_FINISHED) == (audited.topic, ended.topic)
    assert event_id(CAUSE.id, RequestFinished.kind) == ended.event.attributes.id
    assert (CAUSE.tenant, CAUSE.subject, CAUSE.id, CAUSE.origin, SOURCE) == (
        ended.event.attributes.tenant,
        ended.event.attributes.subject,
        ended.event.attributes.causation,
        ended.event.attributes.origin,
        ended.event.attributes.source,
    )
    assert isinstance(data, RequestFinished)
    assert (Outcome.FAILED, "poison", None) == (data.outcome, data.reason, data.terms)


def test_the_audit_record_holds_the_digest_and_the_same_id_each_time() -> None:
    first, _ = told(corpse(), NOON)
    again, _ = told(corpse(), NOON)

    data = first.event.data
    assert isinstance(data, AuditRecorded)
    (decision,) = data.decision
    assert f"sha256:{hashlib.sha256(b'{').hexdigest()}" == decision.rule
    assert request_id("one") == data.request_id
    assert (first.event.attributes.id, data) == (
        again.event.attributes.id,
        again.event.data,
    )


def test_buried_again_for_another_reason_contradicts_nothing() -> None:
    """A version that was taken back fell over what its elder cannot read."""
    first, repeated = corpse(), corpse()
    again = replace(first, verdict=Bury(Reason.HANDLER_ERROR, "ValueError x.py:1"))
    found = [
        out.event
        for each in (first, repeated, again)
        for out in told(each, NOON)
        if isinstance(out.event.data, AuditRecorded)
    ]

    sifted = sift(found, {}, ())

    assert (2, 1) == (len(sifted.fresh), sifted.repeats)


@pytest.mark.parametrize(
    "dead",
    [
        corpse(without="ce_tenant"),
        corpse(ce_tenant=None),
        corpse(ce_tenant=b"\xff"),
        corpse(ce_tenant=b"not a uuid"),
        corpse(ce_source=SOURCE.encode()),
        corpse(REQUESTS_INBOX, stranger=True),
    ],
)
def test_where_headers_cannot_say_whose_it_is_nobody_is_told(dead: Corpse) -> None:
    assert [] == list(told(dead, NOON))


@pytest.mark.parametrize(
    "dead",
    [
        corpse(without="ce_subject"),
        corpse(ce_subject=b"\xff"),
        corpse(ce_subject=b"../etc"),
        corpse(AUDIT_RECORDED),
    ],
)
def test_what_stands_for_no_request_ends_none(dead: Corpse) -> None:
    assert [AUDIT_RECORDED] == [out.topic for out in told(dead, NOON)]


def test_a_request_ends_though_its_event_s_id_cannot_be_read() -> None:
    _, ended = told(corpse(ce_id=b"\xff"), NOON)

    assert request_id("one") == ended.event.attributes.subject


async def buried(dead: Corpse, how: Burial | None = None) -> Record:
    clock = HandClock()
    log = MemoryLog(TOPICS, clock)
    used = how or burial(MemoryPublisher(log), clock)
    await replace(used, publisher=MemoryPublisher(log)).bury(dead)
    (letter,) = log.records(str(dead.topic.dead))
    return letter


async def test_bytes_and_partition_stay_and_only_known_headers_are_carried() -> None:
    dead = corpse(authorization=b"Bearer x", cookie=b"y", ce_odd=b"\xff", ce_null=None)
    letter = await buried(dead)

    names = {name for name, _ in letter.headers if not name.startswith("dead_")}
    wanted = {name for name, _ in CAUSE.headers()} | {"ce_odd"}
    assert (b"key", b"{", 3) == (letter.key, letter.value, letter.partition)
    assert wanted == names


async def test_the_letter_says_where_why_and_how_often() -> None:
    letter = await buried(corpse())
    carried = {n: v for n, v in headers(letter).items() if n.startswith("dead_")}

    noon = "2026-01-01T12:00:00.000000Z"
    assert {
        "dead_id": derived("dead", "screening", REQUESTS_ACCEPTED.name, "3", "17"),
        "dead_topic": REQUESTS_ACCEPTED.name,
        "dead_partition": "3",
        "dead_offset": "17",
        "dead_timestamp": "1970-01-01T00:00:00.000000Z",
        "dead_group": "screening",
        "dead_reason": "invalid_message",
        "dead_where": "RequestAccepted.terms",
        "dead_attempts": "1",
        "dead_first_at": noon,
        "dead_at": noon,
        "dead_version": "0.0.0",
    } == carried


async def test_neither_key_nor_value_becomes_an_empty_value() -> None:
    dead = corpse(value=None)
    bare = replace(dead, record=replace(dead.record, key=None))
    letter = await buried(bare)

    assert (None, b"") == (letter.key, letter.value)


class Small(MemoryPublisher):
    """Takes only letters of a few bytes."""

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        if len(outgoing.value) > 10:
            raise InvalidMessage("expected less")
        await super().publish_raw(outgoing)


async def test_what_grew_too_large_by_sealing_is_buried_without_its_value() -> None:
    clock = HandClock()
    log = MemoryLog(TOPICS, clock)
    dead = corpse(REQUESTS_INBOX, value=b"clear text", stranger=True)
    await burial(Small(log), clock).bury(dead)

    (letter,) = log.records(str(REQUESTS_INBOX.dead))
    assert (None, b"", "17") == (
        letter.key,
        letter.value,
        headers(letter)["dead_omitted"],
    )
