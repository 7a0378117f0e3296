"""Attempts: counted while a record has trouble, and not kept beyond."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from consumers.delivery import Subscription
from pipeline.errors import RetryableError
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


@pytest.mark.parametrize("taken_away", [False, True], ids=["ended", "taken away"])
@pytest.mark.parametrize("way", [in_order, side_by_side])
async def test_of_what_ended_no_attempts_are_kept(
    way: Callable[[Handle], Subscription], *, taken_away: bool
) -> None:
    bench, away = Bench(), [True]

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if away[0]:
            raise RetryableError("away")
        return [onward(event)]

    bench.put("a")
    member = await bench.member(way(handle))
    await member.poll()
    await bench.clock.pass_by(2)
    kept = member.mode._trials._tried
    before = len(kept)
    if taken_away:
        await bench.clock.run(bench.log.rebalance(SOURCE.name, "test"))
    else:
        away[0] = False
        await member.until_quiet(20)

    assert (1, 0) == (before, len(kept))
