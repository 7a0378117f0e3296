"""Delivery while the broker dies, a member is killed, a producer is stuck."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from typing_extensions import override

from consumers.delivery import concurrent, ordered
from demo import stack as local
from demo.stack import Stack
from infra.kafka import consumer
from infra.kafka.clients import KafkaClients
from infra.kafka.publisher import KafkaPublisher
from infra.kafka.replies import ReplyBox
from infra.kafka.topics import create
from infra.system import SystemClock
from pipeline.errors import RetryableError
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import EventId, RequestId, derived
from schemas.requests import Outcome, RequestReplied
from schemas.topics import REPLIES, Outgoing, Topic
from tests.support.audit import NOON, TENANT, recorded
from tests.support.kafka import (
    QUICK,
    clients,
    delivering,
    everything,
    finished,
    new_topic,
    put,
    subjects,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.long]

Audited = Event[AuditRecorded]
NAMES = [f"n{at}" for at in range(400)]
MEMBER = Path(__file__).parents[1] / "support" / "member.py"


@pytest.fixture
def mortal() -> Iterator[Stack]:
    """A stack whose broker may be killed."""
    with local.temporary(durable=False) as running:
        yield running


def member(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """Another process's member; it ends by itself."""
    return subprocess.run(
        [sys.executable, *words], capture_output=True, timeout=60, check=False
    )


def named(names: Sequence[str]) -> set[str]:
    return {recorded(name).attributes.subject for name in names}


@pytest.mark.parametrize("mode", ["ordered", "concurrent"])
async def test_a_broker_that_dies_and_comes_back_costs_nothing(
    mortal: Stack, mode: str
) -> None:
    kafka = mortal.kafka_bootstrap
    source, sink = await new_topic(kafka, "source"), await new_topic(kafka, "sink")

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        await asyncio.sleep(0.01)  # noqa: TID251 - so that the kill meets work
        return [Outgoing(sink, event)]

    async def nothing(_: Sequence[Audited]) -> None:
        return None

    await put(kafka, source, *NAMES)
    chosen = (
        ordered(source, handle)
        if mode == "ordered"
        else concurrent(source, handle, prepare=nothing, lane=lambda _: "one")
    )
    async with delivering(kafka, chosen) as running:
        await until(running.delivery.ready)
        await asyncio.sleep(0.5)  # noqa: TID251 - in the middle of it
        assert mortal.kafka_pid is not None
        os.kill(mortal.kafka_pid, signal.SIGKILL)
        away = f"{source.group}:kafka_away"
        await until(lambda: away in running.delivery.reasons(), 20)
        alive = running.delivery.alive()
        await asyncio.to_thread(mortal.kafka.launch)
        await asyncio.to_thread(mortal.kafka.wait)
        await put(kafka, source, "after")
        await until(lambda: finished(kafka, source), 90)
        await until(running.delivery.ready, 30)

    found = await everything(kafka, sink.name)
    assert alive
    assert named([*NAMES, "after"]) == set(subjects(found))


class Keeps(ConsumerRebalanceListener):  # type: ignore[misc]
    """Holds a rebalance up: it does not let go of what it has."""

    def __init__(self) -> None:
        self.asked, self.lets_go = asyncio.Event(), asyncio.Event()

    @override
    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            self.asked.set()
            await self.lets_go.wait()

    @override
    async def on_partitions_assigned(self, assigned: Any) -> None: ...


@asynccontextmanager
async def keeping(kafka: str, source: Topic[Any]) -> AsyncIterator[Keeps]:
    """Another member that holds up whoever wants to join, until it lets go."""
    keeps = Keeps()
    other = consumer.Consumer(
        bootstrap_servers=kafka,
        group_id=source.group,
        enable_auto_commit=False,
        **{**QUICK, "rebalance_timeout_ms": 60_000},
    )
    other.subscribe([source.name], listener=keeps)
    await other.start()
    try:
        yield keeps
    finally:
        keeps.lets_go.set()
        await asyncio.wait_for(other.stop(), 60)


