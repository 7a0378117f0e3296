"""What outlives every process: the log, the tables, the keys; and what leads there."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from typing_extensions import override

from infra.log import Log
from infra.memory.anchors import MemoryAnchors
from infra.memory.expired import MemoryExpired
from infra.memory.keystore import MemoryKeys
from infra.memory.ledger import MemoryLedger
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from infra.memory.requests import MemoryRequests
from infra.memory.retention import MemoryPurges
from infra.memory.secrets import MemorySecrets, MemorySubjects
from infra.memory.tenants import MemoryCredentials, MemoryTenants
from infra.resources import Resources
from infra.settings import Settings
from pipeline.contents import Contents
from pipeline.ports.bus import RawOutgoing, Record
from pipeline.ports.system import Clock
from pipeline.work import Bench
from schemas.ids import EventId, RequestId, TenantId
from schemas.topics import TOPICS, WEBHOOKS_RETRY_5M, Outgoing
from tests.simulation.ages import Ages
from tests.simulation.broker import Group, SimKafka
from tests.simulation.chance import Chance, DicedEntropy, Trace
from tests.simulation.claims import Claims, SimCalls
from tests.simulation.hangs import Hangs
from tests.simulation.health import Health
from tests.simulation.loop import OWNER, Owner, SimLoop, at_once
from tests.simulation.network import Network, Wire
from tests.simulation.outbox import Table, connected
from tests.simulation.processes import Processes
from tests.simulation.providers import SimProviders
from tests.simulation.roots import metrics
from tests.simulation.signing import SimState
from tests.simulation.strangers import Erasure
from tests.simulation.subscribers import SimWebhooks, Subscriber
from tests.simulation.tokens import SimLetters
from tests.simulation.watch import Watch

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SimClock(Clock):
    """The loop's time."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._began = BEGAN

    def step(self, by: timedelta) -> None:
        """Somebody sets it; what counts seconds does not notice."""
        self._began += by

    @override
    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._loop.time())

    @override
    def monotonic(self) -> float:
        return self._loop.time()

    @override
    def cpu(self) -> float:
        return 0.0

    @override
    async def sleep(self, seconds: float) -> None:
        await self._loop.sleep(seconds)


class SimLog(MemoryLog):
    """The twin; who reads a topic is woken when it grows."""

    def __init__(self, world: "World") -> None:
        super().__init__(TOPICS, world.clock)
        self._world = world
        self._ears: dict[str, list[asyncio.Event]] = {}

    @override
    def append(self, topic: str, **what: Any) -> Record:
        record = super().append(topic, **what)
        self._world.watch.appended(record)
        for seat in self._world.seats(topic):
            if record.partition in seat.partitions.assigned():
                seat.partitions.more.set()
        for ear in self._ears.get(topic, ()):
            ear.set()
        return record

    def hear(self, topic: str, ear: asyncio.Event) -> None:
        """Be woken."""
        self._ears.setdefault(topic, []).append(ear)

    def count(self, topic: str) -> int:
        """How many partitions it has."""
        return len(self._segments[topic])

    def begin(self, topic: str, group: str, partition: int) -> int:
        """Where a group reads on."""
        start = self.segment(topic, partition).start
        return max(self.committed(topic, group, partition) or 0, start)


class SimPublisher(MemoryPublisher):
    """The twin behind the network: each key's records land together, or not at all."""

    alive = True

    def __init__(self, log: MemoryLog, network: Network) -> None:
        super().__init__(log)
        self._network = network

    @override
    async def publish(self, outgoing: Any) -> None:
        lots: dict[tuple[str, bytes, int | None], list[Outgoing[Any]]] = {}
        for out in outgoing:
            key = out.topic.key(out.event.attributes)
            lots.setdefault((out.topic.name, key, out.partition), []).append(out)
        store = super().publish
        sent = [
            self._network.send(f"publish {name} {len(lot)}", partial(store, lot))
            for (name, _, _), lot in lots.items()
        ]
        await asyncio.gather(*sent)

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        store = super().publish_raw
        label = f"publish {outgoing.topic}"
        await self._network.call(label, lambda: store(outgoing))


