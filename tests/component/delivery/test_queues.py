"""Lanes: whose turn it is, and that an empty one is not kept."""

from typing import Any

from consumers.delivery import Bounds
from consumers.delivery.queues import Job, Queues
from pipeline.ports.bus import Record
from schemas.topics import Outgoing


async def nothing() -> list[Outgoing[Any]]:
    return []


def job(lane: str) -> Job:
    record = Record(
        topic="t",
        partition=0,
        offset=0,
        key=None,
        value=b"",
        headers=(),
        timestamp_ms=0,
        appended=True,
    )
    return Job(record, nothing, lane, epoch=0)


def test_of_lanes_whose_queues_are_cleared_those_that_run_are_kept() -> None:
    """After a rebalance nothing of the others comes to an end that could drop them."""
    queues = Queues(Bounds(per_lane=1))
    runs = job("runs")
    for each in (runs, job("runs"), job("waits")):
        queues.put(each)
    assert runs is next(queues.turns())
    queues.began(runs)

    queues.clear()
    assert 1 == len(queues)
    assert [] == [*queues.turns()]

    queues.ended(runs)
    assert 0 == len(queues)


def test_a_place_that_all_share_is_no_place_of_a_full_lane_s() -> None:
    """Where others run in all places, what fits into no queue overflows."""
    queues = Queues(Bounds(total=1, per_lane=4, queued_per_lane=1))
    queues.began(job("other"))
    queues.put(job("mine"))

    assert queues.is_full("mine")
