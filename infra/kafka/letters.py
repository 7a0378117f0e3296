"""Dead-letter topics, read from their start to their end as it is now."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.bus import Record
from schemas.topics import Topic


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Reads without a group, so that looking changes nothing."""

    clients: KafkaClients

    async def read(self, topics: Sequence[Topic[Any]]) -> AsyncIterator[Record]:
        """The records of these topics' dead letters, a partition's in order.

        Raises:
            RetryableError: Kafka does not answer.
        """
        parts = [
            TopicPartition(str(topic.dead), at)
            for topic in topics
            for at in range(topic.partitions)
        ]
        consumer = self.clients.reader()
        try:
            await consumer.start()
            consumer.assign(parts)
            async for record in self._walk(consumer, parts):
                yield record
        except KafkaError:
            raise RetryableError("expected an answer from Kafka") from None
        finally:
            await consumer.stop()

    async def _walk(
        self, consumer: AIOKafkaConsumer, parts: Sequence[TopicPartition]
    ) -> AsyncIterator[Record]:
        ends = await consumer.end_offsets(parts)
        starts = await consumer.beginning_offsets(parts)
        left = {part for part in parts if starts[part] < ends[part]}
        for part in left:
            consumer.seek(part, starts[part])
        while left:
            polled = await consumer.getmany(*left, timeout_ms=500)
            for part, raws in polled.items():
                for raw in raws:
                    if raw.offset < ends[part]:
                        yield self.clients.record(raw)
            left = {p for p in left if await consumer.position(p) < ends[p]}
