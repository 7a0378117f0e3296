"""The loop of a timed worker: what makes it late, and what only a restart mends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from infra.log import Log, Word
from infra.system import SystemEntropy
from producers import process
from producers.timed import Job, Loop, Timed, alive, not_ready, running
from tests.support.gateway import HeldClock

ALIVE_WITHIN_S = 60.0


def looped(job: Job, clock: HeldClock) -> Loop:
    timed = Timed(
        name=Word("sweeper"), job=job, every_s=1, alive_within_s=ALIVE_WITHIN_S
    )
    return Loop(timed=timed, clock=clock, entropy=SystemEntropy(), log=Log("timed"))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.001)  # noqa: TID251 - the loop's own tasks


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


async def test_a_round_that_hangs_is_late_and_then_needs_a_new_process(
    clock: HeldClock,
) -> None:
    begun = asyncio.Event()

    async def hang() -> bool:
        begun.set()
        await asyncio.Event().wait()
        return False

    loops = [looped(hang, clock)]
    told = []
    async with running(loops):
        await begun.wait()
        for _ in range(3):
            told.append((alive(loops), list(not_ready(loops))))
            await clock.sleep(ALIVE_WITHIN_S)

    assert [
        (True, []),
        (True, ["sweeper:late"]),
        (False, ["sweeper:hung"]),
    ] == told


async def test_rounds_that_fail_are_late_and_never_dead(clock: HeldClock) -> None:
    rounds = 0

    async def fail() -> bool:
        nonlocal rounds
        rounds += 1
        await asyncio.sleep(0)  # noqa: TID251 - lets the test look
        raise OSError("away")

    loops = [looped(fail, clock)]
    async with running(loops):
        await until(lambda: clock.monotonic() > 10 * ALIVE_WITHIN_S)
        told = alive(loops), not_ready(loops)

    assert (True, ["sweeper:late"]) == told
    assert rounds > 10


async def test_a_loop_that_ended_needs_a_new_process(clock: HeldClock) -> None:
    async def cancelled() -> bool:
        raise asyncio.CancelledError

    loops = [looped(cancelled, clock)]
    async with running(loops):
        await until(lambda: not alive(loops))
        told = not_ready(loops)

    assert ["sweeper:hung"] == told


async def test_a_round_that_ended_long_ago_is_late_and_hangs_nowhere(
    clock: HeldClock,
) -> None:
    """The wait between two rounds is no round."""

    async def well() -> bool:
        return False

    await clock.sleep(ALIVE_WITHIN_S)
    loop = looped(well, clock)
    told = [loop.ready]
    await clock.sleep(1)
    await loop._round()
    for seconds in (ALIVE_WITHIN_S - 1, 1, 2 * ALIVE_WITHIN_S):
        await clock.sleep(seconds)
        told.append(loop.ready)

    assert [True, True, False, False] == told
    assert loop.alive
    assert 3 * ALIVE_WITHIN_S == loop.idle_s


@pytest.mark.parametrize("publishes", [True, False])
async def test_a_process_whose_publisher_is_stuck_is_not_alive(
    monkeypatch: pytest.MonkeyPatch, *, publishes: bool
) -> None:
    told = list[bool]()

    @asynccontextmanager
    async def served(*_: object) -> AsyncIterator[int]:
        yield 1

    monkeypatch.setattr(process, "serving", served)
    monkeypatch.setattr(process, "health_app", lambda alive, *_: told.append(alive()))
    unused: Any = SimpleNamespace(registry=None)
    settings: Any = SimpleNamespace(health=SimpleNamespace(host="", port=0))
    async with process.looping(settings, [], unused, lambda: publishes):
        pass

    assert [publishes] == told
