"""Records: the worked example, the chain, and what is a repeat."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.audit import Chained, chain, empty, facts, record
from pipeline.canonical import canonical, parse
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.merkle import root_of
from pipeline.sequencing import SECOND_TERMINAL, sift
from schemas.audit import (
    MAX_CONTENT,
    MAX_DECISIONS,
    MAX_GUARDS,
    MAX_LOOKED,
    MAX_MISSING,
    MAX_RANGES,
    MAX_RECORD_BYTES,
    AuditRecord,
    AuditRecorded,
    ContentCommitment,
    Erase,
    Heartbeat,
    OffsetRange,
    Reconciled,
    Retained,
)
from schemas.base import MAX_INTEGER
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId
from schemas.requests import Decision, Looked, PolicyRef, Usage
from tests.support.audit import NOON, recorded, request_id

ORIGIN = "ledger.example.com/t_01"
EXAMPLE = (
    b'{"action":"log.created","actor":"system:ledger","event_id":"00000000-0000-5000-'
    b'8000-000000000000","log":"ledger.example.com/t_01","prev":"43d8b2cdaa470d52babda'
    b'e19adc9661e1071a740a66094c790fa42aa557698a8","seq":0,"ts":"2026-01-01T00:00:00.0'
    b'00000Z","v":1}'
)
PASSED = Decision(stage="screening", control="phrases", verdict="passed")
BLOCKED = Decision(stage="screening", control="phrases", verdict="blocked")


def example() -> Chained:
    attributes = Attributes(
        id=EventId("00000000-0000-5000-8000-000000000000"),
        type=AuditRecorded.kind,
        source="/sluice/ledger",
        subject=ORIGIN,
        tenant=TenantId("t_01"),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    data = AuditRecorded(action="log.created", actor=Actor("system:ledger"))
    return chain(empty(ORIGIN), [Event(attributes, data)])


def test_the_worked_example_to_its_bytes() -> None:
    chained = example()

    assert 253 == len(EXAMPLE)
    assert EXAMPLE == chained.entries[0].body
    last = "83c36bbb3bb1086d59d8c52085e4b1cba9afd4ad2c60137d8333fe204cada121"
    root = "65a0d2f4d360d47f55c48a2ed7b5fa9503e18ddd035d3c1d8be403d5f9474c15"
    assert last == chained.head.last.hex()
    assert root == chained.entries[0].leaf.hex() == chained.head.tree.root().hex()


names = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=30)


@given(names, st.data())
def test_chaining_twice_is_chaining_once(names: list[str], data: st.DataObject) -> None:
    events = [recorded(name) for name in names]
    cut = data.draw(st.integers(0, len(events)))
    first = chain(empty(ORIGIN), events[:cut])
    second = chain(first.head, events[cut:])

    whole = chain(empty(ORIGIN), events)

    assert whole.head == second.head
    assert whole.entries == first.entries + second.entries
    assert whole.head.tree.root() == root_of([each.leaf for each in whole.entries])


def full_look() -> Looked:
    words = [f"{n:016}" for n in range(24)]
    counts = {word: dict.fromkeys(words[:4], 10**9) for word in words}
    return Looked(
        stage="x" * 16, recipe="0" * 64, signals=("x" * 32,) * 16, found=counts
    )


def full(action: str = "request.completed") -> dict[str, Any]:
    code = "x" * 128
    decision = Decision(stage=code, control=code, verdict=code, rule=code)
    commitment = ContentCommitment(
        purpose=code, commit="0" * 64, sealed_sha256="0" * 64, key_id="0" * 32
    )
    return {
        "action": action,
        "actor": "system:" + code,
        "status": code,
        "request_id": request_id("r"),
        "decision": (decision,) * MAX_DECISIONS,
        "guards_required": (code,) * MAX_GUARDS,
        "guards_ran": (code,) * MAX_GUARDS,
        "looked": (full_look(),) * MAX_LOOKED,
        "policy": PolicyRef(id=code, version=MAX_INTEGER, sha256="0" * 64),
        "model": "\U0010ffff" * 128,
        "usage": Usage(input_tokens=MAX_INTEGER, output_tokens=MAX_INTEGER),
        "content": (commitment,) * MAX_CONTENT,
        "retention": Retained(retention_class=code, day="2026-01-01"),
        "commit": "0" * 64,
        "heartbeat": Heartbeat(logs=MAX_INTEGER, sha256="0" * 64),
        "completeness": Reconciled(
            accepted=MAX_INTEGER,
            unrecorded=MAX_INTEGER,
            unended=MAX_INTEGER,
            twice=MAX_INTEGER,
            missing=(request_id("r"),) * MAX_MISSING,
        ),
        "offsets": (
            OffsetRange(partition=MAX_INTEGER, begin=MAX_INTEGER, end=MAX_INTEGER),
        )
        * MAX_RANGES,
        "erase": Erase(scope="subject", ref=code, as_of="2026-01-01T00:00:00.000000Z"),
    }


def test_the_largest_record_fits_even_as_an_incident() -> None:
    data = AuditRecorded.model_validate(full("a" * 32 + (".b" + "b" * 31) * 3))
    largest = Event(recorded("one").attributes, data)
    end = Event(recorded("two").attributes, AuditRecorded.model_validate(full()))
    again = sift([end], {}, {request_id("r")}).fresh[0]
    origin = "l" * 255

    entries = chain(empty(origin), [largest, again]).entries

    assert SECOND_TERMINAL == entries[1].action
    sizes = [len(each.body) for each in entries]
    assert 0.8 * MAX_RECORD_BYTES < min(sizes) <= max(sizes) < MAX_RECORD_BYTES


PLACED = {"v", "log", "seq", "prev", "event_id", "ts"}
"""What a record has of its place, and not of its event."""
BARE = {
    "usage": Usage(),
    "looked": (Looked(stage="screening", recipe="0" * 64),),
    "decision": (),
    "completeness": Reconciled(accepted=0, unrecorded=0, unended=0, twice=0),
}


@given(st.data())
def test_a_record_is_written_as_its_event_is_dumped(data: st.DataObject) -> None:
    values = full()
    left_out = data.draw(
        st.sets(st.sampled_from(sorted(values.keys() - {"action", "actor"})))
    )
    values |= data.draw(st.sampled_from([{}, BARE]))
    values["model"] = data.draw(
        st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=9)
    )
    values = {name: each for name, each in values.items() if name not in left_out}
    event = recorded("a")
    told = AuditRecorded.model_validate(values)

    body = chain(empty(ORIGIN), [Event(event.attributes, told)]).entries[0].body

    found = parse(body)
    assert canonical(found) == body
    assert facts(told) == {name: found[name] for name in found.keys() - PLACED}
    dumped = told.model_dump(mode="json", exclude_none=True)
    assert facts(told) == {name: each for name, each in dumped.items() if each != []}


def inside(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every schema that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from inside(each)


def test_what_stands_in_a_record_has_its_names_in_their_order() -> None:
    """The record's bytes are canonical only if each schema in it is written so."""
    wanted = [each.annotation for each in AuditRecord.model_fields.values()]
    seen = set[type[BaseModel]]()
    while wanted:
        for schema in set(inside(wanted.pop())) - seen:
            seen.add(schema)
            names = [each.alias or at for at, each in schema.model_fields.items()]
            assert sorted(names) == names, schema
            wanted += [each.annotation for each in schema.model_fields.values()]

    assert {Decision, Looked, OffsetRange} < seen


