"""Commits on their way: the committed offset never moves backwards."""

import asyncio
from collections.abc import Mapping

from typing_extensions import override

from consumers.delivery.commits import Commits
from infra.memory.log import MemoryPartitions
from tests.support.delivery import SOURCE, Bench, Late


class Repeating(MemoryPartitions):
    """Its first commit meets an error, and is repeated by the client much later."""

    repeats = 1

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.log, SOURCE.name, "test", Late())
        self._clock = bench.clock
        self.assign({0: 0})

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        if self.repeats:
            self.repeats -= 1
            await self._clock.sleep(2)
        return await super().commit(offsets)


async def test_a_commit_that_is_repeated_does_not_undo_a_later_one() -> None:
    bench = Bench()
    commits = Commits("test", Repeating(bench), bench.means)
    commits.finished(0, 14)
    first = asyncio.create_task(commits.settle())
    await bench.clock.breathe()
    commits.finished(0, 26)
    second = asyncio.create_task(commits.settle())
    await bench.clock.run(asyncio.wait({first, second}))

    assert 26 == bench.committed()


async def test_what_waited_together_is_committed_together() -> None:
    bench = Bench()
    partitions = Repeating(bench)
    partitions.assign(dict.fromkeys(range(4), 0))
    commits = Commits("test", partitions, bench.means)
    settling = []
    for partition in range(4):
        commits.finished(partition, 5)
        settling.append(asyncio.create_task(commits.settle()))
        await bench.clock.breathe()
    await bench.clock.run(asyncio.wait(settling))

    assert [5] * 4 == [bench.committed(partition) for partition in range(4)]


class Refusing(MemoryPartitions):
    """Its first commit is refused: the group was just about to change."""

    refusals = 1

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        return await super().commit(offsets)


async def test_who_waits_for_what_is_owed_hears_of_it_until_it_is_committed() -> None:
    bench = Bench()
    partitions = Refusing(bench.log, SOURCE.name, "test", Late())
    partitions.assign({0: 0})
    commits = Commits("test", partitions, bench.means)
    told = [commits.owing.is_set()]
    commits.finished(0, 3)
    told.append(commits.owing.is_set())
    for _ in range(2):
        await commits.settle()
        told.append(commits.owing.is_set())

    assert [False, True, True, False] == told
    assert 1 == bench.seen.counted["commit_refused"]


async def test_what_ends_while_a_commit_is_on_its_way_is_owed_still() -> None:
    """Else the last record of all is never committed, and comes again."""
    bench = Bench()
    commits = Commits("test", Repeating(bench), bench.means)
    commits.finished(0, 3)
    settling = asyncio.create_task(commits.settle())
    await bench.clock.breathe()
    commits.finished(0, 5)
    await bench.clock.run(settling)

    assert commits.owing.is_set()
    await commits.settle()
    assert 5 == bench.committed()


async def test_nothing_is_owed_of_what_was_taken_away() -> None:
    bench = Bench()
    commits = Commits("test", Repeating(bench), bench.means)
    commits.finished(0, 3)

    commits.forget()

    assert not commits.owing.is_set()
    await commits.settle()
    assert None is bench.committed()


async def test_what_comes_again_after_a_rebalance_is_committed_again() -> None:
    """The commit before it was refused, so the group knows of less."""
    bench = Bench()
    commits = Commits("test", Repeating(bench), bench.means)
    commits.finished(0, 5)
    commits.forget()
    commits.finished(0, 3)
    await bench.clock.run(commits.settle())

    assert 3 == bench.committed()
