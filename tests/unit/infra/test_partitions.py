"""The hand on partitions, where the broker says nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.kafka import partitions
from infra.kafka.partitions import KafkaPartitions


class Silent:
    """A consumer whose broker answers nothing any more."""

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("source", 0)}

    async def commit(self, _: Mapping[TopicPartition, int]) -> None:
        await asyncio.get_running_loop().create_future()


async def test_a_commit_that_gets_no_answer_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be repeated without end, and who leaves waits for it."""
    monkeypatch.setattr(partitions, "COMMIT_WITHIN_S", 0.01)
    silent: Any = Silent()

    assert not await KafkaPartitions(lambda: silent, "source").commit({0: 1})
