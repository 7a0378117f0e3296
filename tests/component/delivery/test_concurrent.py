"""Concurrent: lanes, bounds, and a commit that stays contiguous."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from consumers.delivery import Bounds, Holding, Subscription, concurrent
from consumers.delivery.brake import IN_A_ROW
from consumers.delivery.concurrent import Concurrent
from infra.memory.log import MemoryPartitions
from pipeline.errors import IntegrityError, InvalidMessage, RetryableError
from pipeline.ports.partitions import Listener
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import Outgoing
from tests.support.audit import NOON, recorded
from tests.support.delivery import SOURCE, Bench, MemoryMember, headers, onward

Audited = Event[AuditRecorded]


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Upstream:
    """A handler whose calls end when a test says so."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []
        self.running: list[str] = []
        self.most = 0
        self.errors: dict[str, list[Exception]] = {}

    def holds(self, *names: str) -> None:
        """These hang until they are let go."""
        for name in names:
            self.gates[recorded(name).attributes.id] = asyncio.Event()

    def lets_go(self, *names: str) -> None:
        for name in names:
            self.gates[recorded(name).attributes.id].set()

    def fails(self, name: str, *errors: Exception) -> None:
        self.errors[recorded(name).attributes.id] = [*errors]

    async def handle(self, event: Audited, _: object) -> Sequence[Outgoing[Any]]:
        me = event.attributes.id
        self.begun.append(me)
        self.running.append(me)
        self.most = max(self.most, len(self.running))
        try:
            if errors := self.errors.get(me):
                raise errors.pop(0)
            if me in self.gates:
                await self.gates[me].wait()
        finally:
            self.running.remove(me)
        return [onward(event)]


async def nothing(_: Sequence[Audited]) -> None:
    """Nothing is needed."""


def one_lane(_: Audited) -> str:
    return "only"


def subscription(
    upstream: Upstream,
    *,
    lane: Callable[[Audited], str] = one_lane,
    bounds: Bounds | None = None,
    **more: Any,
) -> Subscription:
    return concurrent(
        SOURCE, upstream.handle, prepare=nothing, lane=lane, bounds=bounds, **more
    )


def unprepared(upstream: Upstream, away: list[bool]) -> Subscription:
    """What its handlers need cannot be had while ``away`` says so."""

    async def prepare(_: Sequence[Audited]) -> None:
        if away[0]:
            raise RetryableError("away")

    return concurrent(SOURCE, upstream.handle, prepare=prepare, lane=one_lane)


def subjects(*names: str) -> list[str]:
    return [recorded(name).attributes.subject for name in names]


async def quiet(member: MemoryMember, polls: int = 10) -> None:
    """Poll, pass the time, commit what is owed."""
    for _ in range(polls):
        await member.poll()
        await member.bench.clock.step()
    await member.mode.commits.settle()


async def test_all_are_handled_and_committed_in_the_end(bench: Bench) -> None:
    names = [f"n{at}" for at in range(300)]
    bench.put(*names)
    member = await bench.member(subscription(Upstream()))
    await quiet(member)

    assert sorted(subjects(*names)) == sorted(bench.sunk)
    assert 300 == bench.committed() == bench.seen.counted["aged"]
    assert 300 == bench.seen.counted["handled"]


