"""The gateway says what it waits for."""

import asyncio
from datetime import timedelta

from producers.gateway.readiness import SILENT_S, Readiness
from tests.support.gateway import HeldClock


class Part:
    """Answers as it is told; None: not at all."""

    def __init__(self) -> None:
        self.says: bool | None = True
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        if self.says is None:
            await asyncio.Event().wait()
        return bool(self.says)


def made(clock: HeldClock | None = None, /, **parts: Part) -> Readiness:
    return Readiness(parts, clock or HeldClock(), within_s=0.02)


async def test_it_is_not_ready_before_it_looked() -> None:
    readiness = made(kafka=Part())
    before = readiness.reasons()
    await readiness.look()

    assert ["gateway:starting"] == before
    assert [] == readiness.reasons()


async def test_each_part_is_told_apart_and_comes_back() -> None:
    kafka, keystore = Part(), Part()
    readiness = made(kafka=kafka, keystore=keystore)
    told = []
    for kafka.says, keystore.says in [(True, False), (None, True), (True, True)]:
        await readiness.look()
        told.append(readiness.reasons())

    assert [["gateway:keystore_away"], ["gateway:kafka_away"]] == told[:2]


async def test_a_silent_part_is_asked_once_and_holds_up_no_other() -> None:
    silent, other = Part(), Part()
    silent.says = None
    readiness = made(silent=silent, other=other)
    for _ in range(3):
        await readiness.look()

    assert (1, 3) == (silent.asked, other.asked)
    assert ["gateway:silent_away"] == readiness.reasons()


async def test_silence_for_long_needs_a_new_process_and_a_refusal_does_not() -> None:
    silent, refusing, clock = Part(), Part(), HeldClock()
    silent.says, refusing.says = None, False
    readiness = made(clock, silent=silent, refusing=refusing)
    told = []
    for seconds in (0, SILENT_S - 1, 2):
        clock.elapsed += timedelta(seconds=seconds)
        await readiness.look()
        told.append(readiness.alive)
    readiness = made(clock, refusing=refusing)
    for _ in range(2):
        await readiness.look()
        clock.elapsed += timedelta(seconds=SILENT_S)
        told.append(readiness.alive)

    assert [True, True, False, True, True] == told


async def test_whoever_stops_is_not_ready_whatever_answers() -> None:
    readiness = made(kafka=Part())
    await readiness.look()
    readiness.stopping = True

    assert ["gateway:stopping"] == readiness.reasons()


async def test_who_stops_looking_lets_go_of_whom_it_asked() -> None:
    ended = asyncio.Event()

    async def silent() -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return True

    looking = asyncio.create_task(Readiness({"kafka": silent}, HeldClock()).look())
    await asyncio.sleep(0)  # noqa: TID251 - so that it asks
    await asyncio.sleep(0)  # noqa: TID251 - and the part begins
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    async with asyncio.timeout(1):
        await ended.wait()

    assert looking.cancelled()
