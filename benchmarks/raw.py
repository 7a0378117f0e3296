"""The raw limit: the same bytes over the same number of hops, with no work.

Each hop is a consumer group of its own that reads batches, produces the same bytes to
the next topic, awaits the acknowledgements together and commits once.
"""

import asyncio
from collections.abc import Awaitable
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.load import Send

HOPS = 5


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


class RawHops:
    """Hops in this process; ``send`` returns when its record came out at the end."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=131072,
        )
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._producer.start()
        ready = [asyncio.Event() for _ in range(HOPS + 1)]
        self._tasks = [
            asyncio.create_task(self._hop(hop, ready[hop])) for hop in range(HOPS + 1)
        ]
        await asyncio.gather(*(event.wait() for event in ready))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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

    async def _hop(self, hop: int, ready: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            _topic(hop),
            bootstrap_servers=self._bootstrap,
            group_id=f"bench.raw.{hop}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            ready.set()
            while True:
                await self._batch(hop, consumer)
        finally:
            await consumer.stop()

    async def _batch(self, hop: int, consumer: AIOKafkaConsumer) -> None:
        found = await consumer.getmany(timeout_ms=1000, max_records=500)
        sends: list[Awaitable[object]] = []
        for record in (record for records in found.values() for record in records):
            if hop == HOPS:
                self._waiting.pop(record.key).set_result(None)
            else:
                sent = await self._producer.send(
                    _topic(hop + 1), record.value, key=record.key
                )
                sends.append(sent)
        await asyncio.gather(*sends)
        if found:
            await consumer.commit(
                {
                    TopicPartition(p.topic, p.partition): r[-1].offset + 1
                    for p, r in found.items()
                }
            )