async def test_a_batch_returns_before_its_records_are_handled(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a", "b")
    bench.put("a", "b")
    member = await bench.member(subscription(upstream))
    await member.poll()

    assert 2 == len(upstream.running)
    assert bench.committed() is None


async def test_a_commit_never_passes_what_is_unfinished(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("b")
    bench.put("a", "b", "c", "d")
    member = await bench.member(subscription(upstream))
    await quiet(member)
    before = bench.committed()
    upstream.lets_go("b")
    await quiet(member)

    assert (1, 4) == (before, bench.committed())


async def test_a_lane_that_hangs_holds_up_itself_alone(bench: Bench) -> None:
    upstream = Upstream()
    slow = [f"slow{at}" for at in range(10)]
    upstream.holds(*slow)
    bench.put(*slow, "quick")
    ids = {recorded(name).attributes.id for name in slow}
    member = await bench.member(
        subscription(
            upstream,
            lane=lambda event: "slow" if event.attributes.id in ids else "quick",
            bounds=Bounds(total=8, per_lane=3),
        )
    )
    await quiet(member)

    assert subjects("quick") == bench.sunk
    assert 3 == len(upstream.running)


async def test_of_a_lane_with_nothing_in_it_nothing_is_kept(bench: Bench) -> None:
    """Their names are callers' endpoints: there is no end to them."""
    bench.put(*map(str, range(9)))
    each = subscription(Upstream(), lane=lambda event: event.attributes.id)
    member = await bench.member(each)
    await quiet(member)

    assert isinstance(member.mode, Concurrent)
    assert (9, 0) == (bench.committed(), len(member.mode._queues))


async def test_no_more_than_the_bound_run_at_once(bench: Bench) -> None:
    upstream = Upstream()
    bench.put(*(f"n{at}" for at in range(50)))
    member = await bench.member(
        subscription(
            upstream,
            lane=lambda event: event.attributes.id,
            bounds=Bounds(total=7, per_lane=7),
        )
    )
    await quiet(member)

    assert 7 >= upstream.most
    assert 50 == bench.committed()


async def test_what_finds_no_room_in_its_lane_ends_otherwise(bench: Bench) -> None:
    """In one poll or in many: a lane takes what runs in it and what its queue holds."""
    upstream = Upstream()
    names = [f"n{at}" for at in range(6)]
    upstream.holds(*names)
    ended: list[str] = []

    async def overflow(event: Audited, _: object) -> Sequence[Outgoing[Any]]:
        ended.append(event.attributes.subject)
        return ()

    bench.put(*names)
    bounds = Bounds(per_lane=2, queued_per_lane=3)
    member = await bench.member(
        subscription(upstream, bounds=bounds, overflow=overflow)
    )
    await quiet(member)
    upstream.lets_go(*names)
    await quiet(member)

    assert 6 == len(ended) + len(bench.sunk)
    assert subjects(names[5]) == ended
    assert 6 == bench.committed()


async def test_a_full_partition_pauses_and_goes_on_at_half(bench: Bench) -> None:
    upstream = Upstream()
    names = [f"n{at}" for at in range(20)]
    upstream.holds(*names)
    bench.put(*names)
    member = await bench.member(subscription(upstream, bounds=Bounds(taken=10)))
    await member.poll()
    bench.put("more")
    paused = await member.poll()
    upstream.lets_go(*names[:14])
    await bench.clock.breathe()
    still = await member.poll()
    upstream.lets_go(names[14])
    await bench.clock.breathe()
    resumed = await member.poll()

    assert (0, 0, 1) == (paused, still, resumed)


async def test_a_full_partition_is_full_again_after_a_rebalance(bench: Bench) -> None:
    upstream = Upstream()
    names = [f"n{at}" for at in range(10)]
    upstream.holds(*names)
    bench.put(*names)
    member = await bench.member(subscription(upstream, bounds=Bounds(taken=10)))
    await member.poll()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    again = await member.poll()
    bench.put("more")

    assert (10, 0) == (again, await member.poll())


async def test_a_full_partition_stays_paused_when_an_operator_looked(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")
    member = await bench.member(subscription(upstream, bounds=Bounds(taken=1)))
    await member.poll()
    member.mode.release()
    bench.put("b")

    assert 0 == await member.poll()


async def test_waiting_goes_back_into_the_lane(bench: Bench) -> None:
    upstream = Upstream()
    upstream.fails("b", *[RetryableError("away")] * 30)
    bench.put("a", "b", "c")
    member = await bench.member(subscription(upstream))
    await quiet(member)
    before = bench.committed()
    await quiet(member, 300)

    assert (1, 3) == (before, bench.committed())
    assert sorted(subjects("a", "b", "c")) == sorted(bench.sunk)
    assert [] == bench.dead
    assert member.mode.waiting_since is None


async def test_while_one_waits_the_member_says_since_when(bench: Bench) -> None:
    upstream = Upstream()
    upstream.fails("b", *[RetryableError("away")] * 1000)
    bench.put("b")
    member = await bench.member(subscription(upstream))
    await quiet(member)
    first = member.mode.waiting_since
    await quiet(member, 50)
    later, waiting = member.mode.waiting_since, bench.seen.gauges["waiting"]
    upstream.errors.clear()
    await quiet(member)

    assert first is not None
    assert (first, 1) == (later, waiting)
    assert (None, 0) == (member.mode.waiting_since, bench.seen.gauges["waiting"])


async def test_what_a_handler_holds_in_its_hands_waits_too(bench: Bench) -> None:
    upstream, holding, began = Upstream(), Holding(bench.clock), bench.clock.monotonic()
    upstream.fails("b", *[RetryableError("away")] * 1000)
    member = await bench.member(subscription(upstream, holding=holding))
    told = [member.mode.waiting_since]
    with holding.one():
        await bench.clock.pass_by(5)
        with holding.one():
            told.append(member.mode.waiting_since)
    told.append(member.mode.waiting_since)
    bench.put("b")
    await quiet(member)
    in_its_lane = member.mode.waiting_since
    with holding.one():
        both = member.mode.waiting_since

    assert [None, began, None] == told
    assert both == in_its_lane is not None


async def test_what_is_being_prepared_waits_since_it_was_taken(bench: Bench) -> None:
    """A keystore that says nothing makes nothing fail."""

    async def prepare(_: Sequence[Audited]) -> None:
        await bench.clock.sleep(20)

    await bench.clock.pass_by(5)
    bench.put("a")
    member = await bench.member(
        concurrent(SOURCE, Upstream().handle, prepare=prepare, lane=one_lane)
    )
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.pass_by(10)
    meanwhile = member.mode.waiting_since
    await bench.clock.run(batch)

    assert (5.0, None) == (meanwhile, member.mode.waiting_since)


async def test_the_longer_it_waits_the_less_often_it_is_tried(bench: Bench) -> None:
    upstream, hour = Upstream(), 3600
    upstream.fails("a", *[RetryableError("away")] * 10_000)
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await member.poll()
    await bench.clock.pass_by(hour)
    tried = 10_000 - len(upstream.errors[recorded("a").attributes.id])

    assert hour / 60 < tried < hour / 4


async def test_who_has_nothing_more_to_wait_for_waits_no_more(bench: Bench) -> None:
    upstream = Upstream()
    upstream.fails("a", *[RetryableError("away")] * 1000)
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await quiet(member)
    before = member.mode.waiting_since
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))

    assert before is not None
    assert member.mode.waiting_since is None


async def test_what_could_not_be_prepared_waits_until_it_can(bench: Bench) -> None:
    away = [True]
    bench.put("a")
    member = await bench.member(unprepared(Upstream(), away))
    await member.poll()
    before = member.mode.waiting_since
    away[0] = False
    await quiet(member)

    assert before is not None
    assert (None, subjects("a")) == (member.mode.waiting_since, bench.sunk)


async def test_records_and_partitions_that_wait_are_told_together(bench: Bench) -> None:
    upstream, away = Upstream(), [False]
    upstream.fails("a", *[RetryableError("away")] * 1000)
    member = await bench.member(unprepared(upstream, away))
    told = []
    for name, partition, prepared in (("a", 0, True), ("b", 1, False), ("c", 2, True)):
        bench.put(name, partition=partition)
        away[0] = not prepared
        await quiet(member)
        told.append(bench.seen.gauges["waiting"])

    assert [1, 2, 1] == told


async def test_a_contradiction_halts_the_partition_and_others_go_on(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.fails("b", *[IntegrityError("broken")] * 100)
    bench.put("a", "b", "c")
    bench.put("x", partition=1)
    member = await bench.member(subscription(upstream))
    await quiet(member)

    assert {0} == member.mode.stops.halted
    assert (1, 1) == (bench.committed(0), bench.committed(1))


async def test_released_a_halted_record_is_tried_again(bench: Bench) -> None:
    upstream = Upstream()
    upstream.fails("b", IntegrityError("broken"))
    bench.put("a", "b", "c")
    member = await bench.member(subscription(upstream))
    await quiet(member)
    member.mode.release()
    await quiet(member)

    assert 3 == bench.committed()


async def test_released_twice_a_halted_record_is_handled_once_and_at_once(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.fails("a", IntegrityError("contradiction"))
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await member.poll()
    for _ in range(2):
        member.mode.release()
        await bench.clock.breathe()

    assert subjects("a") == bench.sunk


async def test_poison_and_bugs_are_buried_and_neighbours_handled(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.fails("bug", *[ValueError("secret")] * 100)
    upstream.fails("bad", InvalidMessage("expected better", "field"))
    bench.put("a", "bug")
    bench.spoil()
    bench.put("bad", "b")
    member = await bench.member(subscription(upstream))
    await quiet(member, 50)

    reasons = sorted(headers(letter)["dead_reason"] for letter in bench.dead)
    assert ["handler_error", "invalid_message", "invalid_message"] == reasons
    assert 2 == bench.seen.counted["buried invalid_message"]
    assert sorted(subjects("a", "b")) == sorted(bench.sunk)
    assert 5 == bench.committed()


async def test_a_lane_that_cannot_be_told_is_its_record_s_matter(
    bench: Bench,
) -> None:
    odd = recorded("odd").attributes.id

    def lane(event: Audited) -> str:
        if event.attributes.id == odd:
            raise ValueError("secret")
        return "one"

    bench.put("a", "odd", "b")
    member = await bench.member(subscription(Upstream(), lane=lane))
    await quiet(member, 50)

    assert ["handler_error"] == [headers(r)["dead_reason"] for r in bench.dead]
    assert sorted(subjects("a", "b")) == sorted(bench.sunk)
    assert 3 == bench.committed()


async def test_a_burial_that_fails_is_repeated(bench: Bench) -> None:
    bench.spoil()
    bench.publisher.away = lambda topic: topic == SOURCE.dead
    member = await bench.member(subscription(Upstream()))
    await quiet(member)
    before = bench.committed()
    bench.publisher.away = lambda _: False
    await quiet(member, 50)

    assert (None, 1) == (before, bench.committed())
    assert 1 == len(bench.dead)


async def test_what_an_old_epoch_finishes_is_ignored(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a", "b")
    member = await bench.member(subscription(upstream))
    await member.poll()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    upstream.lets_go("a")
    await bench.clock.breathe()
    await member.mode.commits.settle()
    early = bench.committed()
    await quiet(member)

    assert early is None
    assert 2 == bench.committed()


async def test_what_an_old_epoch_contradicts_halts_nothing(bench: Bench) -> None:
    """Its partition is another assignment's, which has not tried it."""
    go_on, begun = asyncio.Event(), list[str]()

    async def handle(event: Audited, _: object) -> Sequence[Outgoing[Any]]:
        begun.append(event.attributes.id)
        if len(begun) == 1:
            await go_on.wait()
            raise IntegrityError("broken")
        return [onward(event)]

    bench.put("a")
    member = await bench.member(
        concurrent(SOURCE, handle, prepare=nothing, lane=one_lane)
    )
    await member.poll()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    go_on.set()
    await bench.clock.breathe()
    await quiet(member)

    assert (frozenset(), 1) == (member.mode.stops.halted, bench.committed())


async def test_revoked_it_starts_nothing_and_waits_for_what_runs(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.holds("a", "b")
    bench.put("a", "b", "c")
    bounds = Bounds(per_lane=2)
    first = await bench.member(subscription(upstream, bounds=bounds))
    await first.poll()
    moving = asyncio.create_task(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.breathe()
    upstream.lets_go("a", "b")
    await moving
    early = (bench.committed(), len(upstream.running))
    await quiet(first)

    assert (2, 0) == early
    assert 3 == bench.committed()
    assert 3 == len(upstream.begun), "what waited in its lane came again, and once"


async def test_leaving_lets_running_calls_finish_and_commits(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a", "b")
    member = await bench.member(subscription(upstream, bounds=Bounds(per_lane=1)))
    await member.poll()
    leaving = asyncio.create_task(member.mode.leave(120))
    await bench.clock.breathe()
    upstream.lets_go("a")
    await bench.clock.run(leaving)

    assert (1, subjects("a")) == (bench.committed(), bench.sunk)


async def test_leaving_takes_no_longer_than_it_may(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await member.poll()
    before = bench.clock.monotonic()
    await bench.clock.run(member.mode.leave(120))
    took = bench.clock.monotonic() - before
    await bench.clock.breathe()

    assert 120 == took
    assert bench.committed() is None
    assert [] == upstream.running, "what it needs is closed behind it"


async def test_who_left_polls_nothing_and_wakes_nothing(bench: Bench) -> None:
    away = [True]
    bench.put("a")
    member = await bench.member(unprepared(Upstream(), away))
    await member.poll()
    bench.put("b", partition=1)
    await bench.clock.run(member.mode.leave(120))
    left = [*member.partitions.poll(500)]
    await bench.clock.pass_by(3600)

    assert [] == [*left, *member.partitions.poll(500)]


async def test_a_call_long_past_its_deadline_is_not_alive(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")

    def deadline(event: Audited) -> Any:
        return event.attributes.time + timedelta(seconds=60)

    member = await bench.member(subscription(upstream, deadline=deadline))
    await member.poll()
    await bench.clock.pass_by(89)
    before = member.mode.overdue()
    await bench.clock.pass_by(2)

    assert (False, True) == (before, member.mode.overdue())


async def test_a_clock_that_is_set_makes_no_running_call_overdue(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")

    def deadline(event: Audited) -> Any:
        return event.attributes.time + timedelta(seconds=60)

    member = await bench.member(subscription(upstream, deadline=deadline))
    await member.poll()
    monkeypatch.setattr(type(bench.clock), "now", lambda _: NOON + timedelta(hours=2))

    assert not member.mode.overdue()


async def test_a_burst_of_dead_letters_holds_the_subscription(bench: Bench) -> None:
    for _ in range(40):
        bench.spoil()
    member = await bench.member(subscription(Upstream(), bounds=Bounds(taken=25)))
    await quiet(member)
    bench.put("later")
    held = (member.mode.stops.held, await member.poll())
    member.mode.release()
    await quiet(member, 20)

    assert (True, 0) == held
    assert subjects("later") == bench.sunk
    assert 41 == bench.committed()


async def test_released_it_counts_dead_letters_anew(bench: Bench) -> None:
    for _ in range(IN_A_ROW):
        bench.spoil()
    member = await bench.member(subscription(Upstream()))
    await quiet(member)
    held = member.mode.stops.held
    member.mode.release()
    bench.spoil()
    await quiet(member)

    assert (True, False) == (held, member.mode.stops.held)
    assert IN_A_ROW + 1 == bench.committed()


async def test_held_it_is_held_after_a_rebalance_too(bench: Bench) -> None:
    bench.put("a")
    member = await bench.member(subscription(Upstream()))
    member.mode.stops.hold()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))

    assert 0 == await member.poll()


async def test_what_was_polled_when_the_brake_was_pulled_comes_again(
    bench: Bench,
) -> None:
    bench.put("a", "b")
    member = await bench.member(subscription(Upstream()))
    polled = member.partitions.poll(500)
    member.mode.stops.hold()
    await member.mode.batch(polled)
    held = [*bench.sunk]
    member.mode.release()
    await quiet(member)

    assert [] == held
    assert subjects("a", "b") == bench.sunk


async def test_a_batch_that_fails_after_a_rebalance_passes_over_nothing(
    bench: Bench,
) -> None:
    upstream, away = Upstream(), [False]

    async def prepare(_: Sequence[Audited]) -> None:
        if away[0]:
            await bench.clock.sleep(20)
            raise RetryableError("away")

    member = await bench.member(
        concurrent(SOURCE, upstream.handle, prepare=prepare, lane=one_lane)
    )
    upstream.holds("a")
    bench.put("a")
    await member.poll()
    away[0] = True
    bench.put("b")
    late = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.run(late)
    away[0] = False
    upstream.gates.clear()
    await quiet(member, 40)

    assert sorted(subjects("a", "b")) == sorted(bench.sunk)
    assert 2 == bench.committed()
    assert member.mode.waiting_since is None


async def test_who_leaves_begins_nothing_that_a_rebalance_brings(
    bench: Bench,
) -> None:
    """What it began it would cut off: a provider's call is then paid twice."""
    upstream = Upstream()
    upstream.holds("a", "b", "c")
    bench.put("a")
    member = await bench.member(subscription(upstream, bounds=Bounds(per_lane=1)))
    await member.poll()
    leaving = asyncio.create_task(member.mode.leave(120))
    await bench.clock.breathe()
    bench.put("b", "c")
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await member.poll()
    begun = [*upstream.running]
    upstream.lets_go("a")
    await bench.clock.run(leaving)
    await bench.clock.breathe()

    assert [recorded("a").attributes.id] == begun
    assert [] == upstream.running


async def test_a_call_that_outlasts_a_rebalance_holds_up_no_other(bench: Bench) -> None:
    upstream, took = Upstream(), []
    upstream.holds("a")
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await member.poll()
    for _ in range(2):
        before = bench.clock.monotonic()
        await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
        took.append(bench.clock.monotonic() - before)

    assert [10, 0] == took


async def test_held_it_begins_nothing_that_waits_in_a_lane(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a", "b")
    member = await bench.member(subscription(upstream, bounds=Bounds(per_lane=1)))
    await member.poll()
    member.mode.stops.hold()
    upstream.lets_go("a")
    await bench.clock.breathe()
    held = [*bench.sunk]
    member.mode.release()
    await quiet(member)

    assert subjects("a") == held
    assert subjects("a", "b") == bench.sunk


async def test_what_was_being_prepared_when_its_partition_halted_comes_again(
    bench: Bench,
) -> None:
    errors, wrong, ready = [IntegrityError("broken")], asyncio.Event(), asyncio.Event()
    ready.set()

    async def prepare(_: Sequence[Audited]) -> None:
        await ready.wait()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == recorded("bad").attributes.id and errors:
            await wrong.wait()
            raise errors.pop()
        return [onward(event)]

    bench.put("bad")
    member = await bench.member(
        concurrent(SOURCE, handle, prepare=prepare, lane=one_lane)
    )
    await member.poll()
    ready.clear()
    bench.put("b")
    late = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    wrong.set()
    await bench.clock.breathe()
    ready.set()
    await bench.clock.run(late)
    halted = (member.mode.stops.halted, [*bench.sunk])
    member.mode.release()
    await quiet(member)

    assert (frozenset({0}), []) == halted
    assert sorted(subjects("bad", "b")) == sorted(bench.sunk)
    assert 2 == bench.committed()


async def test_a_full_partition_that_halted_stays_paused_until_somebody_looked(
    bench: Bench,
) -> None:
    """Else what comes behind the halted record is dropped, and then passed over."""
    upstream = Upstream()
    upstream.fails("bad", IntegrityError("broken"))
    upstream.holds("b", "c", "d")
    bench.put("bad", "b", "c", "d", "e")
    bounds = Bounds(taken=4, per_lane=4)
    member = await bench.member(subscription(upstream, bounds=bounds))
    await bench.clock.run(member.mode.batch(member.partitions.poll(4)))
    await bench.clock.breathe()
    upstream.lets_go("b", "c", "d")
    await bench.clock.breathe()
    halted = (member.mode.stops.halted, await member.poll())
    member.mode.release()
    await quiet(member)

    assert (frozenset({0}), 0) == halted
    assert sorted(subjects("bad", "b", "c", "d", "e")) == sorted(bench.sunk)
    assert 5 == bench.committed()


async def test_a_full_partition_is_not_polled_while_it_leaves(bench: Bench) -> None:
    upstream = Upstream()
    upstream.holds("a", "b", "c", "d")
    bench.put("a", "b", "c", "d", "e")
    member = await bench.member(subscription(upstream, bounds=Bounds(taken=4)))
    await bench.clock.run(member.mode.batch(member.partitions.poll(4)))
    leaving = asyncio.create_task(member.mode.leave(120))
    await bench.clock.breathe()
    upstream.lets_go("a", "b", "c")
    await bench.clock.breathe()
    polled = [*member.partitions.poll(500)]
    upstream.lets_go("d")
    await bench.clock.run(leaving)

    assert [] == polled
    assert 4 == bench.committed()


async def test_what_was_being_prepared_when_all_was_taken_away_is_begun_once(
    bench: Bench,
) -> None:
    begun, slow, go_on = list[str](), [0.0, 5.0], asyncio.Event()

    async def prepare(_: Sequence[Audited]) -> None:
        if slow:
            await bench.clock.sleep(slow.pop(0))

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        begun.append(event.attributes.subject)
        await go_on.wait()
        return [onward(event)]

    bench.put("a")
    member = await bench.member(
        concurrent(SOURCE, handle, prepare=prepare, lane=one_lane)
    )
    await member.poll()
    bench.put("b")
    late = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.run(late)
    go_on.set()
    await quiet(member)

    assert subjects("b") == [each for each in begun if each in subjects("b")]
    assert 2 == bench.committed()


async def test_what_is_handled_long_after_its_deadline_is_not_overdue(
    bench: Bench,
) -> None:
    """A backlog of what is over long ago, or what waited for a database until then."""
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")
    member = await bench.member(
        subscription(upstream, deadline=lambda _: NOON - timedelta(hours=1))
    )
    await member.poll()
    await bench.clock.pass_by(29)
    before = member.mode.overdue()
    await bench.clock.pass_by(2)

    assert (False, True) == (before, member.mode.overdue())


async def test_what_waited_beyond_its_deadline_is_not_overdue_once_it_is_tried(
    bench: Bench,
) -> None:
    upstream, told = Upstream(), set[bool]()
    upstream.fails("a", *[RetryableError("away")] * 10_000)
    bench.put("a")
    member = await bench.member(
        subscription(upstream, deadline=lambda _: NOON + timedelta(seconds=60))
    )
    await member.poll()
    for _ in range(300):
        await bench.clock.step()
        told.add(member.mode.overdue())

    assert 300 < bench.clock.monotonic()
    assert {False} == told


async def test_lanes_that_always_have_work_leave_the_others_their_turn(
    bench: Bench,
) -> None:
    upstream = Upstream()
    names = [f"{lane}{at}" for lane in "abc" for at in range(4)]
    lanes = {str(recorded(name).attributes.id): name[0] for name in names}
    upstream.holds(*names)
    bench.put(*names)
    member = await bench.member(
        subscription(
            upstream,
            lane=lambda event: lanes[event.attributes.id],
            bounds=Bounds(total=2, per_lane=2),
        )
    )
    await member.poll()
    begun = list[str]()
    for _ in range(6):
        first = upstream.running[0]
        begun.append(lanes[first])
        upstream.gates[first].set()
        await bench.clock.breathe()

    assert [*"abcabc"] == begun


async def test_what_waits_for_a_place_that_all_lanes_share_waits_for_a_reason(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")
    bench.put("b", partition=1)
    member = await bench.member(
        subscription(
            upstream,
            lane=lambda event: event.attributes.id,
            deadline=lambda _: NOON + timedelta(hours=1),
            bounds=Bounds(total=1),
        )
    )
    await member.poll()

    assert [True, True, False] == [member.mode.busy(at) for at in range(3)]


async def test_what_is_queued_behind_its_lane_or_halted_stands_for_a_reason(
    bench: Bench,
) -> None:
    upstream = Upstream()
    upstream.holds("a")
    bench.put("a")
    bench.put("b", partition=1)
    bench.put("bad", partition=2)
    upstream.fails("bad", IntegrityError("broken"))
    member = await bench.member(
        subscription(
            upstream,
            lane=lambda event: "bad" if event == recorded("bad") else "one",
            bounds=Bounds(per_lane=1),
        )
    )
    await member.poll()

    assert [False, True, True] == [member.mode.busy(at) for at in range(3)]


async def test_the_brake_stops_a_burst_that_came_in_one_poll(bench: Bench) -> None:
    for _ in range(400):
        bench.spoil()
    bounds = Bounds(per_lane=8)
    member = await bench.member(subscription(Upstream(), bounds=bounds))
    await quiet(member)

    assert member.mode.stops.held
    assert IN_A_ROW <= len(bench.dead) <= IN_A_ROW + bounds.per_lane


async def test_what_was_being_prepared_when_the_brake_was_pulled_comes_again(
    bench: Bench,
) -> None:
    upstream, ended = Upstream(), list[str]()
    go_on = asyncio.Event()

    async def prepare(_: Sequence[Audited]) -> None:
        await go_on.wait()

    async def overflow(event: Audited, _: object) -> Sequence[Outgoing[Any]]:
        ended.append(event.attributes.subject)
        return ()

    bench.put(*(f"n{at}" for at in range(9)))
    member = await bench.member(
        concurrent(
            SOURCE,
            upstream.handle,
            prepare=prepare,
            lane=one_lane,
            overflow=overflow,
            bounds=Bounds(per_lane=4, queued_per_lane=5),
        )
    )
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    member.mode.stops.hold()
    go_on.set()
    await bench.clock.run(batch)
    held = [*ended, *bench.sunk]
    member.mode.release()
    await quiet(member)

    assert ([], []) == (held, ended)
    assert 9 == bench.committed() == len(bench.sunk)


async def test_what_is_halted_is_not_said_to_wait_too(bench: Bench) -> None:
    upstream = Upstream()
    errors = [*[RetryableError("away")] * 5, *[IntegrityError("broken")] * 9]
    upstream.fails("a", *errors)
    bench.put("a")
    member = await bench.member(subscription(upstream))
    await quiet(member, 30)

    assert {0} == member.mode.stops.halted
    assert (None, 0) == (member.mode.waiting_since, bench.seen.gauges["waiting"])


async def test_what_was_being_prepared_when_another_got_it_is_the_other_s(
    bench: Bench,
) -> None:
    slow = [0.0, 20.0]

    async def prepare(_: Sequence[Audited]) -> None:
        if slow:
            await bench.clock.sleep(slow.pop(0))

    upstream = Upstream()
    member = await bench.member(
        concurrent(SOURCE, upstream.handle, prepare=prepare, lane=one_lane)
    )
    bench.put("a")
    await member.poll()
    bench.put("b")
    late = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    bench.log._groups[SOURCE.name, "test"].insert(0, other(bench))
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.run(late)
    await quiet(member)

    assert 0 not in member.partitions.assigned()
    assert (subjects("a"), 1) == (bench.sunk, bench.committed())


async def test_what_another_got_is_owed_no_more(bench: Bench) -> None:
    """A commit that was refused when it was given away would be refused for ever."""
    bench.put("a")
    bench.put("x", partition=1)
    member = await bench.member(subscription(Upstream()))
    await member.poll()
    await bench.clock.breathe()

    async def unwilling(_: Mapping[int, int]) -> bool:
        return False

    member.partitions.commit = unwilling  # type: ignore[assignment]
    await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    owed = member.mode.commits.owing.is_set(), dict(member.mode.commits.done)

    assert (False, {}) == owed


def other(bench: Bench) -> MemoryPartitions:
    """Another member of the group, that does nothing."""
    return MemoryPartitions(bench.log, SOURCE.name, "test", Idle())


class Idle(Listener):
    """Takes what it is given, and does nothing."""

    @override
    async def revoked(self, partitions: Collection[int]) -> None: ...

    @override
    async def assigned(self, partitions: Collection[int]) -> None: ...