@given(st.permutations(["b", "a", "c"]), st.permutations(["y", "x"]))
def test_counts_are_written_in_the_order_of_their_names(
    classes: list[str], actions: list[str]
) -> None:
    found = {name: dict.fromkeys(actions, 1) for name in classes}
    looked = Looked(stage="screening", recipe="0" * 64, found=found)

    body = chain(empty(ORIGIN), [recorded("a", looked=(looked,))]).entries[0].body

    assert canonical(parse(body)) == body


@pytest.mark.parametrize(
    "bent",
    [
        {"model": "a\0"},
        {"model": "\ud800"},
        {"usage": {"input_tokens": 2**53}},
        {"usage": Usage.model_construct(input_tokens=-(2**70))},
    ],
    ids=["null", "surrogate", "integer", "very long integer"],
)
def test_what_no_schema_let_through_is_refused(bent: dict[str, Any]) -> None:
    event = recorded("a")
    data = event.data.model_copy(update=bent)

    with pytest.raises(InvalidMessage):
        chain(empty(ORIGIN), [Event(event.attributes, data)])


def test_a_backslash_before_zeros_is_no_null() -> None:
    event = recorded("a", model="\\u0000")

    body = chain(empty(ORIGIN), [event]).entries[0].body

    assert "\\u0000" == parse(body)["model"]


