"""Another process's members come and go, under running calls and paused partitions."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from consumers.delivery import Bounds, Subscription, concurrent, ordered
from demo.stack import Stack
from pipeline.errors import NotYet
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import Outgoing, Topic
from tests.support.audit import recorded
from tests.support.kafka import (
    Running,
    committed,
    delivering,
    everything,
    finished,
    new_topic,
    put,
    subjects,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.long]

Audited = Event[AuditRecorded]
Source = Topic[AuditRecorded]
MEMBER = Path(__file__).parents[1] / "support" / "member.py"
LIFE_S = 5.0
LIVES: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)
NAMES = [f"n{at}" for at in range(2_000)]
SUBJECTS = [recorded(name).attributes.subject for name in NAMES]
LATER = SUBJECTS[8]
"""The third record of the first partition is not due for an hour: so that waits."""
BEFORE_IT = 2

sleep = asyncio.sleep  # noqa: TID251 - members live for real time


class World:
    """A source, a sink, and eyes on both.

    Attributes:
        due: the record that was not due is.
        tries: how often we were given it before.
        rebalances, gains: assignments of ours; those that gave us its partition anew.
        early: what was committed before the sink held it.
        kept: what was committed of the first partition meanwhile.
    """

    def __init__(self, kafka: str, source: Source, sink: Source) -> None:
        self.kafka = kafka
        self.source = source
        self.sink = sink
        self.due = False
        self.tries = 0
        self.rebalances = 0
        self.gains = 0
        self.early: list[str] = []
        self.kept: set[int | None] = set()

    def subscription(self, mode: str) -> Subscription:
        if mode == "ordered":
            return ordered(self.source, self.handle)

        async def nothing(_: Sequence[Audited]) -> None:
            return None

        bounds = Bounds(taken=60, per_lane=16)
        return concurrent(
            self.source,
            self.handle,
            prepare=nothing,
            lane=lambda _: "one",
            bounds=bounds,
        )

    async def handle(self, event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        await sleep(0.01)
        if event.attributes.subject == LATER and not self.due:
            self.tries += 1
            raise NotYet(3_600)
        return [Outgoing(self.sink, event)]

    async def watch(self) -> None:
        """Is anything committed of which the sink holds nothing yet?"""
        while True:
            before = await committed(self.kafka, self.source)
            done = set(subjects(await everything(self.kafka, self.sink.name)))
            self.early += [
                NAMES[at]
                for at, subject in enumerate(SUBJECTS)
                if at // 4 < (before[at % 4] or 0) and subject not in done
            ]
            self.kept.add(before[0])
            await sleep(1)

    def listen(self, running: Running) -> None:
        """Count assignments, and those by which we gain the first partition."""
        mode = running.delivery._members[0].mode
        assigned, had = mode.assigned, set[int]()

        async def counted(partitions: Collection[int]) -> None:
            self.rebalances += 1
            self.gains += 0 in partitions and 0 not in had
            had.clear()
            had.update(partitions)
            await assigned(partitions)

        mode.assigned = counted  # type: ignore[method-assign]


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[None]:
    watching = asyncio.create_task(world.watch())
    yield
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


@asynccontextmanager
async def beside(world: World, mode: str, end: signal.Signals) -> AsyncIterator[None]:
    """A member in a process of its own, and how it ends."""
    words = (world.kafka, world.source.name, world.sink.name, mode, "never", LATER)
    command = [sys.executable, str(MEMBER), *words]
    other = await asyncio.to_thread(subprocess.Popen, command)
    yield
    other.send_signal(end)
    code = await asyncio.to_thread(other.wait, 60)

    assert (0 if end is signal.SIGTERM else -signal.SIGKILL) == code


def ours(running: Running) -> frozenset[int]:
    return running.delivery._members[0].partitions.assigned()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["ordered", "concurrent"])
async def test_another_process_s_members_come_and_go(stack: Stack, mode: str) -> None:
    kafka = stack.kafka_bootstrap
    source, sink = await new_topic(kafka, "source"), await new_topic(kafka, "sink")
    world = World(kafka, source, sink)
    await put(kafka, source, *NAMES)
    async with watched(world):
        async with delivering(kafka, world.subscription(mode)) as running:
            world.listen(running)
            await until(lambda: world.tries > 0, 60)
            for end in LIVES:
                async with beside(world, mode, end):
                    await until(lambda: len(ours(running)) == 2, 60)
                    await sleep(LIFE_S)
                await until(lambda: len(ours(running)) == 4, 60)
            await sleep(1)
            tries, gains, rebalances = world.tries, world.gains, world.rebalances
        kept = {*world.kept}
        world.due = True
        async with delivering(kafka, world.subscription(mode)):
            await until(lambda: finished(kafka, source), 240)

    found = Counter(subjects(await everything(kafka, sink.name)))
    assert [] == world.early
    assert BEFORE_IT == max(at or 0 for at in kept)
    # A pause outlives the rebalances in which its partition stays with us. A call goes
    # back into its lane instead, and is tried again after each back-off.
    assert mode == "concurrent" or 1 <= tries <= gains
    assert rebalances > 2 * len(LIVES)
    assert {*SUBJECTS} == set(found)
