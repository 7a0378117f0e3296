"""What a member does while its partitions are being taken away."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from consumers.delivery import Subscription
from schemas.topics import Outgoing
from tests.support.delivery import (
    SOURCE,
    Audited,
    Bench,
    Handle,
    in_order,
    onward,
    side_by_side,
)


@pytest.mark.parametrize("way", [in_order, side_by_side])
async def test_what_comes_meanwhile_is_fetched_once_and_handled_afterwards(
    way: Callable[[Handle], Subscription],
) -> None:
    go_on, bench = asyncio.Event(), Bench()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        await go_on.wait()
        return [onward(event)]

    bench.put("a")
    member = await bench.member(way(handle))
    batch = asyncio.create_task(member.mode.batch(member.partitions.poll(500)))
    await bench.clock.breathe()
    moving = asyncio.create_task(bench.log.rebalance(SOURCE.name, "test"))
    await bench.clock.breathe()
    bench.put("b")
    fetched = [await member.poll() for _ in range(5)]
    go_on.set()
    await bench.clock.run(asyncio.gather(batch, moving))
    await member.until_quiet(5)

    assert [1, 0, 0, 0, 0] == fetched
    assert 2 == len(bench.sunk)
