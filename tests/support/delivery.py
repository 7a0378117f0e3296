"""Delivery on the log in memory: a clock that a test moves, faults, and a bench."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal, TypeVar

from typing_extensions import override

from consumers.delivery import (
    Burial,
    Means,
    Reason,
    Signals,
    Subscription,
    concurrent,
    ordered,
)
from consumers.delivery.concurrent import Concurrent
from consumers.delivery.ordered import Ordered
from consumers.delivery.subscriptions import Lanes
from infra.memory.log import MemoryLog, MemoryPartitions
from infra.memory.publisher import MemoryPublisher
from infra.system import SystemEntropy
from pipeline.errors import RetryableError
from pipeline.ports.bus import Publisher, RawOutgoing, Record
from pipeline.ports.system import Clock
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import AUDIT_RECORDED, TOPICS, Outgoing, Topic
from tests.support.audit import NOON, recorded

T = TypeVar("T")
Audited = Event[AuditRecorded]
Handle = Callable[[Audited, None], Any]
SOURCE: Topic[AuditRecorded] = replace(AUDIT_RECORDED, name="test.source", group="test")
SINK: Topic[AuditRecorded] = replace(AUDIT_RECORDED, name="test.sink", group="sink")
WORLD: Sequence[Topic[Any]] = (*TOPICS, SOURCE, SINK)


class HandClock(Clock):
    """Time stands, until :meth:`step` finds nothing else to do and moves it on."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._order = count()
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []

    @override
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._elapsed)

    @override
    def monotonic(self) -> float:
        return self._elapsed

    @override
    def cpu(self) -> float:
        return 0.0

    @override
    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        due = self._elapsed + seconds
        heapq.heappush(self._timers, (due, next(self._order), future))
        await future

    def compute(self, seconds: float) -> None:
        """Time passes, and nothing else can run."""
        self._elapsed += seconds

    async def breathe(self) -> None:
        """Let all run that can."""
        for _ in range(40):
            await asyncio.sleep(0)  # noqa: TID251 - yields, waits for no time

    async def step(self) -> None:
        """Let all run that can; then move on to the next timer."""
        await self.breathe()
        self._tick()

    def _tick(self) -> None:
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        if self._timers:
            due, _, future = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, due)
            future.set_result(None)

    async def run(self, work: Awaitable[T]) -> T:
        """Move time until ``work`` is done."""
        task = asyncio.ensure_future(work)
        await self.breathe()
        while not task.done():
            self._tick()
            await self.breathe()
        return await task

    async def pass_by(self, seconds: float) -> None:
        """Move time by so much, through every timer on the way."""
        await self.run(self.sleep(seconds))
        await self.breathe()


@dataclass(slots=True)
class Seen(Signals):
    """Signals, kept."""

    counted: Counter[str] = field(default_factory=Counter)
    gauges: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    @override
    def handled(self, group: str, records: int) -> None:
        self.counted["handled"] += records

    @override
    def batch(self, group: str, seconds: float) -> None:
        self.counted["batch"] += 1

    @override
    def aged(self, group: str, seconds: float) -> None:
        self.counted["aged"] += 1

    @override
    def retried(self, group: str, error: str) -> None:
        self.counted[f"retried {error}"] += 1

    @override
    def unexpected(self, group: str, place: str) -> None:
        self.places.append(place)

    @override
    def buried(self, group: str, reason: Reason) -> None:
        self.counted[f"buried {reason.value}"] += 1

    @override
    def waiting(self, group: str, partitions: int) -> None:
        self.gauges["waiting"] = partitions

    @override
    def stopped(
        self, group: str, state: Literal["held", "halted"], partitions: int
    ) -> None:
        self.gauges[state] = partitions

    @override
    def lag(self, group: str, records: int) -> None:
        self.gauges["lag"] = records

    @override
    def commit_refused(self, group: str) -> None:
        self.counted["commit_refused"] += 1

    @override
    def expired(self, group: str, partition: int, records: int) -> None:
        self.counted["expired"] += records


class Faulty(Publisher):
    """A publisher that fails where ``away`` says so, before anything was sent."""

    def __init__(self, inner: Publisher) -> None:
        self.inner = inner
        self.away: Callable[[str], bool] = lambda _: False

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        if any(self.away(out.topic.name) for out in outgoing):
            raise RetryableError("expected acknowledgements")
        await self.inner.publish(outgoing)

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        if self.away(outgoing.topic):
            raise RetryableError("expected acknowledgements")
        await self.inner.publish_raw(outgoing)