def test_what_is_too_large_is_refused() -> None:
    long = recorded("a")
    many = long.data.model_copy(update={"decision": (PASSED,) * 1000})

    with pytest.raises(InvalidMessage, match="bytes"):
        chain(empty(ORIGIN), [Event(long.attributes, many)])


def test_a_record_reads_as_what_was_recorded() -> None:
    event = Event(recorded("a").attributes, AuditRecorded.model_validate(full()))

    found = record(chain(empty(ORIGIN), [event]).entries[0].body)

    same = AuditRecorded.model_fields
    assert event.data.model_dump() == found.model_dump(include=set(same))
    assert (0, ORIGIN, event.attributes.id) == (found.seq, found.log, found.event_id)


def test_absent_is_left_out_and_zero_is_not() -> None:
    data = recorded("a", usage=Usage(input_tokens=0), guards_ran=()).data

    assert {"action", "actor", "usage"} == set(facts(data))
    assert {"input_tokens": 0, "output_tokens": 0} == facts(data)["usage"]


def test_the_wire_says_class_and_both_names_are_read() -> None:
    event = recorded("a", retention=Retained(retention_class="30d", day="2026-01-01"))

    assert '"class":"30d"' in event.data.model_dump_json()
    assert event.data == AuditRecorded.model_validate_json(event.data.model_dump_json())


@pytest.mark.parametrize(
    "raw", [EXAMPLE.replace(b'"v":1', b'"v":2'), EXAMPLE + b" ", b"{}", b"[]", b"\xff"]
)
def test_other_bytes_are_no_record(raw: bytes) -> None:
    with pytest.raises(InvalidMessage):
        record(raw)


# What is new and what is a repeat.


def bodies(*events: Event[AuditRecorded]) -> dict[EventId, bytes]:
    entries = chain(empty(ORIGIN), events).entries
    return {entry.event_id: entry.body for entry in entries}


def test_a_repeat_is_dropped_though_its_time_differs() -> None:
    first = recorded("a", decision=(PASSED,))
    again = recorded("a", decision=(PASSED,), time=NOON + timedelta(hours=1))

    on_the_log = sift([again], bodies(first), ())
    in_the_batch = sift([first, again], {}, ())

    assert ((), 1) == (on_the_log.fresh, on_the_log.repeats)
    assert ((first,), 1) == (in_the_batch.fresh, in_the_batch.repeats)


@pytest.mark.parametrize(
    "change",
    [
        {"decision": (BLOCKED,)},
        {"status": "blocked"},
        {"guards_ran": ("phrases",)},
        {"guards_required": ("phrases",)},
        {"policy": PolicyRef(id="p", version=2, sha256="0" * 64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_decision_under_the_same_id_is_no_repeat(
    change: dict[str, Any],
) -> None:
    first, other = recorded("a"), recorded("a", **change)

    with pytest.raises(IntegrityError):
        sift([other], bodies(first), ())
    with pytest.raises(IntegrityError):
        sift([first, other], {}, ())


def test_a_second_end_of_a_request_is_an_incident() -> None:
    end = recorded("a", "request.completed", request="r", decision=(PASSED,))
    other = recorded("b", "request.failed", request="r")

    for sifted in (sift([end, other], {}, ()), sift([other], {}, {request_id("r")})):
        incident = sifted.fresh[-1]
        assert (other.attributes.id,) == sifted.incidents
        assert SECOND_TERMINAL == incident.data.action
        assert "request.failed" == incident.data.decision[-1].rule
        assert other.attributes == incident.attributes


def test_a_repeat_of_an_incident_is_a_repeat() -> None:
    end = recorded("a", "request.completed", request="r")
    other = recorded("b", "request.failed", request="r")
    first = sift([end, other], {}, ()).fresh

    again = sift([end, other], bodies(*first), {request_id("r")})

    assert ((), 2, ()) == (again.fresh, again.repeats, again.incidents)


def test_each_request_ends_once_and_each_of_them_may() -> None:
    ends = [recorded(each, "request.completed", request=each) for each in "abc"]

    assert () == sift(ends, {}, {RequestId("another")}).incidents


def test_every_field_of_a_record_is_bounded() -> None:
    schema = AuditRecord.model_json_schema()["properties"]

    unbounded = [
        name
        for name, each in schema.items()
        if each.get("type") == "string" and not {"pattern", "const"} & set(each)
    ]
    assert [] == unbounded
