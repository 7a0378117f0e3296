"""Ordered batches: what is handled, published and committed, whatever goes wrong."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest

from consumers.delivery import Subscription, ordered, ordered_batch, ordered_raw
from consumers.delivery.brake import IN_A_ROW
from pipeline.errors import (
    IntegrityError,
    InvalidMessage,
    LogClosed,
    NotYet,
    RetryableError,
)
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.events import Event, timestamp
from schemas.topics import AUDIT_RECORDED, REQUESTS_INBOX, Outgoing
from tests.support.audit import NOON, recorded
from tests.support.delivery import SINK, SOURCE, Bench, headers, onward

Audited = Event[AuditRecorded]
BAD = recorded("bad").attributes.id


@pytest.fixture
def bench() -> Bench:
    return Bench()


def forwarding(
    troubled: Callable[[Audited], Exception | None] = lambda _: None,
) -> tuple[Subscription, list[str]]:
    """A handler that sends all onward, but fails where it is told to."""
    seen: list[str] = []

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        seen.append(event.attributes.id)
        if (error := troubled(event)) is not None:
            raise error
        return [onward(event)]

    return ordered(SOURCE, handle), seen


def subjects(*names: str) -> list[str]:
    return [recorded(name).attributes.subject for name in names]


def failing(error: Exception, times: int = 10_000) -> Callable[[Audited], Any]:
    left = [times]

    def troubled(event: Audited) -> Exception | None:
        if event.attributes.id != BAD or not left[0]:
            return None
        left[0] -= 1
        return error

    return troubled


async def test_records_are_handled_in_order_published_and_committed(
    bench: Bench,
) -> None:
    bench.put("a", "b", "c")
    subscription, _ = forwarding()
    member = await bench.member(subscription)
    await member.until_quiet(3)

    assert subjects("a", "b", "c") == bench.sunk
    assert 3 == bench.committed()
    counted = [bench.seen.counted[each] for each in ("handled", "batch", "aged")]
    assert [3, 1, 1] == counted


@pytest.mark.parametrize(("seconds", "in_a_row"), [(5.0, 1), (0.03, 4), (0.0, 12)])
async def test_between_records_that_compute_for_long_the_loop_goes_round(
    bench: Bench, seconds: float, in_a_row: int
) -> None:
    """Else a group is taken away while it works, and gets the same again."""
    for partition in range(4):
        bench.put(*(f"{partition}{n}" for n in range(3)), partition=partition)
    seen: list[Audited] = []

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        bench.clock.compute(seconds)
        seen.append(event)
        return [onward(event)]

    rounds: list[int] = []

    def go_round() -> None:
        rounds.append(len(seen))
        asyncio.get_running_loop().call_soon(go_round)

    member = await bench.member(ordered(SOURCE, handle))
    began = bench.clock.monotonic()
    go_round()
    await member.poll()

    assert 12 == len(seen)
    between = [
        later - earlier for earlier, later in pairwise(rounds) if later > earlier
    ]
    assert in_a_row // 2 <= min(between) <= max(between) == in_a_row
    assert pytest.approx(12 * seconds) == bench.clock.monotonic() - began


async def test_a_new_member_begins_at_the_committed(bench: Bench) -> None:
    bench.put("a", "b")
    subscription, seen = forwarding()
    first = await bench.member(subscription)
    await first.until_quiet(3)
    await bench.clock.run(bench.log.leave(first.partitions))
    bench.put("c")
    await (await bench.member(subscription)).until_quiet(3)

    assert [recorded(n).attributes.id for n in "abc"] == seen


async def test_nothing_is_committed_before_it_is_published(bench: Bench) -> None:
    bench.put("a", "b")
    bench.publisher.away = lambda topic: topic == SINK.name
    subscription, _ = forwarding()
    member = await bench.member(subscription)
    await member.until_quiet(20)
    before = bench.committed()
    bench.publisher.away = lambda _: False
    await member.until_quiet(50)

    assert before is None
    assert 2 == bench.committed()
    assert subjects("a", "b") == bench.sunk


async def test_what_is_due_later_keeps_the_rest_and_is_no_trouble(
    bench: Bench,
) -> None:
    bench.put("a", "bad", "c")
    subscription, seen = forwarding(failing(NotYet(300.0), times=1))
    member = await bench.member(subscription)
    await member.poll()
    await member.mode.commits.settle()
    await bench.clock.breathe()
    before, wrong = bench.committed(), member.mode.waiting_since
    stands = member.mode.stops.stands(0)
    await member.until_quiet(10)

    assert (1, None, True) == (before, wrong, stands)
    assert [recorded(n).attributes.id for n in ("a", "bad", "bad", "c")] == seen
    assert 3 == bench.committed()
    assert bench.clock.monotonic() >= 300.0


async def test_an_unreadable_record_is_one_dead_letter(bench: Bench) -> None:
    bench.put("a")
    spoilt = bench.spoil(value=b'{"no": "sense"}')
    bench.put("b")
    subscription, _ = forwarding()
    member = await bench.member(subscription)
    await member.until_quiet(5)

    (letter,) = bench.dead
    told = headers(letter)
    assert (spoilt.key, spoilt.value) == (letter.key, letter.value)
    assert ("test", SOURCE.name, "0", "1", "invalid_message", "1") == (
        told["dead_group"],
        told["dead_topic"],
        told["dead_partition"],
        told["dead_offset"],
        told["dead_reason"],
        told["dead_attempts"],
    )
    moments = [told[f"dead_{each}"] for each in ("timestamp", "first_at", "at")]
    assert [timestamp(NOON)] * 3 == moments
    assert subjects("a", "b") == bench.sunk
    assert 3 == bench.committed()
    assert 1 == bench.seen.counted["buried invalid_message"]


async def test_a_burial_is_audited(bench: Bench) -> None:
    bench.spoil()
    member = await bench.member(forwarding()[0])
    await member.until_quiet(5)

    (audited,) = bench.log.records(AUDIT_RECORDED.name)
    found = AuditRecorded.model_validate_json(audited.value or b"")
    assert ("record.buried", "system:test", "invalid_message") == (
        found.action,
        found.actor,
        found.status,
    )


async def test_a_shared_thing_away_stops_only_its_partition_and_mends(
    bench: Bench,
) -> None:
    bench.put("a", "bad", "c")
    bench.put("x", partition=1)
    subscription, _ = forwarding(failing(RetryableError("away"), 100))
    member = await bench.member(subscription)
    await member.poll()
    await member.mode.commits.settle()
    early = (bench.committed(0), bench.committed(1), member.mode.waiting_since)
    await member.until_quiet(400)

    assert early[:2] == (1, 1)
    assert early[2] is not None
    assert subjects("x", "a", "bad", "c") == bench.sunk
    assert (3, 1) == (bench.committed(0), bench.committed(1))
    assert [] == bench.dead
    assert member.mode.waiting_since is None
    assert 100 == bench.seen.counted["retried RetryableError"]


async def test_a_contradiction_halts_its_partition_alone(bench: Bench) -> None:
    bench.put("a", "bad", "c")
    bench.put("x", "y", partition=1)
    subscription, _ = forwarding(failing(IntegrityError("broken")))
    member = await bench.member(subscription)
    await member.until_quiet(20)

    assert (1, 2) == (bench.committed(0), bench.committed(1))
    assert {0} == member.mode.stops.halted
    assert [] == bench.dead
    assert 1 == bench.seen.gauges["halted"]


async def test_after_a_rebalance_the_same_record_halts_again(bench: Bench) -> None:
    bench.put("bad", "c")
    subscription, seen = forwarding(failing(IntegrityError("broken")))
    member = await bench.member(subscription)
    await member.until_quiet(5)
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await member.until_quiet(5)

    assert {0} == member.mode.stops.halted
    assert [BAD, BAD] == seen
    assert bench.committed() is None


async def test_released_it_goes_on(bench: Bench) -> None:
    bench.put("bad", "c")
    subscription, _ = forwarding(failing(IntegrityError("broken"), 1))
    member = await bench.member(subscription)
    await member.until_quiet(5)
    member.mode.release()
    await member.until_quiet(5)

    assert 2 == bench.committed()


async def test_a_bug_costs_five_attempts_and_one_dead_letter(bench: Bench) -> None:
    bench.put("a", "bad", "c")
    subscription, seen = forwarding(failing(ValueError("secret")))
    member = await bench.member(subscription)
    await member.until_quiet(50)

    (letter,) = bench.dead
    told = headers(letter)
    assert 5 == seen.count(BAD) == len(bench.seen.places)
    assert ("handler_error", "5") == (told["dead_reason"], told["dead_attempts"])
    assert told["dead_where"].startswith("ValueError test_ordered.py:")
    assert "secret" not in str(letter.headers) + str(bench.seen.places)
    assert subjects("a", "c") == bench.sunk
    assert 3 == bench.committed()


async def test_a_failing_burial_waits_and_loses_nothing(bench: Bench) -> None:
    bench.put("a")
    bench.spoil()
    bench.put("b")
    bench.publisher.away = lambda topic: topic == SOURCE.dead
    member = await bench.member(forwarding()[0])
    await member.until_quiet(40)
    before = (bench.committed(), len(bench.dead), bench.sunk)
    bench.publisher.away = lambda _: False
    await member.until_quiet(100)

    assert (1, 0, subjects("a")) == before
    assert (3, 1, subjects("a", "b")) == (
        bench.committed(),
        len(bench.dead),
        bench.sunk,
    )


async def test_twenty_dead_letters_in_a_row_hold_the_subscription(
    bench: Bench,
) -> None:
    for _ in range(30):
        bench.spoil()
    bench.put("b")
    member = await bench.member(forwarding()[0])
    await member.until_quiet(10)
    before = (len(bench.dead), bench.committed(), member.mode.stops.held)
    member.mode.release()
    await member.until_quiet(10)

    assert (20, 20, True) == before
    assert (30, 31, subjects("b")) == (
        len(bench.dead),
        bench.committed(),
        bench.sunk,
    )


async def test_dead_letters_with_others_between_pull_no_brake(bench: Bench) -> None:
    for name in ("a", "b"):
        for _ in range(IN_A_ROW - 1):
            bench.spoil()
        bench.put(name)
    member = await bench.member(forwarding()[0])
    await member.until_quiet(10)

    assert not member.mode.stops.held
    assert subjects("a", "b") == bench.sunk


async def test_what_was_polled_when_the_brake_was_pulled_comes_again(
    bench: Bench,
) -> None:
    bench.put("a", "b")
    member = await bench.member(forwarding()[0])
    polled = member.partitions.poll(500)
    member.mode.stops.hold()
    await member.mode.batch(polled)
    held = [*bench.sunk]
    member.mode.release()
    await member.until_quiet(5)

    assert [] == held
    assert subjects("a", "b") == bench.sunk


async def test_what_comes_for_a_closed_log_pulls_no_brake(bench: Bench) -> None:
    bench.put(*["bad"] * IN_A_ROW, "c")
    subscription, _ = forwarding(failing(LogClosed()))
    member = await bench.member(subscription)
    await member.until_quiet(5)

    assert IN_A_ROW == len(bench.dead)
    assert not member.mode.stops.held
    assert subjects("c") == bench.sunk


async def test_strangers_pull_no_brake_and_are_sealed_before_burial(
    bench: Bench,
) -> None:
    async def refuse(records: Sequence[Record]) -> Sequence[Outgoing[Any]]:
        raise InvalidMessage("expected better")

    for _ in range(25):
        bench.log.append(
            REQUESTS_INBOX.name,
            key=b"name",
            value=b"clear",
            headers=(("authorization", b"Bearer secret"), ("ce_id", b"1")),
            partition=0,
        )
    member = await bench.member(ordered_raw(REQUESTS_INBOX, refuse))
    await member.until_quiet(10)

    letters = bench.log.records(str(REQUESTS_INBOX.dead))
    assert 25 == len(letters)
    assert {b"sealed:raelc"} == {letter.value for letter in letters}
    assert {b"sealed:eman"} == {letter.key for letter in letters}
    told = [name for letter in letters for name in headers(letter)]
    assert [] == [name for name in told if not name.startswith("dead_")]
    assert [] == bench.log.records(AUDIT_RECORDED.name)


async def test_what_handlers_need_is_fetched_once_a_poll(bench: Bench) -> None:
    asked: list[int] = []

    async def prepare(events: Sequence[Audited]) -> int:
        asked.append(len(events))
        return len(asked)

    async def handle(event: Audited, context: int) -> Sequence[Outgoing[Any]]:
        return [onward(event)] * context

    bench.put("a", "b")
    bench.put("c", partition=1)
    member = await bench.member(ordered(SOURCE, handle, prepare=prepare))
    await member.until_quiet(3)

    assert [3] == asked
    assert 3 == len(bench.sunk)


async def test_where_preparing_fails_all_wait(bench: Bench) -> None:
    left = [10]

    async def prepare(events: Sequence[Audited]) -> None:
        left[0] -= 1
        if left[0] > 0:
            raise RetryableError("away")

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        return [onward(event)]

    bench.put("a", "b")
    bench.put("c", partition=1)
    member = await bench.member(ordered(SOURCE, handle, prepare=prepare))
    began = bench.clock.monotonic()
    await member.poll()
    before = (bench.committed(0), bench.committed(1))
    tried_for = bench.clock.monotonic() - began
    await member.until_quiet(60)

    assert (None, None) == before
    assert pytest.approx(0.05 + 0.2 + 0.8) == tried_for
    assert bench.seen.counted["retried RetryableError"]
    assert (2, 1) == (bench.committed(0), bench.committed(1))


async def test_one_event_that_cannot_be_prepared_is_buried_alone(
    bench: Bench,
) -> None:
    async def prepare(events: Sequence[Audited]) -> None:
        if any(event.attributes.id == BAD for event in events):
            raise InvalidMessage("expected 32 hex digits", "key_id")

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        return [onward(event)]

    bench.put("a", "bad", "c")
    member = await bench.member(ordered(SOURCE, handle, prepare=prepare))
    await member.until_quiet(5)

    assert ["key_id"] == [headers(letter)["dead_where"] for letter in bench.dead]
    assert subjects("a", "c") == bench.sunk


async def test_an_output_that_no_topic_takes_buries_its_record_alone(
    bench: Bench,
) -> None:
    many = tuple(f"{at:0128d}" for at in range(24))

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id != BAD:
            return [onward(event)]
        data = event.data.model_copy(update={"guards_ran": many * 2_000})
        return [onward(Event(event.attributes, data))]

    bench.put("a", "bad", "c")
    member = await bench.member(ordered(SOURCE, handle))
    await member.until_quiet(5)

    assert subjects("a", "c") == bench.sunk
    assert 1 == len(bench.dead)
    assert 3 == bench.committed()


async def test_a_revoked_member_finishes_its_record_and_commits(
    bench: Bench,
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == BAD:
            reached.set()
            await go_on.wait()
        return [onward(event)]

    bench.put("a", "bad", "c")
    subscription = ordered(SOURCE, handle)
    member = await bench.member(subscription)
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await reached.wait()
    joining = asyncio.create_task(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.breathe()
    go_on.set()
    await asyncio.gather(batch, joining)
    early = bench.committed()
    await member.until_quiet(5)

    assert 2 == early
    assert subjects("a", "bad", "c") == bench.sunk
    assert 3 == bench.committed()


async def test_a_record_that_outlasts_a_rebalance_commits_nothing(
    bench: Bench,
) -> None:
    go_on = asyncio.Event()
    calls: list[str] = []

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        calls.append(event.attributes.id)
        await go_on.wait()
        return [onward(event)]

    bench.put("a")
    member = await bench.member(ordered(SOURCE, handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    go_on.set()
    await batch
    await member.mode.commits.settle()
    early = bench.committed()
    await member.until_quiet(5)

    assert early is None
    assert 2 == len(calls)
    assert 1 == bench.committed()


async def test_what_another_got_is_owed_no_more(bench: Bench) -> None:
    """A commit that was refused when it was given away would be refused for ever."""
    bench.put("a")
    member = await bench.member(forwarding()[0])
    await member.poll()

    async def unwilling(_: Mapping[int, int]) -> bool:
        return False

    member.partitions.commit = unwilling  # type: ignore[assignment]
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    owed = member.mode.commits.owing.is_set(), dict(member.mode.commits.done)

    assert (False, {}) == owed


@pytest.mark.parametrize(
    "error",
    [IntegrityError("broken"), RetryableError("away"), NotYet(3600.0), None],
    ids=["halts", "waits", "is not due", "is not published"],
)
async def test_a_record_that_outlasts_a_rebalance_stops_nothing(
    bench: Bench, error: Exception | None
) -> None:
    """Its partition is another assignment's, which has not tried it."""
    go_on, calls = asyncio.Event(), list[str]()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        calls.append(event.attributes.id)
        await go_on.wait()
        if error is not None:
            raise error
        return [onward(event)]

    bench.put("a")
    bench.publisher.away = lambda topic: topic == SINK.name
    member = await bench.member(ordered(SOURCE, handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    go_on.set()
    await bench.clock.run(batch)
    before = len(calls)
    stands = member.mode.busy(0), member.mode.waiting_since
    await member.poll()

    assert (False, None) == stands
    assert len(calls) > before


async def test_what_could_not_be_prepared_in_time_stops_nothing(bench: Bench) -> None:
    """Its records are another assignment's by then."""
    away, seen = [True], list[str]()

    async def prepare(_: Sequence[Audited]) -> None:
        if away:
            await bench.clock.sleep(20)
            raise RetryableError("away")

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        seen.append(event.attributes.id)
        return [onward(event)]

    bench.put("bad")
    member = await bench.member(ordered(SOURCE, handle, prepare=prepare))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.run(batch)
    stands = member.mode.busy(0), member.mode.waiting_since
    away.clear()
    await member.poll()

    assert ((False, None), [BAD]) == (stands, seen)


def slow(bench: Bench) -> Subscription:
    """What its records need is there after 20 s; each takes 40."""

    async def prepare(_: Sequence[Audited]) -> None:
        await bench.clock.sleep(20)

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == BAD:
            raise RetryableError("away")
        await bench.clock.sleep(40)
        return [onward(event)]

    return ordered(SOURCE, handle, prepare=prepare)


async def test_what_is_in_hand_waits_since_its_last_record_ended(
    bench: Bench,
) -> None:
    """What a handler leans on may say nothing, and then nothing fails."""
    bench.put("a", "b")
    member = await bench.member(slow(bench))
    told = [member.mode.waiting_since]
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    while not batch.done():
        await bench.clock.step()
        told.append(member.mode.waiting_since)
        await bench.clock.breathe()
    told.append(member.mode.waiting_since)

    assert [None, 0.0, 20.0, 60.0, None] == [each for each, _ in groupby(told)]


async def test_of_all_that_waits_the_longest_is_told(bench: Bench) -> None:
    bench.put("bad", partition=1)
    member = await bench.member(slow(bench))
    await member.poll()
    stands = member.mode.waiting_since
    bench.put("a")
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.pass_by(30)
    told = member.mode.waiting_since
    await bench.clock.run(batch)

    assert stands is not None
    assert stands == told


async def test_a_cancelled_batch_commits_and_buries_nothing(bench: Bench) -> None:
    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        raise asyncio.CancelledError

    bench.put("a")
    member = await bench.member(ordered(SOURCE, handle))

    with pytest.raises(asyncio.CancelledError):
        await member.mode.batch(member.partitions.poll(500))

    assert (None, []) == (bench.committed(), bench.dead)


async def test_a_long_group_returns_to_the_poll(bench: Bench) -> None:
    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        await bench.clock.sleep(40)
        return [onward(event)]

    bench.put("a", "b", "c")
    member = await bench.member(ordered(SOURCE, handle))
    await member.poll()
    await member.mode.commits.settle()
    early = bench.committed()
    await member.until_quiet(3)

    assert 2 == early
    assert 3 == bench.committed()
    assert subjects("a", "b", "c") == bench.sunk


async def test_a_waiting_partition_waits_on_after_a_rebalance(bench: Bench) -> None:
    bench.put("bad")
    bench.put("x", partition=1)
    subscription, seen = forwarding(failing(RetryableError("away")))
    member = await bench.member(subscription)
    await member.poll()
    before = len(seen)
    await bench.log.rebalance(SOURCE.name, "test")
    handed_out = member.partitions.poll(500)

    assert [] == handed_out
    assert before == len(seen)
    assert member.mode.waiting_since is not None


async def test_a_batch_is_handled_at_once(bench: Bench) -> None:
    sizes: list[int] = []

    async def handle(
        pairs: Sequence[tuple[Record, Audited]],
    ) -> Sequence[Outgoing[Any]]:
        sizes.append(len(pairs))
        return [onward(event) for _, event in pairs]

    bench.put("a", "b")
    bench.spoil()
    bench.put("c", partition=1)
    member = await bench.member(ordered_batch(SOURCE, handle))
    await member.until_quiet(3)

    assert [3] == sizes
    assert sorted(subjects("a", "b", "c")) == sorted(bench.sunk)
    assert (3, 1, 1) == (bench.committed(0), bench.committed(1), len(bench.dead))


@pytest.mark.parametrize(
    ("error", "dead", "halted"),
    [
        (InvalidMessage("expected better"), 1, frozenset()),
        (IntegrityError("broken"), 0, frozenset({0})),
    ],
)
async def test_a_batch_that_fails_is_searched_for_the_one(
    bench: Bench, error: Exception, dead: int, halted: frozenset[int]
) -> None:
    async def handle(
        pairs: Sequence[tuple[Record, Audited]],
    ) -> Sequence[Outgoing[Any]]:
        if any(event.attributes.id == BAD for _, event in pairs):
            raise error
        return [onward(event) for _, event in pairs]

    bench.put("a", "bad", "b")
    bench.put("x", partition=1)
    member = await bench.member(ordered_batch(SOURCE, handle))
    await member.until_quiet(3)

    assert 1 == bench.committed(1)
    assert (dead, halted) == (len(bench.dead), member.mode.stops.halted)
    assert (1 if halted else 3) == bench.committed(0)


async def test_leaving_finishes_the_record_in_hand(bench: Bench) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        reached.set()
        await go_on.wait()
        return [onward(event)]

    bench.put("a", "b")
    member = await bench.member(ordered(SOURCE, handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await reached.wait()
    leaving = asyncio.create_task(member.mode.leave(120))
    await bench.clock.breathe()
    go_on.set()
    await asyncio.gather(batch, leaving)

    assert (1, subjects("a")) == (bench.committed(), bench.sunk)


async def test_who_leaves_waits_for_no_batch_that_is_none(bench: Bench) -> None:
    member = await bench.member(forwarding()[0])
    before = bench.clock.monotonic()
    await bench.clock.run(member.mode.leave(120))

    assert before == bench.clock.monotonic()


async def test_who_left_wakes_no_partition(bench: Bench) -> None:
    bench.put("bad")
    member = await bench.member(forwarding(failing(RetryableError("away")))[0])
    await member.poll()
    await bench.clock.run(member.mode.leave(120))
    await bench.clock.pass_by(3600)

    assert [] == member.partitions.poll(500)


async def test_a_batch_that_was_handled_is_committed_though_it_must_leave(
    bench: Bench,
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def handle(
        pairs: Sequence[tuple[Record, Audited]],
    ) -> Sequence[Outgoing[Any]]:
        reached.set()
        await go_on.wait()
        return [onward(event) for _, event in pairs]

    bench.put("a", "b")
    member = await bench.member(ordered_batch(SOURCE, handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await reached.wait()
    leaving = asyncio.create_task(member.mode.leave(120))
    await bench.clock.breathe()
    bench.put("c")
    go_on.set()
    await asyncio.gather(batch, leaving)
    await member.poll()

    assert (2, subjects("a", "b")) == (bench.committed(), bench.sunk)


async def test_released_it_goes_on_also_where_it_had_waited_before(
    bench: Bench,
) -> None:
    """The database was away, and had lost something when it came back."""
    errors = [RetryableError("away")] * 4 + [IntegrityError("broken")]
    subscription, _ = forwarding(lambda _: errors.pop(0) if errors else None)
    bench.put("a")
    member = await bench.member(subscription)
    await member.until_quiet(20)
    halted = member.mode.stops.halted
    member.mode.release()
    await member.until_quiet(5)

    assert {0} == halted
    assert 1 == bench.committed()


async def test_who_leaves_handles_nothing_that_a_rebalance_brings(
    bench: Bench,
) -> None:
    reached, go_on, seen = asyncio.Event(), asyncio.Event(), list[str]()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        seen.append(event.attributes.subject)
        reached.set()
        await go_on.wait()
        return [onward(event)]

    bench.put("a", "b")
    member = await bench.member(ordered(SOURCE, handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await reached.wait()
    leaving = asyncio.create_task(member.mode.leave(120))
    moving = asyncio.create_task(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.breathe()
    go_on.set()
    await bench.clock.run(asyncio.gather(batch, moving, leaving))
    await member.poll()

    assert (1, subjects("a")) == (bench.committed(), seen)


async def test_what_was_prepared_across_a_rebalance_is_its_next_owner_s(
    bench: Bench,
) -> None:
    """A commit that names what is another's is refused, and all others with it."""
    slow = [20.0]

    async def prepare(_: Sequence[Audited]) -> None:
        if slow:
            await bench.clock.sleep(slow.pop())

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        return [onward(event)]

    subscription = ordered(SOURCE, handle, prepare=prepare)
    bench.put("a")
    bench.put("x", partition=1)
    first = await bench.member(subscription)
    batch = asyncio.create_task(first.mode.batch(first.partitions.poll(500)))
    await bench.clock.breathe()
    second = await bench.member(subscription)
    await bench.clock.run(batch)
    early = (first.mode.commits.owing.is_set(), [*bench.sunk])
    for member in (first, second):
        await member.until_quiet(5)

    assert (False, []) == early
    assert [1, 1] == [bench.committed(partition) for partition in range(2)]


async def test_where_an_output_alone_cannot_be_sent_nothing_behind_it_is_committed(
    bench: Bench,
) -> None:
    many = tuple(f"{at:0128d}" for at in range(24))
    sends, away = [0], [True]

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id != BAD:
            return [onward(event)]
        data = event.data.model_copy(update={"guards_ran": many * 2_000})
        return [onward(Event(event.attributes, data))]

    def refuses(topic: str) -> bool:
        """Together they are sent, and one is too large; then nobody answers."""
        sends[0] += topic == SINK.name
        return away[0] and topic == SINK.name and sends[0] > 2

    bench.put("a", "bad")
    bench.spoil()
    bench.publisher.away = refuses
    member = await bench.member(ordered(SOURCE, handle))
    await member.poll()
    await member.mode.commits.settle()
    early = (bench.committed(), len(bench.dead))
    away[0] = False
    await member.until_quiet(30)

    assert (None, 0) == early
    assert subjects("a") == bench.sunk
    assert (3, 2) == (bench.committed(), len(bench.dead))