class Bench:
    """One subscription on the log in memory, moved by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(WORLD, self.clock)
        self.publisher = Faulty(MemoryPublisher(self.log))
        self.seen = Seen()
        self.means = Means(
            publisher=self.publisher,
            clock=self.clock,
            entropy=SystemEntropy(),
            burial=burial(self.publisher, self.clock),
            signals=self.seen,
        )

    async def member(self, subscription: Subscription) -> "MemoryMember":
        """One more member of the subscription's group."""
        member = MemoryMember(subscription, self)
        await self.clock.run(member.join())
        return member

    def put(self, *names: str, partition: int = 0) -> None:
        """Events that are known by these names, into one partition of the source."""
        for name in names:
            event = recorded(name)
            self.log.append(
                SOURCE.name,
                key=name.encode(),
                value=event.data.model_dump_json().encode(),
                headers=tuple(event.attributes.headers()),
                partition=partition,
            )

    def spoil(self, *, partition: int = 0, value: bytes = b"{") -> Record:
        """A record that nobody can read."""
        headers = tuple(recorded("spoilt").attributes.headers())
        return self.log.append(
            SOURCE.name, key=b"k", value=value, headers=headers, partition=partition
        )

    def committed(self, partition: int = 0) -> int | None:
        """What the source's group committed."""
        return self.log.committed(SOURCE.name, "test", partition)

    @property
    def dead(self) -> list[Record]:
        """The dead letters."""
        return self.log.records(str(SOURCE.dead))

    @property
    def sunk(self) -> list[str]:
        """The subjects of what was published to the sink, in order per partition."""
        return [headers(r)["ce_subject"] for r in self.log.records(SINK.name)]


class MemoryMember:
    """A mode over the log in memory, polled by hand."""

    def __init__(self, subscription: Subscription, bench: Bench) -> None:
        self.subscription = subscription
        self.bench = bench
        self.partitions: MemoryPartitions
        self.mode: Ordered | Concurrent

    async def join(self) -> None:
        late = Late()
        topic, group = self.subscription.topic.name, self.subscription.group
        log = self.bench.log
        self.partitions = MemoryPartitions(log, topic, group, late)
        kind = Concurrent if isinstance(self.subscription.work, Lanes) else Ordered
        self.mode = kind(self.subscription, self.partitions, self.bench.means)
        late.listener = self.mode
        await log.join(self.partitions)

    async def poll(self) -> int:
        """One poll and all it leads to, moving time where that is waited for."""
        records = self.partitions.poll(self.subscription.max_records)
        if records:
            await self.bench.clock.run(self.mode.batch(records))
        await self.bench.clock.breathe()
        return len(records)

    async def until_quiet(self, polls: int = 200) -> None:
        """Poll until nothing comes and no timer is left; what is owed is committed."""
        for _ in range(polls):
            if not await self.poll():
                await self.bench.clock.step()
        await self.mode.commits.settle()


@dataclass(slots=True)
class Late:
    """A listener that is made after the partitions that it listens to."""

    listener: Any = None

    async def revoked(self, partitions: Any) -> None:
        await self.listener.revoked(partitions)

    async def assigned(self, partitions: Any) -> None:
        await self.listener.assigned(partitions)


def in_order(handle: Handle) -> Subscription:
    """The source, a partition's records one after another."""
    return ordered(SOURCE, handle)


def side_by_side(handle: Handle) -> Subscription:
    """The source, its records in one lane."""
    return concurrent(SOURCE, handle, prepare=_nothing, lane=lambda _: "one")


async def _nothing(_: Sequence[Audited]) -> None:
    """No keys, no policies."""


def burial(publisher: Publisher, clock: Clock) -> Burial:
    """A burial that seals what strangers wrote by turning it around."""
    return Burial(
        publisher=publisher,
        clock=clock,
        version="0.0.0",
        seal_stranger=lambda value: b"sealed:" + value[::-1],
    )


def headers(record: Record) -> dict[str, str]:
    """A record's headers as text, where they are."""
    return {name: (value or b"").decode() for name, value in record.headers}


def onward(event: Event[AuditRecorded]) -> Outgoing[AuditRecorded]:
    """The event again, to the sink."""
    return Outgoing(SINK, event)