async def pass_on(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
    return ()


async def test_asked_to_stop_it_stops_although_it_cannot_join(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "STOPS_WITHIN_S", 0.5)
    kafka = stack.kafka_bootstrap
    source = await new_topic(kafka, "source")

    async with keeping(kafka, source) as other:
        async with delivering(kafka, ordered(source, pass_on)) as running:
            await asyncio.wait_for(other.asked.wait(), 30)
            reasons = running.delivery.reasons()
            await asyncio.wait_for(running.end(), 10)

        assert not other.lets_go.is_set()
    assert [f"{source.group}:not_assigned"] == reasons


async def test_asked_to_stop_it_stops_although_the_broker_is_away(
    mortal: Stack,
) -> None:
    kafka = mortal.kafka_bootstrap
    source = await new_topic(kafka, "source")

    reader = clients(kafka).reader()
    await reader.start()
    reader.assign([TopicPartition(source.name, 0)])
    async with delivering(kafka, ordered(source, pass_on)) as running:
        await until(running.delivery.ready)
        await asyncio.to_thread(mortal.kafka.kill)
        await until(lambda: not running.delivery.ready(), 20)
        await asyncio.wait_for(running.end(), 20)
    await asyncio.wait_for(reader.stop(), 20)


async def test_a_broker_that_dies_while_a_member_joins_costs_nothing(
    mortal: Stack,
) -> None:
    kafka = mortal.kafka_bootstrap
    source = await new_topic(kafka, "source")
    await put(kafka, source, *NAMES)

    async with (
        keeping(kafka, source) as other,
        delivering(kafka, ordered(source, pass_on)) as running,
    ):
        await asyncio.wait_for(other.asked.wait(), 30)
        await asyncio.to_thread(mortal.kafka.kill)
        other.lets_go.set()
        await asyncio.to_thread(mortal.kafka.start)
        await until(running.delivery.ready, 60)


@pytest.mark.parametrize("mode", ["ordered", "batch", "concurrent"])
@pytest.mark.parametrize("moment", ["before_publish", "before_commit"])
async def test_a_member_killed_between_effect_and_commit_loses_nothing(
    stack: Stack, mode: str, moment: str
) -> None:
    kafka = stack.kafka_bootstrap
    source, sink = await new_topic(kafka, "source"), await new_topic(kafka, "sink")
    await put(kafka, source, *NAMES)
    killed = await asyncio.to_thread(
        member, str(MEMBER), kafka, source.name, sink.name, mode, moment
    )

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        return [Outgoing(sink, event)]

    before = Counter(subjects(await everything(kafka, sink.name)))
    async with delivering(kafka, ordered(source, handle)):
        await until(lambda: finished(kafka, source), 60)

    records = await everything(kafka, sink.name)
    ids = {dict(record.headers)["ce_id"] for record in records}
    assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()[-2_000:]
    if mode != "concurrent":  # of calls side by side, some may have published
        assert (moment == "before_commit") == bool(before)
    else:
        assert before or moment == "before_publish"
    assert named(NAMES) == set(subjects(records))
    assert len(NAMES) == len(ids)


class Stuck(AIOKafkaProducer):  # type: ignore[misc]
    """Takes what it is given, and never says that it arrived."""

    @override
    async def send(self, *_: Any, **__: Any) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


class Cluster(KafkaClients):
    """The first producers that it makes are stuck."""

    stuck = 0

    @override
    def producer(self) -> AIOKafkaProducer:
        type(self).stuck -= 1
        if type(self).stuck < 0:
            return super().producer()
        return Stuck(bootstrap_servers=self.bootstrap)


async def test_a_producer_that_gets_no_acknowledgement_is_replaced(
    stack: Stack,
) -> None:
    kafka = stack.kafka_bootstrap
    topic = await new_topic(kafka)
    Cluster.stuck = 2
    seen = []
    async with KafkaPublisher(Cluster(kafka), within_s=0.2) as publisher:
        for _ in range(6):
            with pytest.raises(RetryableError):
                await publisher.publish([Outgoing(topic, recorded("one"))])
            seen.append(publisher.replaced)
        await publisher.publish([Outgoing(topic, recorded("one"))])

        assert [0, 0, 1, 1, 1, 2] == seen
        assert (0, True) == (publisher.replaced, publisher.alive)
    assert 1 == len(await everything(kafka, topic.name))


async def test_where_no_producer_helps_the_publisher_is_not_alive(
    stack: Stack,
) -> None:
    topic = await new_topic(stack.kafka_bootstrap)
    Cluster.stuck = 100
    async with KafkaPublisher(Cluster(stack.kafka_bootstrap), within_s=0.1) as dead:
        for _ in range(9):
            with pytest.raises(RetryableError):
                await dead.publish([Outgoing(topic, recorded("one"))])

        assert not dead.alive


async def test_sends_that_time_out_together_time_out_once(stack: Stack) -> None:
    topic = await new_topic(stack.kafka_bootstrap)
    Cluster.stuck = 1
    async with KafkaPublisher(Cluster(stack.kafka_bootstrap), within_s=0.3) as stuck:
        sends = [stuck.publish([Outgoing(topic, recorded("one"))]) for _ in range(8)]
        await asyncio.gather(*sends, return_exceptions=True)

        assert 0 == stuck.replaced


async def test_an_absent_broker_replaces_no_producer(mortal: Stack) -> None:
    topic = await new_topic(mortal.kafka_bootstrap)
    clean = KafkaClients(mortal.kafka_bootstrap)
    async with KafkaPublisher(clean, within_s=0.3) as publisher:
        await publisher.publish([Outgoing(topic, recorded("one"))])
        assert mortal.kafka_pid is not None
        os.kill(mortal.kafka_pid, signal.SIGKILL)
        for _ in range(4):
            with pytest.raises(RetryableError):
                await publisher.publish([Outgoing(topic, recorded("one"))])

        assert (0, True) == (publisher.replaced, publisher.alive)


def replied(name: str) -> Event[RequestReplied]:
    request = derived("test", "request", name)
    attributes = Attributes(
        id=EventId(derived("test", name)),
        type=RequestReplied.kind,
        source="/sluice/test",
        subject=request,
        tenant=TENANT,
        time=NOON,
    )
    return Event(attributes, RequestReplied(outcome=Outcome.COMPLETED))


async def test_a_reply_reaches_all_who_expect_it_and_nobody_else(
    stack: Stack,
) -> None:
    await create(stack.kafka_bootstrap, replication=1, topics=[REPLIES])
    cluster = clients(stack.kafka_bootstrap)
    old, mine, other = replied("old"), replied("mine"), replied("other")
    async with KafkaPublisher(cluster) as publisher:
        await publisher.publish([Outgoing(REPLIES, old, 3)])
        async with ReplyBox(cluster, 3, SystemClock()) as box:
            first = box.expect(RequestId(mine.attributes.subject))
            second = box.expect(RequestId(mine.attributes.subject))
            lost = box.expect(RequestId(old.attributes.subject))
            elsewhere = box.expect(RequestId(other.attributes.subject))
            await publisher.publish(
                [Outgoing(REPLIES, mine, 3), Outgoing(REPLIES, other, 4)]
            )
            answers = await asyncio.wait_for(asyncio.gather(first, second), 10)
            _, pending = await asyncio.wait([elsewhere], timeout=0.3)
            left = box.expecting

    assert (mine, mine) == tuple(answers)
    assert ({elsewhere}, 2) == (pending, left)
    assert lost.cancelled()
