"""Where a member begins, when its handler keeps offsets of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from consumers.delivery import ordered_batch
from consumers.delivery.member import Member
from consumers.delivery.progress import WAITS_WITHIN_S
from infra.memory.log import MemoryPartitions
from pipeline.errors import RetryableError
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import Outgoing
from tests.component.delivery.test_concurrent import other
from tests.support.delivery import SOURCE, Bench, Late


class Broker:
    """A cluster of one topic: the log in memory."""

    consumer: Mapping[str, Any] = {}

    def __init__(self, bench: Bench) -> None:
        self.listener = Late()
        self.held = MemoryPartitions(bench.log, SOURCE.name, "test", self.listener)

    def partitions(self, _: Callable[[], Any], __: str) -> MemoryPartitions:
        return self.held

    def record(self, raw: Any) -> Record:
        found: Record = raw
        return found

    def broker(self) -> Any:
        raise NotImplementedError

    async def answers(self) -> bool:
        return True


async def test_nothing_is_handled_before_the_store_says_where_to_begin() -> None:
    """The store was put back while nobody could ask it; the group knows of more."""
    bench = Bench()
    bench.put("a", "b", "c", "d")
    bench.log.commit(SOURCE.name, "test", 0, 3)
    seen, away = list[int](), [True] * 3

    async def handle(
        pairs: Sequence[tuple[Record, Event[AuditRecorded]]],
    ) -> Sequence[Outgoing[Any]]:
        seen.extend(record.offset for record, _ in pairs)
        return ()

    async def stored(_: Sequence[int]) -> Mapping[int, int]:
        if away and away.pop():
            raise RetryableError("expected an answer")
        return {0: 1}

    broker = Broker(bench)
    member = Member(ordered_batch(SOURCE, handle, offsets=stored), broker, bench.means)
    broker.listener.listener = member
    await bench.clock.run(bench.log.join(broker.held))
    for _ in range(10):
        records = broker.held.poll(100)
        if records:
            await bench.clock.run(member.batch(records))
        await bench.clock.step()
    await member.mode.commits.settle()

    assert [1, 2, 3] == seen
    assert 4 == bench.committed()


async def test_a_store_that_is_away_is_not_asked_without_a_pause() -> None:
    bench, asked = Bench(), list[int]()
    bench.put("a")

    async def handle(_: Sequence[object]) -> Sequence[Outgoing[Any]]:
        return ()

    async def stored(_: Sequence[int]) -> Mapping[int, int]:
        asked.append(len(asked))
        raise RetryableError("expected an answer")

    broker = Broker(bench)
    member = Member(ordered_batch(SOURCE, handle, offsets=stored), broker, bench.means)
    broker.listener.listener = member
    await bench.clock.run(bench.log.join(broker.held))
    for _ in range(9):
        if records := broker.held.poll(100):
            await bench.clock.run(member.batch(records))

    assert [0, 1] == asked


async def test_a_store_that_fails_in_an_unknown_way_costs_no_record() -> None:
    """Nothing catches what it raises: FastStream would go on behind the batch."""
    bench = Bench()
    bench.put("a", "b", "c")
    seen, wrong = list[int](), [True] * 3

    async def handle(
        pairs: Sequence[tuple[Record, Event[AuditRecorded]]],
    ) -> Sequence[Outgoing[Any]]:
        seen.extend(record.offset for record, _ in pairs)
        return ()

    async def stored(_: Sequence[int]) -> Mapping[int, int]:
        if wrong and wrong.pop():
            raise ValueError("a bug")
        return {}

    broker = Broker(bench)
    member = Member(ordered_batch(SOURCE, handle, offsets=stored), broker, bench.means)
    broker.listener.listener = member
    with suppress(ValueError):
        await bench.clock.run(bench.log.join(broker.held))
    for _ in range(10):
        if records := broker.held.poll(1):
            with suppress(ValueError):
                await bench.clock.run(member.batch(records))
        await bench.clock.step()

    assert [0, 1, 2] == seen
    assert 3 == len(bench.seen.places)


async def test_of_a_topic_that_the_group_does_not_know_nothing_is_passed_over() -> None:
    """Whatever was stored: it may be another topic of the same name."""
    bench, seen = Bench(), list[int]()
    bench.put("a", "b", "c")

    async def handle(
        pairs: Sequence[tuple[Record, Event[AuditRecorded]]],
    ) -> Sequence[Outgoing[Any]]:
        seen.extend(record.offset for record, _ in pairs)
        return ()

    async def stored(_: Sequence[int]) -> Mapping[int, int]:
        return {0: 2}

    broker = Broker(bench)
    member = Member(ordered_batch(SOURCE, handle, offsets=stored), broker, bench.means)
    broker.listener.listener = member
    await bench.clock.run(bench.log.join(broker.held))
    await bench.clock.run(member.batch(broker.held.poll(100)))

    assert [0, 1, 2] == seen


class Silent:
    """A store that says nothing as long as it is asked to, and one member that asks."""

    def __init__(self, *, silent: int) -> None:
        self.bench, self.seen, self._silent = Bench(), list[int](), silent
        self.broker = Broker(self.bench)
        subscription = ordered_batch(SOURCE, self.handle, offsets=self.stored)
        self.member = Member(subscription, self.broker, self.bench.means)
        self.broker.listener.listener = self.member
        self.bench.put("a", "b", "c")

    async def handle(
        self, pairs: Sequence[tuple[Record, Event[AuditRecorded]]]
    ) -> Sequence[Outgoing[Any]]:
        self.seen.extend(record.offset for record, _ in pairs)
        return ()

    async def stored(self, _: Sequence[int]) -> Mapping[int, int]:
        self._silent -= 1
        if self._silent >= 0:
            await asyncio.get_running_loop().create_future()
        return {}


async def test_a_store_that_says_nothing_holds_up_no_rebalance() -> None:
    """Whoever waits for its answer there is never told of the next one."""
    scene = Silent(silent=1)
    clock = scene.bench.clock
    joining = asyncio.ensure_future(scene.bench.log.join(scene.broker.held))
    await clock.pass_by(15)

    assert joining.done()
    assert scene.member.assigned_once
    assert [] == scene.seen
    await clock.run(scene.member.batch(scene.broker.held.poll(100)))
    await clock.run(scene.member.batch(scene.broker.held.poll(100)))
    assert [0, 1, 2] == scene.seen


async def test_who_waits_to_be_told_where_to_begin_says_so() -> None:
    scene = Silent(silent=2)
    clock = scene.bench.clock
    joining = asyncio.ensure_future(scene.bench.log.join(scene.broker.held))
    await clock.pass_by(15)
    asking = asyncio.ensure_future(scene.member.batch(scene.broker.held.poll(100)))
    told = []
    for seconds in (WAITS_WITHIN_S, 1):
        await clock.pass_by(seconds)
        told.append(scene.member.why_not_ready())
    for task in (joining, asking):
        task.cancel()

    assert [None, "waiting"] == told


async def test_what_was_asked_before_a_rebalance_says_nothing_of_what_it_brought() -> (
    None
):
    """A member asks, gets a partition more meanwhile, and only then is answered."""
    bench, silent, asked = Bench(), asyncio.Event(), list[Sequence[int]]()
    for partition in (0, 1):
        bench.put("a", "b", partition=partition)
    bench.log.commit(SOURCE.name, "test", 1, 2)
    seen = list[tuple[int, int]]()

    async def handle(
        pairs: Sequence[tuple[Record, Event[AuditRecorded]]],
    ) -> Sequence[Outgoing[Any]]:
        seen.extend((record.partition, record.offset) for record, _ in pairs)
        return ()

    async def stored(partitions: Sequence[int]) -> Mapping[int, int]:
        asked.append(partitions)
        await silent.wait()
        return {1: 1} if 1 in partitions else {}

    broker, neighbour = Broker(bench), other(bench)
    member = Member(ordered_batch(SOURCE, handle, offsets=stored), broker, bench.means)
    broker.listener.listener = member
    await bench.clock.run(bench.log.join(broker.held))
    await bench.clock.run(bench.log.join(neighbour))
    asking = asyncio.ensure_future(member.batch(broker.held.poll(100)))
    await bench.clock.breathe()
    await bench.clock.run(bench.log.leave(neighbour))
    silent.set()
    await bench.clock.run(asking)
    bench.put("c", partition=1)
    for _ in range(10):
        if records := broker.held.poll(100):
            await bench.clock.run(member.batch(records))
        await bench.clock.step()

    assert 1 not in asked[2]
    assert [(0, 0), (0, 1), (1, 1), (1, 2)] == sorted(seen)
