"""The raw limit: the same bytes over the same number of hops, with no work.

    python -m benchmarks.raw BOOTSTRAP

A process of its own, as Sluice's workers are: each hop is a consumer group that reads
batches, produces the same bytes to the next topic, awaits the acknowledgements together
and commits once. A request passes accepted, screened, redacted and finished: so four.
"""

import asyncio
import sys
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final, Self

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.load import Send

HOPS: Final = 4


def _topic(hop: int) -> str:
    return f"bench.raw.{hop}"


async def make_topics(bootstrap: str) -> None:
    """One topic a hop, four partitions each, made anew."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(_topic(h), 4, 1) for h in range(HOPS + 1)])
    finally:
        await admin.close()


def _producer(bootstrap: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=131072,
    )


def _consumer(bootstrap: str, topic: str, group: str | None) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


class Ends:
    """Both ends of the hops; ``send`` returns when its record came out at the far."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = _producer(bootstrap)
        self._consumer = _consumer(bootstrap, _topic(HOPS), None)
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        self._task = asyncio.create_task(self._arrivals())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._consumer.stop()
        await self._producer.stop()

    def sender(self, body: bytes) -> Send:
        """Send ``body`` under a number, and wait for it at the far end."""

        async def send(number: int) -> None:
            key = str(number).encode()
            done = asyncio.get_running_loop().create_future()
            self._waiting[key] = done
            await self._producer.send(_topic(0), body, key=key)
            await done

        return send

    async def _arrivals(self) -> None:
        async for record in self._consumer:
            self._waiting.pop(record.key).set_result(None)


async def hop(bootstrap: str, number: int, producer: AIOKafkaProducer) -> None:
    """One hop, until it is cancelled."""
    consumer = _consumer(bootstrap, _topic(number), f"bench.raw.{number}")
    await consumer.start()
    try:
        while True:
            await _batch(number, consumer, producer)
    finally:
        await consumer.stop()


async def _batch(
    number: int, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
) -> None:
    found = await consumer.getmany(timeout_ms=1000, max_records=500)
    sends: list[Awaitable[Any]] = [
        await producer.send(_topic(number + 1), record.value, key=record.key)
        for records in found.values()
        for record in records
    ]
    await asyncio.gather(*sends)
    if found:
        await consumer.commit(
            {
                TopicPartition(p.topic, p.partition): r[-1].offset + 1
                for p, r in found.items()
            }
        )


async def hops(bootstrap: str) -> None:
    """All hops, until the process is told to end."""
    async with _producer(bootstrap) as producer:
        await asyncio.gather(*(hop(bootstrap, n, producer) for n in range(HOPS)))


if __name__ == "__main__":
    uvloop.run(hops(sys.argv[1]))
