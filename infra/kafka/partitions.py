"""The hand on partitions, over an aiokafka consumer."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from typing_extensions import override

from pipeline.errors import RetryableError
from pipeline.ports.partitions import Partitions

COMMIT_WITHIN_S = 10.0
"""aiokafka repeats a commit's retriable errors without end."""
ASK_WITHIN_S = 5.0


class KafkaPartitions(Partitions):
    """The partitions of ``topic`` of a consumer that may be made later."""

    def __init__(
        self, consumer: Callable[[], AIOKafkaConsumer | None], topic: str
    ) -> None:
        self._consumer = consumer
        self._topic = topic

    @override
    def assigned(self) -> frozenset[int]:
        consumer = self._consumer()
        if consumer is None:
            return frozenset()
        found = consumer.assignment()
        return frozenset(tp.partition for tp in found if tp.topic == self._topic)

    @override
    def pause(self, partitions: Collection[int]) -> None:
        if (consumer := self._consumer()) is not None:
            consumer.pause(*self._mine(partitions))

    @override
    def resume(self, partitions: Collection[int]) -> None:
        if (consumer := self._consumer()) is not None:
            consumer.resume(*self._mine(partitions))

    @override
    def rewind(self, partition: int, offset: int) -> None:
        at = self._position(partition)
        if at is not None and offset <= at:
            self.begin(partition, offset)

    @override
    def begin(self, partition: int, offset: int) -> None:
        consumer = self._consumer()
        if consumer is not None and self._mine([partition]):
            consumer.seek(TopicPartition(self._topic, partition), offset)

    def _position(self, partition: int) -> int | None:
        """What comes next; None: not ours, or it is not known yet."""
        consumer = self._consumer()
        if consumer is None or not self._mine([partition]):
            return None
        # position() would wait until it is known.
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
        state = assignment.state_value(TopicPartition(self._topic, partition))
        return int(state.position) if state.has_valid_position else None

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        consumer = self._consumer()
        if consumer is None:
            return False
        wanted = {TopicPartition(self._topic, p): o for p, o in offsets.items()}
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await consumer.commit(wanted)
        except (KafkaError, TimeoutError):
            return False
        return True

    @override
    async def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        asked = self._mine(partitions)
        found = await self._ask(
            lambda consumer: asyncio.gather(*map(consumer.committed, asked))
        )
        return {tp.partition: at for tp, at in zip(asked, found, strict=True)}

    @override
    async def bounds(self, partitions: Collection[int]) -> Mapping[int, range]:
        asked = self._mine(partitions)
        if not asked:
            return {}
        starts, ends = await self._ask(
            lambda consumer: asyncio.gather(
                consumer.beginning_offsets(asked), consumer.end_offsets(asked)
            )
        )
        return {tp.partition: range(starts[tp], ends[tp]) for tp in asked}

    def _mine(self, partitions: Collection[int]) -> list[TopicPartition]:
        ours = self.assigned()
        return [TopicPartition(self._topic, p) for p in partitions if p in ours]

    async def _ask(self, question: Callable[[AIOKafkaConsumer], Any]) -> Any:
        consumer = self._consumer()
        if consumer is None:
            raise RetryableError("expected a started consumer")
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                return await question(consumer)
        except (KafkaError, IllegalStateError, TimeoutError):
            raise RetryableError("expected an answer from Kafka") from None
