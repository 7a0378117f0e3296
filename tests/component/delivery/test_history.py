"""Any history of polls, ends, failures and rebalances: nothing lost, nothing early."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.delivery import Bounds, Subscription, concurrent, ordered
from pipeline.errors import RetryableError
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.topics import Outgoing
from tests.support.delivery import SINK, SOURCE, Bench, MemoryMember, onward

Audited = Event[AuditRecorded]
WORDS = "put put poll poll poll end end end fail time settle settle rebalance"
STEPS = st.lists(st.sampled_from(WORDS.split()), min_size=20, max_size=60)
IN_SOURCE = 4


class History:
    """One run: a member over memory, and handlers that end when told to."""

    def __init__(self, *, lanes: bool) -> None:
        self.bench = Bench()
        self.put = 0
        self.hanging: list[tuple[str, asyncio.Future[None]]] = []
        self.broken: set[str] = set()
        self.free = False
        self.lanes = lanes

    def subscription(self) -> Subscription:
        if not self.lanes:
            return ordered(SOURCE, self.handle)
        return concurrent(
            SOURCE,
            self.handle,
            prepare=self.prepare,
            lane=lambda event: event.attributes.id[0],
            bounds=Bounds(total=6, per_lane=2, taken=8),
        )

    async def prepare(self, events: Sequence[Audited]) -> None:
        """Nothing is needed."""

    async def handle(self, event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id in self.broken and not self.free:
            raise RetryableError("away")
        if not self.free:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.hanging.append((event.attributes.id, ended))
            await ended
        return [onward(event)]

    async def take(self, step: str, member: MemoryMember) -> None:
        match step:
            case "put":
                for partition in range(IN_SOURCE):
                    self.bench.put(f"n{self.put}", partition=partition)
                    self.put += 1
            case "end" if self.hanging:
                self.hanging.pop(0)[1].set_result(None)
            case "fail" if self.hanging:
                event, ended = self.hanging.pop()
                self.broken.add(event)
                ended.set_exception(RetryableError("away"))
            case "time":
                for _ in range(4):
                    await self.bench.clock.step()
            case "rebalance":
                await self.bench.clock.run(
                    self.bench.log.rebalance(SOURCE.name, "test")
                )
            case "settle":
                await member.mode.commits.settle()
            case _:
                pass
        await self.bench.clock.breathe()

    def nothing_early(self) -> None:
        """What is committed has had its effects."""
        done = {
            Attributes.from_headers(r.headers).id
            for r in self.bench.log.records(SINK.name)
        }
        for record in self.bench.log.records(SOURCE.name):
            if record.offset < (self.bench.committed(record.partition) or 0):
                assert Attributes.from_headers(record.headers).id in done

    def all_done(self) -> None:
        for partition in range(IN_SOURCE):
            end = self.bench.log.segment(SOURCE.name, partition).end
            assert end == (self.bench.committed(partition) or 0)
        assert [] == self.bench.dead


async def lived(steps: list[str], *, lanes: bool) -> None:
    history = History(lanes=lanes)
    member = await history.bench.member(history.subscription())
    polls: set[asyncio.Task[None]] = set()
    for step in steps:
        if step == "poll" and all(task.done() for task in polls):
            records = member.partitions.poll(5)
            if records:
                polls.add(asyncio.create_task(member.mode.batch(records)))
        await history.take(step, member)
        history.nothing_early()
    history.free = True
    for _, ended in history.hanging:
        ended.set_result(None)
    for task in polls:
        await history.bench.clock.run(task)
    for _ in range(30):
        await member.until_quiet(4)
        await member.mode.commits.settle()
    history.nothing_early()
    history.all_done()


@settings(max_examples=25)
@given(STEPS)
def test_concurrent(steps: list[str]) -> None:
    asyncio.run(lived(steps, lanes=True))


@settings(max_examples=25)
@given(STEPS)
def test_ordered(steps: list[str]) -> None:
    asyncio.run(lived(steps, lanes=False))
