"""How far each group is behind: committed offsets beside the ends of the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.system import Clock
from schemas.topics import Topic

PEEK_POLLS = 10
"""A record that does not come within so many half seconds has no age to tell."""

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One partition of one group.

    Attributes:
        committed: where the group would begin; None: it committed nothing yet.
        end: one past the last record.
        lag: records to do, of those that the log still holds.
        oldest_s: seconds since the next record to do was appended; None: there is none.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lags:
    """Asks the cluster; touches no group."""

    clients: KafkaClients
    clock: Clock

    async def of(self, topics: Sequence[Topic[Any]]) -> list[Lag]:
        """Every partition of every topic that a group handles.

        Raises:
            RetryableError: Kafka does not answer.
        """
        handled = [topic for topic in topics if topic.group is not None]
        consumer = self.clients.reader()
        try:
            await consumer.start()
            committed = await self._committed(handled)
            return await self._told(consumer, handled, committed)
        except KafkaError:
            raise RetryableError("expected an answer from Kafka") from None
        finally:
            await consumer.stop()

    async def _committed(self, topics: Sequence[Topic[Any]]) -> Offsets:
        admin = AIOKafkaAdminClient(**self.clients.connection)
        try:
            await admin.start()
            found: dict[TopicPartition, int] = {}
            for topic in topics:
                stored = await admin.list_consumer_group_offsets(topic.group)
                found |= {part: at.offset for part, at in stored.items()}
        finally:
            await admin.close()
        return {part: offset for part, offset in found.items() if offset >= 0}

    async def _told(
        self,
        consumer: AIOKafkaConsumer,
        topics: Sequence[Topic[Any]],
        committed: Offsets,
    ) -> list[Lag]:
        owners = {
            TopicPartition(topic.name, at): str(topic.group)
            for topic in topics
            for at in range(topic.partitions)
        }
        starts = await consumer.beginning_offsets(list(owners))
        ends = await consumer.end_offsets(list(owners))
        nexts = {p: max(starts[p], committed.get(p, starts[p])) for p in owners}
        behind = {p: at for p, at in nexts.items() if at < ends[p]}
        ages = await self._ages(consumer, behind)
        return [
            Lag(
                group=group,
                topic=part.topic,
                partition=part.partition,
                committed=committed.get(part),
                end=ends[part],
                lag=max(0, ends[part] - nexts[part]),
                oldest_s=ages.get(part),
            )
            for part, group in owners.items()
        ]

    async def _ages(
        self, consumer: AIOKafkaConsumer, nexts: Offsets
    ) -> Mapping[TopicPartition, float]:
        """Seconds since the record at each of these offsets was appended."""
        consumer.assign(list(nexts))
        for part, offset in nexts.items():
            consumer.seek(part, offset)
        found: dict[TopicPartition, float] = {}
        for _ in range(PEEK_POLLS):
            left = [part for part in nexts if part not in found]
            if not left:
                break
            polled = await consumer.getmany(*left, timeout_ms=500, max_records=500)
            for part, raws in polled.items():
                found[part] = self._age(raws[0].timestamp)
        return found

    def _age(self, timestamp_ms: int) -> float:
        appended = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        return max(0.0, (self.clock.now() - appended).total_seconds())