class SimReader:
    """A consumer of no group, as ``infra.kafka`` uses it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._positions: dict[TopicPartition, int] = {}
        self._more = asyncio.Event()

    async def start(self) -> None:
        await self._world.clock.sleep(self._world.chance.latency())

    async def stop(self) -> None:
        self._positions.clear()

    def assign(self, parts: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(parts, 0)
        for topic in dict.fromkeys(part.topic for part in parts):
            self._world.log.hear(topic, self._more)

    def seek(self, part: TopicPartition, offset: int) -> None:
        self._positions[part] = offset

    async def seek_to_end(self, part: TopicPartition) -> None:
        self._positions[part] = self._segment(part).end

    async def position(self, part: TopicPartition) -> int:
        return self._positions[part]

    async def beginning_offsets(self, parts: Any) -> Mapping[TopicPartition, int]:
        return {part: self._segment(part).start for part in parts}

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Any]:
        await self._world.clock.sleep(self._world.chance.latency())
        return {part: self._first(part, since) for part, since in times.items()}

    def _first(self, part: TopicPartition, since: int) -> Any:
        records = self._segment(part).records
        return next(
            (_raw(each) for each in records if each.timestamp_ms >= since), None
        )

    async def end_offsets(self, parts: Any) -> Mapping[TopicPartition, int]:
        return {part: self._segment(part).end for part in parts}

    async def getmany(
        self, *parts: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list[Any]]:
        """Waits beyond its time: whoever is told "nothing" asks again."""
        while not (found := self._take(parts or tuple(self._positions))):
            self._more.clear()
            await self._more.wait()
            await self._world.clock.sleep(self._world.chance.latency())
        return found

    def _take(self, parts: Any) -> dict[TopicPartition, list[Any]]:
        found = {}
        for part in parts:
            segment = self._segment(part)
            records = segment.records[self._positions[part] - segment.start :]
            if records:
                found[part] = [_raw(record) for record in records]
                self._positions[part] = segment.end
        return found

    def _segment(self, part: TopicPartition) -> Any:
        return self._world.log.segment(part.topic, part.partition)


def _raw(record: Record) -> Any:
    return SimpleNamespace(
        headers=record.headers,
        value=record.value,
        offset=record.offset,
        timestamp=record.timestamp_ms,
    )


class SimLines(Log):
    """A logger whose lines are kept, to be searched for what must not be there."""

    def __init__(self, name: str, world: "World") -> None:
        self._name = name
        self._world = world

    @override
    def info(self, event: Any, **values: Any) -> None:
        line = f"{event} " + " ".join(f"{k}={v}" for k, v in values.items())
        self._world.lines.append(line)
        self._world.say("log", self._name, line)

    warning = info
    error = info


class Database:
    """What a pool leads to: each port behind the network, and plain connections."""

    def __init__(self, world: "World") -> None:
        wire = world.wire
        self._world = world
        self.requests = wire("requests", world.requests)
        self.calls = Wire(world.network, "calls", world.calls, _of_request)
        self.ledger = wire("ledger", world.ledger)
        self.credentials = wire("credentials", world.credentials)
        self.purges = wire("purges", world.purges)
        self.expired = wire(
            "expired", MemoryExpired(requests=world.requests, called=world.calls)
        )
        self.subjects = wire("subjects", world.subjects)
        self.webhooks = wire("webhooks", world.webhooks)
        self.keeper = wire("keystore", world.keys)
        self.partitions = wire("keystore", world.keys)
        self.anchors = wire("anchors", MemoryAnchors())
        self.state = wire("signer", world.state)

    def acquire(self) -> Any:
        """A connection, for who speaks SQL."""
        world = self._world
        return connected(world.outbox, world.network.call, OWNER.get())


class World:
    """All that is durable, and the one network that leads there."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.trace = Trace([])
        self.loop = SimLoop(self.chance)
        self.clock = SimClock(self.loop)
        self.entropy = DicedEntropy(seed)
        self.watch = Watch(self)
        self.network = Network(self.loop, self.chance, self.trace)
        self.log = SimLog(self)
        self.groups = {
            topic.name: Group(self, topic.name, topic.group)
            for topic in TOPICS
            if topic.group is not None
        }
        self.keys = MemoryKeys(self.clock)
        self.requests = MemoryRequests()
        self.claims = Claims(self)
        self.calls = SimCalls(
            clock=self.clock, requests=self.requests, claims=self.claims
        )
        self.network.failed = self.claims.failed
        self.ledger = MemoryLedger("simulation.test", self.entropy)
        self.tenants = MemoryTenants()
        self.credentials = MemoryCredentials()
        self.purges = MemoryPurges()
        self.contents = Contents(self.entropy)
        self.letters = SimLetters(self.clock)
        self.ages = Ages(self)
        self.providers = SimProviders(self)
        self.lines: list[str] = []
        self.inbox: dict[str, tuple[TenantId, RequestId]] = {}
        self.sent: Counter[RequestId] = Counter()
        """Records of the inbox, by the request that they ask for."""
        self.ports: dict[str, tuple[Owner, Any]] = {}
        self.webhooks = SimWebhooks()
        self.secrets = MemorySecrets(self.keys)
        self.subjects = MemorySubjects(self.keys, _SubjectKeys(self.entropy))  # type: ignore[arg-type]
        self.outbox = Table()
        self.erased: dict[EventId, Erasure] = {}
        self.subscriber = Subscriber(self)
        self.state = SimState()
        self.database = Database(self)
        self.processes = Processes(self)
        self.health = Health(self)
        self.hangs = Hangs(self)
        self.network.hangs = self.hangs

    def say(self, *line: object) -> None:
        """Note what happens, and in whom."""
        self.trace.say(self.loop.time(), OWNER.get().name, *line)

    def later(self, seconds: float, act: Callable[..., Any], *args: Any) -> None:
        """Do something in the world, outside of every process."""
        self.loop.in_the_world(seconds, act, *args)

    def begin(self, coroutine: Any) -> Any:
        """A task of the world's own."""
        return self.loop.create_task(coroutine, context=self.loop.outside.copy())

    def seats(self, topic: str) -> list[Any]:
        """The members that read a topic."""
        return self.groups[topic].seats if topic in self.groups else []

    def lag(self) -> int:
        """Records that a group has before it, over all groups that do not delay."""
        return sum(
            segment.end - self.log.begin(topic, group.name, partition)
            for topic, group in self.groups.items()
            if topic != WEBHOOKS_RETRY_5M.name
            for partition, segment in enumerate(self.log._segments[topic])
        )

    def owed(self) -> str:
        """What is still to be done, in words; nothing: it is quiet."""
        owed = {
            "lag": self.lag(),
            "outbox": len(self.outbox.rows),
            "deliveries": self.webhooks.open,
            "open requests": self._open(),
            "expired": self.ages.left if self.ages.held else 0,
        }
        return " ".join(f"{name} {count}" for name, count in owed.items() if count)

    def _open(self) -> int:
        """Rows without an end; the sweeper ends what nobody else does."""
        return sum(row.finished is None for row in self.requests.rows.values())

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.say("CALM")
        self.chance.storm = False

    def evict(self, owner: Owner) -> None:
        """Its heartbeats stopped: its partitions go to others."""
        for group in self.groups.values():
            for seat in [seat for seat in group.seats if seat.owner is owner]:
                group.drop(seat)

    def reader(self) -> SimReader:
        """A consumer of no group."""
        return SimReader(self)

    def wire(self, name: str, twin: Any) -> Any:
        """A port of this world, over the network."""
        return Wire(self.network, name, twin)

    def opened(self, settings: Settings, name: str) -> Resources:
        """What a process holds once it has opened everything."""
        keystore = self.wire("keystore", self.keys)
        tenants = self.wire("tenants", self.tenants)
        twins: dict[str, Any] = {
            "settings": settings,
            "clock": self.clock,
            "entropy": self.entropy,
            "log": self.logger(name),
            "metrics": metrics(),
            "pool": self.database,
            "keystore_pool": self.database,
            "kms": None,
            "keks": self.wire("secrets", self.secrets),
            "keystore": keystore,
            "tenants": tenants,
            "contents": self.contents,
            "bench": Bench(keystore=keystore, tenants=tenants),
            "tokens": self.watch.tokens,
            "inbox": self.letters,
            "clients": SimKafka(self),
            "publisher": SimPublisher(self.log, self.network),
        }
        return Resources(**twins)

    def logger(self, name: str) -> SimLines:
        """What a process writes its lines to."""
        return SimLines(name, self)

    def now(self, coroutine: Any) -> Any:
        """What a twin answers, asked directly."""
        return at_once(coroutine)


def _of_request(_: Any, request: str, *__: Any) -> str:
    return f" {request}"


class _SubjectKeys(dict[Any, bytes]):
    """A tenant's key for pseudonyms, from the seed."""

    def __init__(self, entropy: DicedEntropy) -> None:
        self._entropy = entropy

    def __missing__(self, tenant: Any) -> bytes:
        return self.setdefault(tenant, self._entropy.bytes(32))
