"""The topic of accepted requests, read without a group."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from typing_extensions import override

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.accepted import AcceptedRequests, Span
from schemas.events import Attributes
from schemas.ids import RequestId, TenantId
from schemas.topics import REQUESTS_ACCEPTED

Found = tuple[TenantId, RequestId]


@dataclass(frozen=True, slots=True)
class KafkaAccepted(AcceptedRequests):
    """Reads from given offsets up to a moment, ``limit`` records or so at once."""

    clients: KafkaClients
    limit: int = 10_000

    @override
    async def read(self, begin: Mapping[int, int], before: datetime) -> Span:
        try:
            async with self._consumer() as consumer:
                return await self._read(consumer, begin, before)
        except KafkaError:
            raise RetryableError("expected an answer from Kafka") from None

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = self.clients.reader()
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()

    async def _read(
        self, consumer: AIOKafkaConsumer, begin: Mapping[int, int], before: datetime
    ) -> Span:
        name = REQUESTS_ACCEPTED.name
        parts = [TopicPartition(name, at) for at in range(REQUESTS_ACCEPTED.partitions)]
        consumer.assign(parts)
        starts, ends = await _seek(consumer, parts, begin)
        found, nexts, open_parts = list[Found](), dict(starts), set(parts)
        while open_parts and len(found) < self.limit:
            polled = await consumer.getmany(*open_parts, timeout_ms=500)
            for part in list(open_parts):
                for raw in polled.get(part, ()):
                    if raw.timestamp >= before.timestamp() * 1000:
                        open_parts.discard(part)
                        break
                    found += _identity(raw)
                    nexts[part.partition] = raw.offset + 1
                if await consumer.position(part) >= ends[part]:
                    open_parts.discard(part)
        return Span(tuple(found), starts, nexts)


async def _seek(
    consumer: AIOKafkaConsumer, parts: list[TopicPartition], begin: Mapping[int, int]
) -> tuple[dict[int, int], dict[TopicPartition, int]]:
    """Where reading starts, no earlier than what is still kept, and where it ends."""
    first = await consumer.beginning_offsets(parts)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
    starts = {p.partition: max(first[p], begin.get(p.partition, 0)) for p in parts}
    for part in parts:
        consumer.seek(part, starts[part.partition])
    return starts, ends


def _identity(raw: Any) -> list[Found]:
    """Whose request it is; nothing where the headers say nothing that can be read."""
    try:
        attributes = Attributes.from_headers(raw.headers)
    except ValueError:
        return []
    return [(attributes.tenant, RequestId(attributes.subject))]
