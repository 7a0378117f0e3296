"""Topics of a test's own on the real broker, and a plain client's view of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.delivery import Delivery, Means, Releases, Subscription
from infra.kafka import topics
from infra.kafka.clients import CONSUMER, KafkaClients
from infra.kafka.publisher import KafkaPublisher
from infra.system import SystemClock, SystemEntropy
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.topics import AUDIT_RECORDED, Outgoing, Topic
from tests.support.audit import recorded
from tests.support.delivery import Seen, burial

QUICK: dict[str, Any] = {
    **CONSUMER,
    "session_timeout_ms": 3_000,
    "heartbeat_interval_ms": 500,
    "rebalance_timeout_ms": 12_000,
}
"""Settings that notice a killed member within a test's patience."""


def clients(bootstrap: str) -> KafkaClients:
    """Clients whose consumers notice soon."""
    return KafkaClients(bootstrap, QUICK)


async def new_topic(
    bootstrap: str, noun: str = "test", partitions: int = 4
) -> Topic[AuditRecorded]:
    """A topic that no other test sees, with a group and dead letters of its own."""
    name = f"{noun}.{token_hex(6)}"
    topic = replace(AUDIT_RECORDED, name=name, group=name, partitions=partitions)
    await topics.create(bootstrap, replication=1, topics=[topic])
    return topic


async def everything(bootstrap: str, name: str) -> list[Record]:
    """All records of a topic, by partition and offset."""
    made = KafkaClients(bootstrap)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, max_partition_fetch_bytes=8 * 1024 * 1024
    ) as consumer:
        found: list[Record] = []
        parts = await _partitions(consumer, name)
        ends = await consumer.end_offsets(parts)
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        while any([await consumer.position(tp) < ends[tp] for tp in parts]):
            polled = await consumer.getmany(timeout_ms=200)
            found += [made.record(raw) for raws in polled.values() for raw in raws]
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def committed(bootstrap: str, topic: Topic[Any]) -> dict[int, int | None]:
    """What the topic's group committed."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=topic.group, enable_auto_commit=False
    ) as consumer:
        parts = await _partitions(consumer, topic.name)
        return {tp.partition: await consumer.committed(tp) for tp in parts}


async def _partitions(consumer: AIOKafkaConsumer, name: str) -> list[TopicPartition]:
    await consumer._client.add_topic(name)
    found = consumer.partitions_for_topic(name)
    return [TopicPartition(name, at) for at in sorted(found or ())]


async def until(
    true: Callable[[], bool | Awaitable[bool]], within_s: float = 30.0
) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: it did not become so.
    """
    async with asyncio.timeout(within_s) as limit:
        while not limit.expired():  # a client may keep the one cancellation to itself
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.05)  # noqa: TID251 - polls another process
    raise TimeoutError


def subjects(records: Sequence[Record]) -> list[str]:
    """Their ``ce_subject`` headers."""
    return [(dict(r.headers)["ce_subject"] or b"").decode() for r in records]


@dataclass(slots=True)
class Running:
    """A delivery at work in this process, and what it signalled."""

    delivery: Delivery
    seen: Seen
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    async def end(self) -> None:
        """Ask it to stop, and wait until it has."""
        self.stop.set()
        await self.task


@asynccontextmanager
async def delivering(
    bootstrap: str,
    *subscriptions: Subscription,
    made: KafkaClients | None = None,
    releases: Releases | None = None,
    drain_s: float = 10.0,
) -> AsyncIterator[Running]:
    """Subscriptions at work on the real broker for the length of a block."""
    cluster, clock, seen = made or clients(bootstrap), SystemClock(), Seen()
    async with KafkaPublisher(cluster) as publisher:
        means = Means(
            publisher=publisher,
            clock=clock,
            entropy=SystemEntropy(),
            signals=seen,
            burial=burial(publisher, clock),
        )
        delivery = Delivery(
            subscriptions,
            kafka=cluster,
            means=means,
            releases=releases,
            drain_s=drain_s,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(delivery.run(stop))
        running = Running(delivery, seen, stop, task)
        try:
            yield running
        finally:
            await running.end()


async def put(bootstrap: str, topic: Topic[AuditRecorded], *names: str) -> None:
    """Events that are known by these names, spread over the partitions."""
    async with KafkaPublisher(clients(bootstrap)) as publisher:
        await publisher.publish(
            [
                Outgoing(topic, recorded(name), at % topic.partitions)
                for at, name in enumerate(names)
            ]
        )


async def finished(bootstrap: str, topic: Topic[Any]) -> bool:
    """Is everything committed that the topic holds?"""
    ends: dict[int, int] = dict.fromkeys(range(topic.partitions), 0)
    for record in await everything(bootstrap, topic.name):
        ends[record.partition] = record.offset + 1
    found = await committed(bootstrap, topic)
    return all((found[at] or 0) == end for at, end in ends.items())
