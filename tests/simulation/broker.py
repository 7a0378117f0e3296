"""Kafka as delivery sees it: groups with generations, fetches, rebalances.

The log and the hand on its partitions are the twins of ``infra/memory/log.py``; here
they get what a cluster adds: heartbeats that stop, members that come back too late,
commits of a generation that is over.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from typing_extensions import override

from infra.memory.log import MemoryPartitions
from pipeline.ports.bus import Record
from tests.simulation.loop import OWNER, Owner

if TYPE_CHECKING:
    from tests.simulation.world import World

SESSION_S = 10.0
REBALANCE_S = 45.0
HEARTBEAT_S = 3.0


@dataclass(slots=True, eq=False)
class Seat:
    """One member of a group, as the broker knows it."""

    partitions: "SimPartitions"
    owner: Owner
    joined: "asyncio.Future[Any] | None" = None


@dataclass(slots=True)
class Group:
    """A consumer group. What is committed lies in the log."""

    world: "World"
    topic: str
    name: str
    seats: list[Seat] = field(default_factory=list)
    generation: int = 0
    forming: int = 0

    def join(self, seat: Seat, joined: "asyncio.Future[Any]") -> None:
        """A member asks to be in the next generation."""
        seat.joined = joined
        if seat not in self.seats:
            self.seats.append(seat)
        self.prepare()

    def prepare(self) -> None:
        """Begin a rebalance: tell all, wait for them, but not for ever."""
        if not self.forming:
            self.forming += 1
            self.world.later(REBALANCE_S, self._too_late, self.generation)
            for seat in self.seats:
                if seat.joined is None:
                    wait = self.world.chance.uniform(0, HEARTBEAT_S)
                    self.world.later(wait, seat.partitions.rebalancing.set)
        self._complete()

    def drop(self, seat: Seat) -> None:
        """A member left, or its heartbeats stopped."""
        if seat in self.seats:
            self.seats.remove(seat)
            if seat.joined is not None:  # it waited: "unknown member"
                self.world.later(0.0, _answer, seat.joined, None)
                seat.joined = None
            seat.partitions.rebalancing.set()
            self.world.say("broker", self.name, "dropped", seat.owner.name)
            if self.seats:
                self.prepare()

    def commit(self, seat: Seat, generation: int, offsets: Mapping[int, int]) -> bool:
        """Store offsets of a member of this generation."""
        if seat not in self.seats or generation != self.generation:
            return False
        for partition, offset in offsets.items():
            before = self.world.log.committed(self.topic, self.name, partition)
            self.world.log.commit(self.topic, self.name, partition, offset)
            self.world.watch.committed(self, partition, before or 0, offset)
        return True

    def _too_late(self, generation: int) -> None:
        if generation == self.generation and self.forming:
            for seat in [seat for seat in self.seats if seat.joined is None]:
                self.drop(seat)

    def _complete(self) -> None:
        if not self.seats or any(seat.joined is None for seat in self.seats):
            return
        self.generation, self.forming = self.generation + 1, 0
        seats = self.world.chance.shuffled(self.seats)
        count = self.world.log.count(self.topic)
        for at, seat in enumerate(seats):
            joined, seat.joined = seat.joined, None
            share = {
                partition: self.world.log.begin(self.topic, self.name, partition)
                for partition in range(at, count, len(seats))
            }
            said = sorted(share.items())
            self.world.say("broker", self.name, "assigned", seat.owner.name, said)
            answer = (self.generation, share)
            self.world.later(self.world.chance.latency(), _answer, joined, answer)


def _answer(joined: "asyncio.Future[Any]", answer: object) -> None:
    if not joined.done():
        joined.set_result(answer)


class SimPartitions(MemoryPartitions):
    """The twin; what a broker must answer goes over the network."""

    def __init__(self, world: "World", topic: str) -> None:
        group = world.groups[topic]
        super().__init__(world.log, topic, group.name, listener=None)  # type: ignore[arg-type]
        self._world = world
        self._group = group
        self._generation = 0
        self.rebalancing = asyncio.Event()
        self.more = asyncio.Event()
        self.deaf = False
        """Its fetches come back no more, and its heartbeats go on."""
        self.seat = Seat(self, OWNER.get())

    def assigned_in(self, generation: int, positions: Mapping[int, int]) -> None:
        """Hold these, in a generation."""
        self._generation = generation
        self.assign(positions)
        self.more.set()

    @override
    def poll(self, max_records: int) -> list[Record]:
        found = super().poll(min(max_records, self._world.chance.some(8)))
        if not found:
            self.more.clear()
        return found

    @override
    def _next(self) -> Iterator[Record]:
        """Partitions in any order: Kafka orders records within one only."""
        order = self._world.chance.shuffled(list(self._positions.items()))
        for partition, position in order:
            if partition not in self._paused:
                segment = self._log.segment(self.topic, partition)
                yield from segment.records[max(0, position - segment.start) :]

    @override
    def resume(self, partitions: Collection[int]) -> None:
        super().resume(partitions)
        self.more.set()

    @override
    def begin(self, partition: int, offset: int) -> None:
        super().begin(partition, offset)
        self.more.set()

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        if not offsets.keys() <= self._positions.keys():
            return False

        async def store() -> bool:
            return self._group.commit(self.seat, self._generation, offsets)

        said = " ".join(f"{p}:{at}" for p, at in sorted(offsets.items()))
        try:
            kept: bool = await self._ask(f"commit {self.group} {said}", store)
        except Exception:  # noqa: BLE001 - as the adapter: not known
            return False
        return kept

    @override
    async def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        ask = super().committed
        found: Mapping[int, int | None] = await self._ask(
            f"committed {self.group}", lambda: ask(partitions)
        )
        return found

    @override
    async def bounds(self, partitions: Collection[int]) -> Mapping[int, range]:
        ask = super().bounds
        found: Mapping[int, range] = await self._ask(
            f"bounds {self.group}", lambda: ask(partitions)
        )
        return found

    async def _ask(self, label: str, act: Any) -> Any:
        return await self._world.network.call(label, act)


class Subscriber:
    """What FastStream gives for one subscription: polls, and one batch at a time."""

    def __init__(
        self, world: "World", partitions: SimPartitions, listener: Any, most: int
    ) -> None:
        self._world = world
        self._partitions = partitions
        self._listener = listener
        self._most = most
        self._batch: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._joined = asyncio.Event()
        self.consumer = self

    def __call__(self, batch: Any) -> None:
        self._batch = batch

    async def start(self) -> None:
        """As aiokafka's: it waits until it was assigned something."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._coordinate()),
            loop.create_task(self._consume()),
        ]
        await self._joined.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        group, seat = self._partitions._group, self._partitions.seat
        self._partitions.assign({})

        async def leave() -> None:
            group.drop(seat)

        await self._world.network.call(f"leave {group.name}", leave)

    async def _coordinate(self) -> None:
        """Join; be told of a rebalance; let go; join again."""
        group, partitions = self._partitions._group, self._partitions
        while True:
            held = {TopicPartition(group.topic, p) for p in partitions.assigned()}
            await self._told(self._listener.on_partitions_revoked(held))
            partitions.rebalancing.clear()
            while (answer := await self._asked_to_join(group)) is None:
                continue
            partitions.assigned_in(*answer)
            held = {TopicPartition(group.topic, p) for p in partitions.assigned()}
            await self._told(self._listener.on_partitions_assigned(held))
            self._joined.set()
            await partitions.rebalancing.wait()

    async def _asked_to_join(self, group: Group) -> Any:
        """The generation and our share; None: the broker forgot that we asked."""
        joined = asyncio.get_running_loop().create_future()
        wait = self._world.chance.latency()
        self._world.later(wait, self._join, group, self._partitions.seat, joined)
        return await joined

    @staticmethod
    def _join(group: Group, seat: Seat, joined: Any) -> None:
        if not seat.owner.dead:
            group.join(seat, joined)

    async def _told(self, telling: Any) -> None:
        try:
            await telling
        except Exception as error:  # noqa: BLE001 - aiokafka drops it; we do not
            self._world.watch.wrong(f"a listener raised {error!r}")

    async def _consume(self) -> None:
        while True:
            await self._partitions.more.wait()
            if self._partitions.deaf:
                await asyncio.get_running_loop().create_future()
            await self._world.clock.sleep(self._world.chance.latency())
            records = self._partitions.poll(self._most)
            if not records:
                continue
            self._world.say("fetched", self._partitions.group, _named(records))
            try:
                await self._batch(records)
            except Exception as error:  # noqa: BLE001 - FastStream loses the batch
                self._world.watch.wrong(f"a batch raised {error!r}")


