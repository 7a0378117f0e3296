"""What publishing promises: the log in memory, and Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from typing_extensions import override

from demo.stack import Stack
from infra.kafka.publisher import KafkaPublisher
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from pipeline.errors import InvalidMessage
from pipeline.ports.bus import Publisher, RawOutgoing, Record
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.topics import (
    DEAD_LETTER_MARGIN_BYTES,
    MAX_RECORD_BYTES,
    Outgoing,
    Topic,
)
from tests.support.audit import recorded
from tests.support.delivery import SOURCE, HandClock
from tests.support.kafka import clients, everything, new_topic


class World(Protocol):
    """A topic of four partitions, and a publisher."""

    @property
    def topic(self) -> Topic[AuditRecorded]: ...

    @property
    def publisher(self) -> Publisher: ...

    async def records(self, name: str) -> list[Record]: ...


def large(count: int) -> Event[AuditRecorded]:
    """An event whose data alone is longer than ``count`` bytes."""
    event = recorded("large")
    data = event.data.model_copy(
        update={"guards_ran": ("g" * 1_000,) * (count // 1000)}
    )
    return Event(event.attributes, data)


class PublisherContract:
    @pytest.fixture
    async def world(self) -> World:
        raise NotImplementedError

    async def test_an_event_arrives_as_it_was(self, world: World) -> None:
        event = recorded("one", request="one")
        await world.publisher.publish([Outgoing(world.topic, event)])

        (record,) = await world.records(world.topic.name)
        read = AuditRecorded.model_validate_json(record.value or b"")
        assert event == Event(Attributes.from_headers(record.headers), read)
        assert event.attributes.tenant.encode() == record.key

    async def test_events_of_one_key_keep_their_order(self, world: World) -> None:
        names = [f"n{at}" for at in range(50)]
        events = [recorded(name) for name in names]
        await world.publisher.publish([Outgoing(world.topic, e) for e in events])

        found = await world.records(world.topic.name)
        ids = [Attributes.from_headers(record.headers).id for record in found]
        assert 1 == len({record.partition for record in found})
        assert [event.attributes.id for event in events] == ids

    async def test_a_named_partition_is_used(self, world: World) -> None:
        out = [Outgoing(world.topic, recorded(f"n{at}"), at) for at in range(4)]
        await world.publisher.publish(out)

        found = await world.records(world.topic.name)
        assert [0, 1, 2, 3] == [record.partition for record in found]

    async def test_nothing_is_nothing(self, world: World) -> None:
        await world.publisher.publish([])

        assert [] == await world.records(world.topic.name)

    async def test_with_one_too_large_none_is_sent(self, world: World) -> None:
        out = [
            Outgoing(world.topic, recorded("small")),
            Outgoing(world.topic, large(MAX_RECORD_BYTES)),
        ]
        with pytest.raises(InvalidMessage):
            await world.publisher.publish(out)

        assert [] == await world.records(world.topic.name)

    async def test_bytes_arrive_as_they_were(self, world: World) -> None:
        dead = str(world.topic.dead)
        headers: Any = (("a", b"\xff"), ("b", b""), ("a", b"again"))
        for key in (b"\x00\xfe", None):
            raw = RawOutgoing(
                topic=dead, partition=2, key=key, value=b"\xff\x00", headers=headers
            )
            await world.publisher.publish_raw(raw)

        first, second = await world.records(dead)
        assert (b"\x00\xfe", b"\xff\x00", headers) == (
            first.key,
            first.value,
            first.headers,
        )
        assert (2, None) == (second.partition, second.key)

    async def test_a_record_of_full_size_can_be_buried(self, world: World) -> None:
        value = b"x" * MAX_RECORD_BYTES
        headers = (("dead_id", b"i" * 36), ("dead_where", b"w" * 200))
        dead = str(world.topic.dead)
        raw = RawOutgoing(
            topic=dead, partition=0, key=b"k", value=value, headers=headers
        )
        await world.publisher.publish_raw(raw)

        assert [len(value)] == [len(r.value or b"") for r in await world.records(dead)]

    async def test_beyond_the_margin_nothing_can(self, world: World) -> None:
        value = b"x" * (MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES + 1)
        raw = RawOutgoing(
            topic=str(world.topic.dead), partition=0, key=None, value=value, headers=()
        )

        with pytest.raises(InvalidMessage):
            await world.publisher.publish_raw(raw)


class MemoryWorld:
    topic = SOURCE

    def __init__(self) -> None:
        self.log = MemoryLog([SOURCE], HandClock())
        self.publisher = MemoryPublisher(self.log)

    async def records(self, name: str) -> list[Record]:
        return self.log.records(name)


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    @override
    async def world(self) -> World:
        return MemoryWorld()


class KafkaWorld:
    def __init__(
        self, bootstrap: str, topic: Topic[AuditRecorded], publisher: KafkaPublisher
    ) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.publisher = publisher

    async def records(self, name: str) -> list[Record]:
        return await everything(self.bootstrap, name)


@asynccontextmanager
async def kafka_world(bootstrap: str) -> AsyncIterator[KafkaWorld]:
    topic = await new_topic(bootstrap)
    async with KafkaPublisher(clients(bootstrap)) as publisher:
        yield KafkaWorld(bootstrap, topic, publisher)


@pytest.mark.integration
class TestKafkaPublisher(PublisherContract):
    @pytest.fixture
    @override
    async def world(self, stack: Stack) -> AsyncIterator[World]:
        async with kafka_world(stack.kafka_bootstrap) as world:
            yield world
