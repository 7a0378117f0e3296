"""What stands still, until when, and what is told of it."""

import pytest

from consumers.delivery.stops import Stops
from infra.memory.log import MemoryPartitions
from tests.support.delivery import SOURCE, Bench, Late


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def partitions(bench: Bench) -> MemoryPartitions:
    """Partitions 0 and 1, with a record each."""
    found = MemoryPartitions(bench.log, SOURCE.name, "test", Late())
    found.assign({0: 0, 1: 0})
    for partition in range(2):
        bench.put("a", partition=partition)
    return found


@pytest.fixture
def stops(bench: Bench, partitions: MemoryPartitions) -> Stops:
    return Stops("test", partitions, bench.means)


def polled(partitions: MemoryPartitions) -> set[int]:
    return {record.partition for record in partitions.poll(500)}


async def test_who_waits_comes_back_in_time(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    early = polled(partitions)
    await bench.clock.pass_by(11)

    assert ({1}, {0}) == (early, polled(partitions))


async def test_the_latest_wait_counts(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    stops.delay(0, 0, 300)
    await bench.clock.pass_by(200)

    assert {1} == polled(partitions)


async def test_the_end_of_a_wait_frees_nothing_that_is_held(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    stops.hold()
    await bench.clock.pass_by(20)

    assert set() == polled(partitions)


async def test_the_end_of_a_wait_frees_nothing_that_is_halted(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    stops.halt(0, 0)
    await bench.clock.pass_by(20)

    assert {1} == polled(partitions)


async def test_a_release_frees_all_but_who_waits(
    partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    stops.halt(1, 0)
    stops.hold()
    stops.release()

    assert {1} == polled(partitions)
    assert [True, False] == [stops.stands(each) for each in range(2)]


async def test_what_was_taken_away_does_not_stand(stops: Stops) -> None:
    stops.wait(7, 0)
    stops.halt(7, 0)

    assert (None, frozenset()) == (stops.waiting_since, stops.halted)


async def test_a_rebalance_keeps_waits_and_forgets_halts(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.wait(0, 0)
    stops.halt(1, 0)
    partitions.assign({0: 0, 1: 0})
    stops.restore({0, 1})
    kept = (stops.halted, polled(partitions), bench.seen.gauges["waiting"])
    partitions.assign({1: 0})
    stops.restore({1})

    assert (frozenset(), {1}, 1) == kept
    assert stops.waiting_since is None
    assert 0 == bench.seen.gauges["waiting"]


async def test_a_rebalance_frees_nothing_that_is_held(
    partitions: MemoryPartitions, stops: Stops
) -> None:
    """Nor does who watches progress take the pulled brake for a member that hangs."""
    stops.hold()
    partitions.assign({0: 0, 1: 0})
    stops.restore({0, 1})

    assert set() == polled(partitions)
    assert [True, True] == [stops.stands(each) for each in range(2)]


async def test_what_stands_is_told(bench: Bench, stops: Stops) -> None:
    def told() -> list[int]:
        gauges = bench.seen.gauges
        return [gauges[each] for each in ("waiting", "halted", "held")]

    stops.wait(0, 0)
    seen = [told()]
    stops.halt(1, 0)
    seen.append(told())
    stops.hold()
    seen.append(told())
    stops.release()
    seen.append(told())
    stops.moved(0)
    seen.append(told())

    assert [[1, 0, 0], [1, 1, 0], [1, 1, 2], [1, 0, 0], [0, 0, 0]] == seen


async def test_what_is_only_due_later_is_no_trouble(bench: Bench, stops: Stops) -> None:
    """But what fails once it is due is trouble, since then."""
    stops.delay(0, 0, 10)
    due = (stops.waiting_since, bench.seen.gauges["waiting"])
    await bench.clock.pass_by(10)
    failed = bench.clock.monotonic()
    stops.wait(0, 0)

    assert (None, 0) == due
    assert (failed, 1) == (stops.waiting_since, bench.seen.gauges["waiting"])


async def test_the_longer_it_waits_the_rarer_it_comes_back(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    """At most 60 s: so between 60 and, were the waits not counted, 7,200 an hour."""
    hour, tries = bench.clock.monotonic() + 3600, 0
    while bench.clock.monotonic() < hour:
        stops.wait(0, 0)
        while 0 not in polled(partitions):
            await bench.clock.step()
        tries += 1

    assert 60 < tries < 900


async def test_a_release_frees_whose_wait_ended_meanwhile(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.wait(0, 0)
    stops.hold()
    await bench.clock.pass_by(3600)
    stops.release()

    assert {0, 1} == polled(partitions)


async def test_who_came_back_is_woken_by_no_wait_of_before(
    bench: Bench, partitions: MemoryPartitions, stops: Stops
) -> None:
    stops.delay(0, 0, 10)
    for assigned in ({1: 0}, {0: 0, 1: 0}):
        partitions.assign(assigned)
        stops.restore(assigned)
    stops.delay(0, 0, 300)
    await bench.clock.pass_by(20)

    assert {1} == polled(partitions)