def _named(records: Sequence[Record]) -> str:
    return " ".join(f"{record.partition}@{record.offset}" for record in records)


class SimBroker:
    """FastStream's broker, as far as delivery declares subscribers on it."""

    def __init__(self, kafka: "SimKafka") -> None:
        self._kafka = kafka

    def subscriber(self, topic: str, **settings: Any) -> Subscriber:
        return Subscriber(
            self._kafka.world,
            self._kafka.held[topic],
            settings["listener"],
            settings["max_records"],
        )

    async def connect(self) -> None:
        """Each subscriber is started by its member."""

    async def stop(self) -> None:
        """Each subscriber was stopped by its member."""


class SimKafka:
    """The cluster's clients, in the place of ``infra.kafka.clients``."""

    consumer: Mapping[str, Any] = {}
    connection: Mapping[str, Any] = {}

    def __init__(self, world: "World") -> None:
        self.world = world
        self.held: dict[str, SimPartitions] = {}

    def broker(self) -> SimBroker:
        return SimBroker(self)

    def partitions(self, _: Any, topic: str) -> SimPartitions:
        self.held[topic] = SimPartitions(self.world, topic)
        return self.held[topic]

    def record(self, raw: Record) -> Record:
        return raw

    async def answers(self) -> bool:
        return True

    def reader(self) -> Any:
        return self.world.reader()


class SimAdmin:
    """An admin client, as ``infra.kafka.inbox`` uses it."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def start(self) -> None:
        await self._world.clock.sleep(self._world.chance.latency())

    async def close(self) -> None:
        """Nothing to close."""

    async def list_consumer_group_offsets(
        self, group: str
    ) -> Mapping[TopicPartition, Any]:
        world = self._world

        async def listed() -> Mapping[TopicPartition, Any]:
            topic = next(
                one.topic for one in world.groups.values() if one.name == group
            )
            kept = {p: world.log.committed(topic, group, p) for p in _all(world, topic)}
            return {
                TopicPartition(topic, partition): SimpleNamespace(offset=offset)
                for partition, offset in kept.items()
                if offset is not None
            }

        found: Mapping[TopicPartition, Any] = await world.network.call(
            f"offsets of {group}", listed
        )
        return found


def _all(world: "World", topic: str) -> range:
    return range(world.log.count(topic))
