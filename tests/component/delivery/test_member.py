"""What a member says of itself: is it ready, is it alive, is it behind."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from typing_extensions import override

from consumers.delivery import Bounds as Lanes
from consumers.delivery import (
    Delivery,
    Holding,
    concurrent,
    nothing,
    ordered,
    ordered_batch,
)
from consumers.delivery.member import Member
from consumers.delivery.progress import (
    MOVES_WITHIN_S,
    TRIED_WITHIN_S,
    TURNS_WITHIN_S,
    WAITS_WITHIN_S,
)
from infra.kafka.clients import KafkaClients
from infra.memory.log import MemoryPartitions
from pipeline.errors import RetryableError
from schemas.events import Event
from schemas.topics import REQUESTS_ACCEPTED, REQUESTS_SCREENED, Outgoing
from tests.component.delivery.test_begin import Broker
from tests.support.audit import NOON
from tests.support.delivery import SOURCE, Bench


class Bounds(MemoryPartitions):
    """They are told, unless the broker is away."""

    away = False
    forgetful = False
    slow: asyncio.Event | None = None

    @override
    async def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        if self.forgetful:
            raise RetryableError("expected an answer")
        if self.slow is not None:
            await self.slow.wait()
        return await super().committed(partitions)

    @override
    async def bounds(self, partitions: Collection[int]) -> Mapping[int, range]:
        if self.away:
            raise RetryableError("expected an answer")
        return await super().bounds(partitions)


class Cluster(Broker):
    """A broker that may not answer us, or nobody."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.held: Bounds = Bounds(bench.log, SOURCE.name, "test", self.listener)
        self.others = True

    @override
    async def answers(self) -> bool:
        return self.others


