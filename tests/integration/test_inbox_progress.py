"""How far admission has come, asked of a real broker."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from demo.stack import Stack
from infra.kafka.clients import KafkaClients
from infra.kafka.inbox import KafkaInbox
from infra.system import SystemClock
from pipeline.errors import RetryableError
from schemas.topics import Topic
from tests.support.kafka import new_topic

pytestmark = pytest.mark.integration


async def append(stack: Stack, topic: Topic[Any], partition: int) -> datetime:
    """One record; when the broker appended it."""
    async with AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, acks="all"
    ) as producer:
        sent = await producer.send_and_wait(topic.name, b"x", partition=partition)
    return datetime.fromtimestamp(sent.timestamp / 1000, UTC)


async def commit(stack: Stack, topic: Topic[Any], offsets: Mapping[int, int]) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=stack.kafka_bootstrap,
        group_id=topic.group,
        enable_auto_commit=False,
    ) as consumer:
        parts = {TopicPartition(topic.name, at): to for at, to in offsets.items()}
        consumer.assign(list(parts))
        await consumer.commit(parts)


async def test_all_is_handled_once_every_partition_is_past_the_moment(
    stack: Stack,
) -> None:
    topic = await new_topic(stack.kafka_bootstrap, partitions=2)
    progress = KafkaInbox(KafkaClients(stack.kafka_bootstrap), topic)
    tick = timedelta(milliseconds=1)
    await commit(stack, topic, {0: 0})  # a broker has no coordinator before the first
    empty = await progress.handled(SystemClock().now())

    first = await append(stack, topic, 0)
    second = await append(stack, topic, 1)
    nobody = [await progress.handled(at) for at in (first, first + tick)]
    await commit(stack, topic, {0: 1})
    half = [await progress.handled(at) for at in (second, second + tick)]
    await commit(stack, topic, {1: 1})
    both = await progress.handled(second + tick)
    third = await append(stack, topic, 0)

    assert empty
    assert [True, False] == nobody
    assert [True, False] == half
    assert both
    assert await progress.handled(third), "what was appended later is not asked for"
    assert not await progress.handled(third + tick)


async def test_what_expired_is_waited_for_by_nobody(stack: Stack) -> None:
    """Else no tenant could be closed where a partition was quiet for long."""
    topic = await new_topic(stack.kafka_bootstrap, partitions=1)
    progress = KafkaInbox(KafkaClients(stack.kafka_bootstrap), topic)
    await commit(stack, topic, {0: 0})
    last = await append(stack, topic, 0) + timedelta(milliseconds=1)
    there = await progress.handled(last)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        part = TopicPartition(topic.name, 0)
        await admin.delete_records({part: RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()

    assert [False, True] == [there, await progress.handled(last)]


async def test_a_broker_that_is_away_says_nothing() -> None:
    progress = KafkaInbox(KafkaClients("127.0.0.1:1"))

    with pytest.raises(RetryableError):
        await progress.handled(SystemClock().now())
