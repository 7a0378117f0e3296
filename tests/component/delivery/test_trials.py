"""Attempts: counted while a record has trouble, and not kept beyond."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from consumers.delivery import Subscription
from pipeline.errors import InvalidMessage, RetryableError
from schemas.events import timestamp
from schemas.topics import Outgoing
from tests.support.delivery import (
    SOURCE,
    Audited,
    Bench,
    Handle,
    headers,
    in_order,
    onward,
    side_by_side,
)

WAITS = 9


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


@pytest.mark.parametrize("way", [in_order, side_by_side])
async def test_what_waited_long_has_all_its_tries_when_it_meets_a_bug(
    way: Callable[[Handle], Subscription],
) -> None:
    """Only what nobody foresaw counts: an outage costs no record."""
    bench, calls = Bench(), list[str]()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        calls.append("one")
        if len(calls) <= WAITS:
            raise RetryableError("away")
        if len(calls) == WAITS + 1:
            raise ValueError
        return [onward(event)]

    bench.put("a")
    member = await bench.member(way(handle))
    await member.until_quiet(60)

    assert (WAITS + 2, 1, []) == (len(calls), len(bench.sunk), bench.dead)


@pytest.mark.parametrize("way", [in_order, side_by_side])
async def test_a_dead_letter_says_since_when_it_had_trouble(
    way: Callable[[Handle], Subscription],
) -> None:
    bench, errors = Bench(), [RetryableError("away")] * 8
    moments = list[datetime]()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        moments.append(bench.clock.now())
        if errors:
            raise errors.pop()
        raise InvalidMessage("expected something else", event.attributes.id)

    bench.put("a")
    member = await bench.member(way(handle))
    await member.until_quiet(60)

    (letter,) = bench.dead
    told = headers(letter)
    assert moments[0] < moments[-1]
    assert [timestamp(moments[0]), timestamp(moments[-1])] == [
        told["dead_first_at"],
        told["dead_at"],
    ]