class Scene:
    """One member of the source's group, and what it leans on."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.cluster = Cluster(self.bench)
        subscription = ordered(SOURCE, handle)
        self.member = Member(subscription, self.cluster, self.bench.means)
        self.cluster.listener.listener = self.member

    async def join(self) -> None:
        await self.bench.clock.run(self.bench.log.join(self.cluster.held))

    async def poll(self) -> None:
        if records := self.cluster.held.poll(100):
            await self.bench.clock.run(self.member.batch(records))
        await self.member.mode.commits.settle()

    async def looks(self, seconds: float, every: float = 5) -> None:
        """Look as often as it does, for so long."""
        for _ in range(int(seconds / every)):
            await self.bench.clock.pass_by(every)
            await self.member.look()


async def handle(_: Event[Any], __: None) -> Sequence[Outgoing[Any]]:
    return ()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_it_is_ready_once_it_was_assigned_something(scene: Scene) -> None:
    before = scene.member.why_not_ready()
    await scene.join()

    assert ("not_assigned", None) == (before, scene.member.why_not_ready())


async def test_what_stands_is_said_in_a_word(scene: Scene) -> None:
    await scene.join()
    stops, told = scene.member.mode.stops, []
    for stop in (partial(stops.halt, 0, 0), stops.hold):
        stop()
        told.append(scene.member.why_not_ready())
        scene.member.mode.release()
        told.append(scene.member.why_not_ready())

    assert ["halted", None, "held", None] == told


async def test_what_waits_for_long_is_said(scene: Scene) -> None:
    await scene.join()
    scene.member.mode.stops.wait(0, 0)
    told = []
    for seconds in (0, WAITS_WITHIN_S, 1):
        await scene.bench.clock.pass_by(seconds)
        told.append(scene.member.why_not_ready())
    scene.member.mode.stops.moved(0)

    assert [None, None, "waiting"] == told
    assert scene.member.why_not_ready() is None


async def test_a_broker_that_does_not_tell_the_bounds_is_away(scene: Scene) -> None:
    await scene.join()
    told = []
    for scene.cluster.held.away in (True, False):
        await scene.member.look()
        told.append(scene.member.why_not_ready())

    assert ["kafka_away", None] == told


async def test_how_far_it_is_behind_is_told(scene: Scene) -> None:
    scene.bench.put("a", "b")
    scene.bench.put("c", partition=1)
    await scene.join()
    told = []
    for _ in range(2):
        await scene.member.look()
        told.append(scene.bench.seen.gauges["lag"])
        await scene.poll()

    assert [3, 0] == told


async def test_what_it_finds_committed_is_not_behind(scene: Scene) -> None:
    scene.bench.put("a", "b", "c")
    scene.bench.log.commit(SOURCE.name, "test", 0, 2)
    await scene.join()
    await scene.member.look()

    assert 1 == scene.bench.seen.gauges["lag"]


async def test_what_was_committed_is_asked_again_where_nobody_answered(
    scene: Scene,
) -> None:
    """Else a group that has nothing to do is behind, and then needs a new process."""
    scene.bench.put("a", "b", "c")
    scene.bench.log.commit(SOURCE.name, "test", 0, 3)
    scene.cluster.held.forgetful = True
    await scene.join()
    scene.cluster.held.forgetful = False
    await scene.looks(MOVES_WITHIN_S + 10)

    assert 0 == scene.bench.seen.gauges["lag"]
    assert scene.member.why_not_alive() is None


async def test_what_expired_unread_is_told_once_where_a_look_comes_between(
    scene: Scene,
) -> None:
    """A broker may take its time over what was committed."""
    for offset in range(3):
        scene.bench.put(str(offset))
    scene.bench.log.expire(SOURCE.name, 0, 2)
    scene.bench.log.commit(SOURCE.name, "test", 0, 0)
    scene.cluster.held.slow = asyncio.Event()
    joining = asyncio.create_task(scene.bench.log.join(scene.cluster.held))
    await scene.bench.clock.breathe()
    looking = asyncio.create_task(scene.member.look())
    await scene.bench.clock.breathe()
    scene.cluster.held.slow.set()
    await asyncio.gather(joining, looking)

    assert 2 == scene.bench.seen.counted["expired"]


async def test_what_expired_unread_is_told_once_where_the_handlers_store_is_away(
    scene: Scene,
) -> None:
    """It is asked again with each batch; the group was asked before."""
    away = [True]

    async def handled(_: Sequence[Any]) -> Sequence[Outgoing[Any]]:
        return ()

    async def stored(_: Sequence[int]) -> Mapping[int, int]:
        if away:
            raise RetryableError("expected an answer")
        return {0: 0}

    work = ordered_batch(SOURCE, handled, offsets=stored)
    scene.member = Member(work, scene.cluster, scene.bench.means)
    scene.cluster.listener.listener = scene.member
    for offset in range(4):
        scene.bench.put(str(offset))
    scene.bench.log.expire(SOURCE.name, 0, 2)
    scene.bench.log.commit(SOURCE.name, "test", 0, 1)
    await scene.join()
    await scene.looks(5)
    away.clear()
    await scene.poll()
    await scene.looks(5)

    assert 2 == scene.bench.seen.counted["expired"]


@pytest.mark.parametrize("silent", ["forgetful", "away"])
async def test_what_expired_unread_is_told_also_where_nobody_answered_at_first(
    scene: Scene, silent: str
) -> None:
    for offset in range(3):
        scene.bench.put(str(offset))
    scene.bench.log.expire(SOURCE.name, 0, 2)
    scene.bench.log.commit(SOURCE.name, "test", 0, 0)
    setattr(scene.cluster.held, silent, True)
    await scene.join()
    setattr(scene.cluster.held, silent, False)
    await scene.looks(10)

    assert 2 == scene.bench.seen.counted["expired"]


@pytest.mark.parametrize(("stands", "stalled"), [(False, "stalled"), (True, None)])
async def test_lag_without_a_move_or_a_known_reason_needs_a_new_process(
    scene: Scene, stalled: str | None, *, stands: bool
) -> None:
    await scene.join()
    scene.bench.put("a")
    if stands:
        scene.member.mode.stops.halt(0, 0)
    await scene.looks(MOVES_WITHIN_S)
    before = scene.member.why_not_alive()
    await scene.looks(10)

    assert (None, stalled) == (before, scene.member.why_not_alive())


async def test_what_moves_is_alive_however_much_is_left(scene: Scene) -> None:
    await scene.join()
    for number in range(30):
        scene.bench.put(str(number), "and one that stays")
        taken = scene.cluster.held.poll(1)
        await scene.bench.clock.run(scene.member.batch(taken))
        await scene.looks(10)

    assert scene.member.why_not_alive() is None


@pytest.mark.parametrize(("others", "stalled"), [(True, "stalled"), (False, None)])
async def test_a_broker_that_answers_others_and_not_us_is_a_stall(
    scene: Scene, stalled: str | None, *, others: bool
) -> None:
    await scene.join()
    scene.cluster.others, scene.cluster.held.away = others, True
    await scene.looks(MOVES_WITHIN_S + 10)

    assert stalled == scene.member.why_not_alive()


async def test_what_another_has_now_is_no_stall_of_ours(scene: Scene) -> None:
    await scene.join()
    scene.bench.put("a")
    await scene.looks(MOVES_WITHIN_S - 10)
    other = MemoryPartitions(scene.bench.log, SOURCE.name, "test", Scene().member)
    scene.bench.log._groups[SOURCE.name, "test"].insert(0, other)
    await scene.bench.clock.run(scene.bench.log.rebalance(SOURCE.name, "test"))
    await scene.looks(30)

    assert 0 not in scene.cluster.held.assigned()
    assert scene.member.why_not_alive() is None


async def test_a_call_that_is_overdue_needs_a_new_process(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scene.member.why_not_alive()
    monkeypatch.setattr(scene.member.mode, "overdue", lambda: True)

    assert (None, "overdue") == (before, scene.member.why_not_alive())


async def test_what_expired_unread_is_told_where_a_rebalance_waited_no_longer(
    scene: Scene,
) -> None:
    """The broker says what was committed later than a rebalance waits for it."""
    scene.bench.put(*"abcde")
    scene.bench.log.commit(SOURCE.name, "test", 0, 1)
    scene.bench.log.expire(SOURCE.name, 0, 3)
    scene.cluster.held.slow = asyncio.Event()
    joining = asyncio.ensure_future(scene.bench.log.join(scene.cluster.held))
    await scene.bench.clock.pass_by(15)
    scene.cluster.held.slow.set()
    await scene.looks(10)

    assert joining.done()
    assert 2 == scene.bench.seen.counted["expired"]


@pytest.mark.parametrize(("begin", "lost"), [(1, 2), (3, 0), (None, 0)])
async def test_records_that_expired_unread_are_told(
    scene: Scene, begin: int | None, lost: int
) -> None:
    scene.bench.put(*"abcde")
    if begin is not None:
        scene.bench.log.commit(SOURCE.name, "test", 0, begin)
    scene.bench.log.expire(SOURCE.name, 0, 3)
    await scene.join()

    assert lost == scene.bench.seen.counted["expired"]


async def test_what_expired_unread_again_is_told_again(scene: Scene) -> None:
    scene.bench.put(*"abcde")
    scene.bench.log.commit(SOURCE.name, "test", 0, 1)
    scene.bench.log.expire(SOURCE.name, 0, 3)
    await scene.join()
    await scene.poll()
    before = scene.bench.seen.counted["expired"]
    scene.bench.put(*"fghij")
    scene.bench.log.expire(SOURCE.name, 0, 7)
    await scene.bench.clock.run(scene.bench.log.rebalance(SOURCE.name, "test"))

    assert (2, 4) == (before, scene.bench.seen.counted["expired"])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def two(bench: Bench, **more: Any) -> Delivery:
    """Two groups in one process."""
    topics = (REQUESTS_ACCEPTED, REQUESTS_SCREENED)
    return Delivery(
        [ordered(each, handle) for each in topics],
        kafka=KafkaClients("127.0.0.1:1"),
        means=bench.means,
        **more,
    )


def held(delivery: Delivery) -> list[bool]:
    return [each.mode.stops.held for each in delivery._members]


async def test_a_release_is_one_group_s(bench: Bench) -> None:
    delivery = two(bench)
    for each in delivery._members:
        each.mode.stops.hold()
    delivery.release(str(REQUESTS_SCREENED.group))

    assert [True, False] == held(delivery)


async def test_what_was_released_since_the_last_look_is_heeded(bench: Bench) -> None:
    """What was released before the start is nothing; who is away is asked again."""
    first, second = (str(t.group) for t in (REQUESTS_ACCEPTED, REQUESTS_SCREENED))
    answers: Iterator[Mapping[str, int] | None] = iter(
        [None, {first: 7}, {first: 7}, {first: 8}, {first: 8, second: 1}]
    )

    async def releases() -> Mapping[str, int]:
        if (found := next(answers)) is None:
            raise RetryableError("expected an answer")
        return found

    delivery, told = two(bench, releases=releases), []
    for _ in range(5):
        for each in delivery._members:
            each.mode.stops.hold()
        await delivery._heed()
        told.append(held(delivery))

    both = [True, True]
    assert [both, both, both, [False, True], [True, False]] == told


async def test_a_loop_that_stood_still_is_not_alive(bench: Bench) -> None:
    delivery, blocked = two(bench), "delivery:loop_blocked"
    told = []
    for seconds in (TURNS_WITHIN_S, 1):
        await bench.clock.pass_by(seconds)
        told.append((delivery.alive(), blocked in delivery.reasons()))
    await delivery._turn()
    told.append((delivery.alive(), blocked in delivery.reasons()))

    assert [(True, False), (False, True), (True, False)] == told


async def test_reasons_name_their_group(bench: Bench) -> None:
    delivery = two(bench)

    assert not delivery.ready()
    assert [
        f"{topic.group}:not_assigned"
        for topic in (REQUESTS_ACCEPTED, REQUESTS_SCREENED)
    ] == delivery.reasons()


def of_calls(handle: Any, **more: Any) -> Scene:
    """A member whose records are handled side by side."""
    scene = Scene()
    subscription = concurrent(
        SOURCE, handle, prepare=nothing, lane=lambda _: "one", **more
    )
    scene.member = Member(subscription, scene.cluster, scene.bench.means)
    scene.cluster.listener.listener = scene.member
    scene.bench.put("a")
    return scene


@pytest.mark.parametrize(("deadline_s", "stalled"), [(600, None), (60, "stalled")])
async def test_a_call_that_has_time_left_is_no_stall(
    deadline_s: float, stalled: str | None
) -> None:
    """A policy may give a request an hour, and its partition may have no other."""

    async def hangs(_: Event[Any], __: None) -> Sequence[Outgoing[Any]]:
        await asyncio.get_running_loop().create_future()
        return ()

    until = NOON + timedelta(seconds=deadline_s)
    scene = of_calls(hangs, deadline=lambda _: until)
    await scene.join()
    await scene.poll()
    await scene.looks(2 * MOVES_WITHIN_S)

    assert stalled == scene.member.why_not_alive()


async def test_a_record_that_waits_is_no_stall() -> None:
    async def away(_: Event[Any], __: None) -> Sequence[Outgoing[Any]]:
        raise RetryableError("away")

    scene = of_calls(away)
    await scene.join()
    await scene.poll()
    await scene.looks(10 * MOVES_WITHIN_S)

    assert ("waiting", None) == (
        scene.member.why_not_ready(),
        scene.member.why_not_alive(),
    )


async def hangs(*_: Any) -> Sequence[Outgoing[Any]]:
    await asyncio.get_running_loop().create_future()
    return ()


async def test_who_takes_is_alive_though_nothing_ends() -> None:
    """Until it takes nothing more either."""
    scene = of_calls(hangs)
    await scene.join()
    told = []
    for name in ("b", "c"):
        await scene.poll()
        await scene.looks(MOVES_WITHIN_S - 10)
        told.append(scene.member.why_not_alive())
        scene.bench.put(name)
    await scene.looks(20)
    told.append(scene.member.why_not_alive())

    assert [None, None, "stalled"] == told


async def test_a_wait_that_was_over_long_ago_is_no_reason(scene: Scene) -> None:
    """Its record does not come again, or is tried without an end."""
    await scene.join()
    scene.bench.put("a")
    scene.member.mode.stops.wait(0, 0)
    told = []
    for seconds in (TRIED_WITHIN_S, MOVES_WITHIN_S + 15):
        await scene.looks(seconds)
        told.append(scene.member.why_not_alive())

    assert [None, "stalled"] == told


async def test_what_was_due_and_does_not_come_is_a_stall(scene: Scene) -> None:
    await scene.join()
    scene.bench.put("a")
    scene.member.mode.stops.delay(0, 0, 300)
    told = []
    for seconds in (300, MOVES_WITHIN_S + 10):
        await scene.looks(seconds)
        told.append(scene.member.why_not_alive())

    assert [None, "stalled"] == told


@pytest.mark.parametrize("behind", [0, 1])
async def test_what_is_held_without_an_end_is_no_reason(behind: int) -> None:
    """Neither for its own record, nor for those behind it in its lane."""
    holding = Holding(Bench().clock)

    async def held(event: Event[Any], _: None) -> Sequence[Outgoing[Any]]:
        with holding.one():
            return await hangs(event)

    scene = of_calls(held, holding=holding, bounds=Lanes(per_lane=1))
    holding._clock = scene.bench.clock
    scene.bench.put(*"bcd"[:behind])
    await scene.join()
    await scene.poll()
    told = []
    for seconds in (TRIED_WITHIN_S, MOVES_WITHIN_S + 10):
        await scene.looks(seconds)
        told.append(scene.member.why_not_alive())

    assert [None, "stalled"] == told


async def test_a_record_that_waited_and_hangs_when_it_is_tried_again_is_a_stall() -> (
    None
):
    tries = iter(range(4))

    async def away_then_silent(event: Event[Any], _: None) -> Sequence[Outgoing[Any]]:
        if next(tries, None) is None:
            return await hangs(event)
        raise RetryableError("away")

    scene = of_calls(away_then_silent)
    await scene.join()
    await scene.poll()
    told = []
    for seconds in (TRIED_WITHIN_S, MOVES_WITHIN_S + 15):
        await scene.looks(seconds)
        told.append(scene.member.why_not_alive())

    assert [None, "stalled"] == told


async def test_what_waited_and_is_queued_behind_what_hangs_is_no_reason() -> None:
    """Both were away; the one that is tried first says nothing, the other one waits."""
    tries = iter(range(8))

    async def away_then_silent(event: Event[Any], _: None) -> Sequence[Outgoing[Any]]:
        if next(tries, None) is None:
            return await hangs(event)
        raise RetryableError("away")

    scene = of_calls(away_then_silent, bounds=Lanes(per_lane=1))
    scene.bench.put("b")
    await scene.join()
    await scene.poll()
    told = []
    for seconds in (TRIED_WITHIN_S, MOVES_WITHIN_S + 15):
        await scene.looks(seconds)
        told.append(scene.member.why_not_alive())

    assert [None, "stalled"] == told


async def test_what_another_finished_meanwhile_waits_no_more(scene: Scene) -> None:
    """It was thrown out of the group, and is back; it may be hours until more comes."""
    await scene.join()
    scene.bench.put("a")
    scene.member.mode.stops.wait(0, 0)
    scene.bench.log.commit(SOURCE.name, "test", 0, 1)
    await scene.bench.clock.run(scene.bench.log.rebalance(SOURCE.name, "test"))
    await scene.looks(60)
    scene.bench.put("b")
    records = scene.cluster.held.poll(100)

    assert scene.member.why_not_ready() is None
    assert [1] == [each.offset for each in records]
