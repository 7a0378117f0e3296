"""Topics are made as declared, and a cluster that differs is refused."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from secrets import token_hex
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from demo.stack import Stack
from infra.kafka.topics import TopicsDiffer, check, create
from pipeline.errors import RetryableError
from schemas.topics import AUDIT_RECORDED, Topic
from tests.support.kafka import until

pytestmark = pytest.mark.integration


@pytest.fixture
def topic() -> Topic[Any]:
    return replace(AUDIT_RECORDED, name=f"topics.{token_hex(6)}", partitions=3)


async def test_what_is_missing_is_said(stack: Stack, topic: Topic[Any]) -> None:
    with pytest.raises(TopicsDiffer) as caught:
        await check(stack.kafka_bootstrap, replication=1, topics=[topic])

    assert f"{topic.name}: missing; {topic.dead}: missing" == str(caught.value)


async def test_created_they_fit_and_may_be_created_again(
    stack: Stack, topic: Topic[Any]
) -> None:
    for _ in range(2):
        await create(stack.kafka_bootstrap, replication=1, topics=[topic])


@pytest.mark.parametrize("suffix", ["", ".dead"])
async def test_a_changed_setting_is_refused(
    stack: Stack, topic: Topic[Any], suffix: str
) -> None:
    await create(stack.kafka_bootstrap, replication=1, topics=[topic])
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    name = topic.name + suffix
    changed = ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000"})
    await admin.alter_configs([changed])
    await admin.close()

    async def refused() -> bool:
        try:
            await check(stack.kafka_bootstrap, replication=1, topics=[topic])
        except TopicsDiffer as error:
            return f"{name}: retention.ms: expected 259200000" in str(error)
        return False

    await until(refused)


async def test_other_partitions_are_refused(stack: Stack, topic: Topic[Any]) -> None:
    await create(stack.kafka_bootstrap, replication=1, topics=[topic])
    wider = replace(topic, partitions=5)

    with pytest.raises(TopicsDiffer, match="partitions: expected 5, found 3"):
        await create(stack.kafka_bootstrap, replication=1, topics=[wider])


async def test_more_copies_than_brokers_are_refused(
    stack: Stack, topic: Topic[Any]
) -> None:
    with pytest.raises(TopicsDiffer, match="not created"):
        await create(stack.kafka_bootstrap, replication=3, topics=[topic])


async def test_an_absent_broker_is_said() -> None:
    with pytest.raises(RetryableError):
        await check("127.0.0.1:1", replication=1)


def command(bootstrap: str, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.kafka.topics", bootstrap, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_makes_every_topic(stack: Stack) -> None:
    done = await asyncio.to_thread(command, stack.kafka_bootstrap, "--replication", "1")
    await check(stack.kafka_bootstrap, replication=1)

    assert (0, "") == (done.returncode, done.stderr)


async def test_the_command_refuses(stack: Stack) -> None:
    await create(stack.kafka_bootstrap, replication=1)
    done = await asyncio.to_thread(command, stack.kafka_bootstrap, "--replication", "2")

    assert 1 == done.returncode
    assert "replication: expected 2, found 1" in done.stderr
