"""What a group's member may rely on: the log in memory, and Kafka."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from typing_extensions import override

from demo.stack import Stack
from infra.kafka.partitions import KafkaPartitions
from infra.memory.log import MemoryLog, MemoryPartitions
from pipeline.ports.partitions import Listener, Partitions
from tests.support.delivery import SOURCE, HandClock
from tests.support.kafka import QUICK, new_topic, until


class Heard(Listener):
    """What a member was told, and what it does when it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_revoked: Callable[[], Awaitable[Any]] | None = None

    @override
    async def revoked(self, partitions: Collection[int]) -> None:
        self.told.append("revoked")
        if self.on_revoked is not None:
            await self.on_revoked()

    @override
    async def assigned(self, partitions: Collection[int]) -> None:
        self.told.append(f"assigned {len(partitions)}")


class Held(Protocol):
    """One member, as a test holds it."""

    @property
    def heard(self) -> Heard: ...

    @property
    def partitions(self) -> Partitions: ...

    async def poll(self) -> list[tuple[int, int]]:
        """Partition and offset of what comes next; empty: nothing does."""
        ...


class World(Protocol):
    """A topic of four partitions, and members of one group."""

    async def append(self, partition: int, count: int = 1) -> None: ...

    async def join(self) -> Held: ...

    async def leave(self, member: Any) -> None: ...


async def drained(member: Held) -> list[tuple[int, int]]:
    """All that comes until nothing does."""
    found: list[tuple[int, int]] = []
    while more := await member.poll():
        found += more
    return found


class PartitionsContract:
    @pytest.fixture
    async def world(self) -> World:
        raise NotImplementedError

    async def test_a_lone_member_gets_all_from_the_start(self, world: World) -> None:
        await world.append(0, 2)
        await world.append(3)
        member = await world.join()

        assert frozenset(range(4)) == member.partitions.assigned()
        assert [(0, 0), (0, 1), (3, 0)] == sorted(await drained(member))

    async def test_what_was_handed_out_is_not_again(self, world: World) -> None:
        await world.append(0, 2)
        member = await world.join()
        await drained(member)
        await world.append(0)

        assert [(0, 2)] == await drained(member)

    async def test_a_paused_partition_is_left_out_until_resumed(
        self, world: World
    ) -> None:
        await world.append(0)
        await world.append(1)
        member = await world.join()
        member.partitions.pause([0])
        paused = await drained(member)
        member.partitions.resume([0])

        assert [(1, 0)] == paused
        assert [(0, 0)] == await drained(member)

    async def test_a_rewound_partition_comes_again_from_there(
        self, world: World
    ) -> None:
        await world.append(0, 3)
        member = await world.join()
        await drained(member)
        member.partitions.rewind(0, 1)

        assert [(0, 1), (0, 2)] == await drained(member)

    async def test_rewound_and_paused_it_comes_when_resumed(self, world: World) -> None:
        await world.append(0, 3)
        member = await world.join()
        await drained(member)
        member.partitions.rewind(0, 2)
        member.partitions.pause([0])
        paused = await drained(member)
        member.partitions.resume([0])

        assert [] == paused
        assert [(0, 2)] == await drained(member)

    async def test_a_commit_is_where_the_next_member_begins(self, world: World) -> None:
        await world.append(0, 3)
        first = await world.join()
        await drained(first)
        kept = await first.partitions.commit({0: 2})
        known = await first.partitions.committed([0, 1])
        await world.leave(first)
        second = await world.join()

        assert kept
        assert {0: 2, 1: None} == known
        assert [(0, 2)] == await drained(second)

    async def test_a_rewind_never_passes_over_records(self, world: World) -> None:
        await world.append(0, 3)
        member = await world.join()
        first = await member.poll()
        await drained(member)
        member.partitions.rewind(0, 1)
        member.partitions.rewind(0, 3)

        assert (0, 0) == first[0]
        assert [(0, 1), (0, 2)] == await drained(member)

    async def test_a_member_may_begin_elsewhere_than_at_the_committed(
        self, world: World
    ) -> None:
        await world.append(0, 3)
        member = await world.join()
        member.partitions.begin(0, 2)

        assert [(0, 2)] == await drained(member)

    async def test_a_rewind_commits_nothing(self, world: World) -> None:
        await world.append(0, 3)
        member = await world.join()
        await drained(member)
        await member.partitions.commit({0: 3})
        member.partitions.rewind(0, 0)

        assert {0: 3} == await member.partitions.committed([0])

    async def test_the_log_says_what_it_holds(self, world: World) -> None:
        await world.append(2, 5)
        member = await world.join()

        assert {1: range(0), 2: range(5)} == await member.partitions.bounds([1, 2])

    async def test_a_second_member_gets_its_share_from_the_committed(
        self, world: World
    ) -> None:
        for partition in range(4):
            await world.append(partition, 2)
        first = await world.join()
        await drained(first)
        await first.partitions.commit(dict.fromkeys(range(4), 1))
        second = await world.join()
        shares = first.partitions.assigned(), second.partitions.assigned()
        again = sorted([*await drained(first), *await drained(second)])

        assert frozenset(range(4)) == shares[0] | shares[1]
        assert frozenset() == shares[0] & shares[1]
        assert [(partition, 1) for partition in range(4)] == again
        assert ["assigned 4", "revoked", "assigned 2"] == first.heard.told

    async def test_a_rebalance_forgets_pauses(self, world: World) -> None:
        for partition in range(4):
            await world.append(partition)
        first = await world.join()
        first.partitions.pause(range(4))
        second = await world.join()

        assert 4 == len([*await drained(first), *await drained(second)])

    async def test_a_commit_while_being_revoked_holds(self, world: World) -> None:
        await world.append(0, 2)
        first = await world.join()
        await drained(first)
        first.heard.on_revoked = lambda: first.partitions.commit({0: 2})
        second = await world.join()
        again = [*await drained(first), *await drained(second)]

        assert [] == again

    async def test_what_is_asked_of_a_lost_partition_is_dropped(
        self, world: World
    ) -> None:
        await world.append(0)
        await world.append(1)
        first = await world.join()
        second = await world.join()
        lost = min(second.partitions.assigned())
        first.partitions.pause([lost])
        first.partitions.resume([lost])
        first.partitions.rewind(lost, 0)

        assert not await first.partitions.commit({lost: 1})
        assert {} == await first.partitions.committed([lost])
        assert {} == await first.partitions.bounds([lost])
        assert {lost: None} == await second.partitions.committed([lost])

    async def test_who_left_holds_nothing(self, world: World) -> None:
        first = await world.join()
        second = await world.join()
        await world.leave(first)
        await second.poll()

        assert frozenset() == first.partitions.assigned()
        assert not await first.partitions.commit({0: 1})


