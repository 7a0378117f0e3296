"""Topics as declared: created where they are missing, refused where they differ.

``python -m infra.kafka.topics BOOTSTRAP [--replication N]``; TLS and who asks are the
environment's, as for every process.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.kafka.security import secured
from infra.settings import load_kafka
from infra.system import SystemClock
from pipeline.errors import RetryableError, SluiceError
from schemas.topics import (
    DEAD_LETTER_MARGIN_BYTES,
    MAX_RECORD_BYTES,
    RETENTION_MS,
    SEGMENT_MS,
    TOPICS,
    Topic,
)

VISIBLE_WITHIN_S = 10.0
OPEN: Mapping[str, Any] = {}
"""Brokers that are spoken to in the clear."""


class TopicsDiffer(SluiceError):
    """A topic on the cluster is not what was declared; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one topic lies on the cluster.

    Attributes:
        settings: the configuration that we set, by Kafka's own names.
    """

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


def layouts(topics: Sequence[Topic[Any]], replication: int) -> Iterator[Layout]:
    """Each topic's layout, and its dead letters'."""
    for topic in topics:
        yield _layout(topic.name, topic.partitions, replication, MAX_RECORD_BYTES)
        if topic.dead is not None:
            limit = MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES
            yield _layout(topic.dead, topic.partitions, replication, limit)


def _layout(name: str, partitions: int, replication: int, limit: int) -> Layout:
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MS),
        "retention.bytes": "-1",
        "segment.ms": str(SEGMENT_MS),
        # Retention counts from the append: a producer's clock cannot stretch it.
        "message.timestamp.type": "LogAppendTime",
        # Whatever its producer chose, the broker stores it so that we can read it.
        "compression.type": "uncompressed",
        "min.insync.replicas": str(min(2, replication)),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(limit),
    }
    return Layout(
        name=name, partitions=partitions, replication=replication, settings=settings
    )


def differences(wanted: Layout, found: Layout | None) -> Iterator[str]:
    """What is not as it should be, in words for an operator."""
    if found is None:
        yield f"{wanted.name}: missing"
        return
    for noun in ("partitions", "replication"):
        count, there = getattr(wanted, noun), getattr(found, noun)
        if count != there:
            yield f"{wanted.name}: {noun}: expected {count}, found {there}"
    for key, want in wanted.settings.items():
        have = found.settings.get(key)
        if want != have:
            yield f"{wanted.name}: {key}: expected {want}, found {have}"


async def create(
    bootstrap: str,
    *,
    replication: int,
    topics: Sequence[Topic[Any]] = TOPICS,
    security: Mapping[str, Any] = OPEN,
) -> None:
    """Create what is missing, then :func:`check`."""
    wanted = list(layouts(topics, replication))
    new = [
        NewTopic(at.name, at.partitions, at.replication, topic_configs=at.settings)
        for at in wanted
    ]
    async with _connected(bootstrap, security) as admin:
        answer = await admin.create_topics(new)
        for name, code, *_ in answer.topic_errors:
            _created(name, code)
    await _visible(bootstrap, [layout.name for layout in wanted], security)
    await check(bootstrap, replication=replication, topics=topics, security=security)


async def _visible(
    bootstrap: str, names: Sequence[str], security: Mapping[str, Any]
) -> None:
    """Wait until the broker knows what its controller has created."""
    clock = SystemClock()
    until = clock.monotonic() + VISIBLE_WITHIN_S
    async with _connected(bootstrap, security) as admin:
        while clock.monotonic() < until:
            described = await admin.describe_topics()
            there = {t["topic"] for t in described if _all_led(t["partitions"])}
            if there.issuperset(names):
                return
            await clock.sleep(0.05)


def _all_led(partitions: Sequence[Mapping[str, Any]]) -> bool:
    """Does every partition have a leader?"""
    return all(partition["leader"] >= 0 for partition in partitions)


def _created(name: str, code: int) -> None:
    error = for_code(code)
    if code and error is not TopicAlreadyExistsError:
        raise TopicsDiffer(f"{name}: not created: {error.__name__}")


async def check(
    bootstrap: str,
    *,
    replication: int,
    topics: Sequence[Topic[Any]] = TOPICS,
    security: Mapping[str, Any] = OPEN,
) -> None:
    """Compare every topic with its declaration.

    Raises:
        TopicsDiffer: one is missing or different; all differences are in the text.
        RetryableError: Kafka does not answer.
    """
    wanted = list(layouts(topics, replication))
    async with _connected(bootstrap, security) as admin:
        found = await _found(admin, [layout.name for layout in wanted])
    wrong = [text for at in wanted for text in differences(at, found.get(at.name))]
    if wrong:
        raise TopicsDiffer("; ".join(wrong))


async def _found(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> Mapping[str, Layout]:
    described = await admin.describe_topics()
    there = {topic["topic"]: topic["partitions"] for topic in described}
    present = [name for name in names if name in there]
    settings = await _settings(admin, present) if present else {}
    return {
        name: Layout(
            name=name,
            partitions=len(there[name]),
            replication=min(len(part["replicas"]) for part in there[name]),
            settings=settings[name],
        )
        for name in present
    }


async def _settings(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> Mapping[str, Mapping[str, str]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in await admin.describe_configs(asked)
        for resource in response.resources
    }


@asynccontextmanager
async def _connected(
    bootstrap: str, security: Mapping[str, Any]
) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the length of a block; its errors become ours."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    try:
        await admin.start()
        yield admin
    except (KafkaError, TimeoutError):
        raise RetryableError("expected an answer from Kafka") from None
    finally:
        await admin.close()


def main() -> int:
    """Create and compare; 1 where a topic differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap", help="host:port[,host:port…]")
    parser.add_argument("--replication", type=int, default=3)
    chosen = parser.parse_args()
    try:
        asyncio.run(
            create(
                chosen.bootstrap,
                replication=chosen.replication,
                security=secured(load_kafka()),
            )
        )
    except (SluiceError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
