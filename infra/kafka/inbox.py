"""How far admission has come in the inbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from typing_extensions import override

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.inbox import InboxProgress
from schemas.topics import REQUESTS_INBOX, Topic


@dataclass(frozen=True, slots=True)
class KafkaInbox(InboxProgress):
    """Committed offsets beside times of append; touches no group."""

    clients: KafkaClients
    topic: Topic[Any] = REQUESTS_INBOX

    @override
    async def handled(self, before: datetime) -> bool:
        consumer = self.clients.reader()
        try:
            await consumer.start()
            return await self._handled(consumer, int(before.timestamp() * 1000))
        except KafkaError:
            raise RetryableError("expected an answer from Kafka") from None
        finally:
            await consumer.stop()

    async def _handled(self, consumer: AIOKafkaConsumer, before_ms: int) -> bool:
        name = self.topic.name
        parts = [TopicPartition(name, at) for at in range(self.topic.partitions)]
        # The ends first: what is appended meanwhile is later than `before` anyhow.
        ends = await consumer.end_offsets(parts)
        starts = await consumer.beginning_offsets(parts)
        later = await consumer.offsets_for_times(dict.fromkeys(parts, before_ms))
        committed = await self._committed(parts)
        return all(
            max(starts[part], committed[at])
            >= (later[part].offset if later[part] else ends[part])
            for at, part in enumerate(parts)
        )

    async def _committed(self, parts: Sequence[TopicPartition]) -> list[int]:
        admin = AIOKafkaAdminClient(**self.clients.connection)
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(self.topic.group)
        finally:
            await admin.close()
        return [found[part].offset if part in found else 0 for part in parts]