class MemoryHeld:
    def __init__(self, partitions: MemoryPartitions, heard: Heard) -> None:
        self.partitions = partitions
        self.heard = heard

    async def poll(self) -> list[tuple[int, int]]:
        return [(r.partition, r.offset) for r in self.partitions.poll(500)]


class MemoryWorld:
    def __init__(self) -> None:
        self.log = MemoryLog([SOURCE], HandClock())

    async def append(self, partition: int, count: int = 1) -> None:
        for _ in range(count):
            self.log.append(SOURCE.name, key=b"k", value=b"v", partition=partition)

    async def join(self) -> Held:
        heard = Heard()
        partitions = MemoryPartitions(self.log, SOURCE.name, "test", heard)
        await self.log.join(partitions)
        return MemoryHeld(partitions, heard)

    async def leave(self, member: MemoryHeld) -> None:
        await self.log.leave(member.partitions)


class TestMemoryPartitions(PartitionsContract):
    @pytest.fixture
    @override
    async def world(self) -> World:
        return MemoryWorld()


class KafkaHeld(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, bootstrap: str, topic: str) -> None:
        self.heard = Heard()
        self.consumer: AIOKafkaConsumer | None = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=topic,
            enable_auto_commit=False,
            **QUICK,
        )
        self.partitions = KafkaPartitions(lambda: self.consumer, topic)
        self.consumer.subscribe([topic], listener=self)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            await self.heard.revoked({tp.partition for tp in revoked})

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self.heard.assigned({tp.partition for tp in assigned})

    async def poll(self) -> list[tuple[int, int]]:
        if self.consumer is None:
            return []
        polled = await self.consumer.getmany(timeout_ms=1_000)
        return [(r.partition, r.offset) for raws in polled.values() for r in raws]


class KafkaWorld:
    def __init__(self, bootstrap: str, topic: str, opened: AsyncExitStack) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.opened = opened
        self.members: list[KafkaHeld] = []

    async def append(self, partition: int, count: int = 1) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for _ in range(count):
                await producer.send_and_wait(self.topic, b"v", partition=partition)

    async def join(self) -> Held:
        member = KafkaHeld(self.bootstrap, self.topic)
        assert member.consumer is not None
        await member.consumer.start()
        self.opened.push_async_callback(self.leave, member)
        self.members.append(member)
        await until(self.settled)
        return member

    async def leave(self, member: KafkaHeld) -> None:
        if member.consumer is not None:
            self.members.remove(member)
            consumer, member.consumer = member.consumer, None
            await consumer.stop()

    def settled(self) -> bool:
        shares: Sequence[int] = [len(m.partitions.assigned()) for m in self.members]
        return {4 // len(shares)} == set(shares)


@pytest.mark.integration
class TestKafkaPartitions(PartitionsContract):
    @pytest.fixture
    @override
    async def world(self, stack: Stack) -> AsyncIterator[World]:
        topic = await new_topic(stack.kafka_bootstrap)
        async with AsyncExitStack() as opened:
            yield KafkaWorld(stack.kafka_bootstrap, topic.name, opened)
