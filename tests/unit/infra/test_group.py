"""Group commit: who rides with whom, and what becomes of an error."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest

from infra.group import GroupCommit
from pipeline.errors import RetryableError

TRACE: ContextVar[str] = ContextVar("TRACE", default="none")


@dataclass
class Store:
    """Doubles what it takes; a trip lasts until the gate opens."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    trips: list[list[int]] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    away: bool = False

    async def flush(self, items: Sequence[int]) -> Sequence[int]:
        self.trips.append(list(items))
        self.traces.append(TRACE.get())
        await self.gate.wait()
        if self.away:
            raise RetryableError("away")
        return [2 * item for item in items]


async def turns() -> None:
    """Let everything that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, not a wait


async def test_what_arrives_together_rides_together() -> None:
    store = Store()
    store.gate.set()
    group = GroupCommit(store.flush)

    answers = await asyncio.gather(*(group.add(number) for number in range(5)))

    assert [0, 2, 4, 6, 8] == answers
    assert [[0, 1, 2, 3, 4]] == store.trips


async def test_what_arrives_during_a_trip_rides_the_next() -> None:
    store = Store()
    group = GroupCommit(store.flush)
    riders = [asyncio.create_task(group.add(1))]
    await turns()
    riders += [asyncio.create_task(group.add(number)) for number in (2, 3)]
    await turns()
    before = list(store.trips)
    store.gate.set()

    assert [2, 4, 6] == await asyncio.gather(*riders)
    assert [[1]] == before
    assert [[1], [2, 3]] == store.trips


async def test_a_trip_takes_no_more_than_its_limit() -> None:
    store = Store()
    store.gate.set()
    group = GroupCommit(store.flush, limit=2)

    answers = await asyncio.gather(*(group.add(number) for number in range(5)))

    assert [0, 2, 4, 6, 8] == answers
    assert [[0, 1], [2, 3], [4]] == store.trips


async def test_an_error_is_told_to_every_rider_and_the_next_trip_goes() -> None:
    store = Store(away=True)
    store.gate.set()
    group = GroupCommit(store.flush)

    answers = await asyncio.gather(group.add(1), group.add(2), return_exceptions=True)
    store.away = False

    assert [RetryableError, RetryableError] == [type(each) for each in answers]
    assert 6 == await group.add(3)


async def test_a_rider_that_leaves_does_not_hold_up_the_others() -> None:
    store = Store()
    group = GroupCommit(store.flush)
    leaver, stayer = (asyncio.create_task(group.add(number)) for number in (1, 2))
    await turns()

    leaver.cancel()
    store.gate.set()

    assert 4 == await stayer
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_a_trip_that_is_cancelled_leaves_nobody_waiting() -> None:
    store = Store()
    group = GroupCommit(store.flush)
    rider = asyncio.create_task(group.add(1))
    await turns()
    mine = asyncio.current_task()

    for task in asyncio.all_tasks() - {mine, rider}:
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(rider, 1)


async def test_a_trip_carries_nobodys_context() -> None:
    store = Store()
    store.gate.set()
    group = GroupCommit(store.flush)
    TRACE.set("mine")

    await group.add(1)

    assert ["none"] == store.traces


async def test_closing_waits_for_what_was_added() -> None:
    store = Store()
    group = GroupCommit(store.flush)
    rider = asyncio.create_task(group.add(1))
    await turns()
    closing = asyncio.create_task(group.close())
    await turns()
    early = closing.done()

    store.gate.set()
    await closing

    assert not early
    assert 2 == await rider


async def test_closing_an_idle_group_is_nothing() -> None:
    await GroupCommit(Store().flush).close()
