"""Topics of a test's own on the real broker, and a plain client's view of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka import topics
from infra.kafka.clients import CONSUMER, KafkaClients
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.topics import AUDIT_RECORDED, Topic

QUICK: dict[str, Any] = {
    **CONSUMER,
    "session_timeout_ms": 3_000,
    "heartbeat_interval_ms": 500,
    "rebalance_timeout_ms": 12_000,
    "metadata_max_age_ms": 2_000,
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
    async with asyncio.timeout(within_s):
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.05)  # noqa: TID251 - polls another process


def subjects(records: Sequence[Record]) -> list[str]:
    """Their ``ce_subject`` headers."""
    return [(dict(r.headers)["ce_subject"] or b"").decode() for r in records]
