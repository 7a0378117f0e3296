"""Accepted requests, read from a real broker between offsets and up to a moment."""

from asyncio import gather
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from demo.stack import Stack
from infra.kafka import topics
from infra.kafka.accepted import KafkaAccepted
from infra.kafka.clients import KafkaClients
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemClock
from pipeline.audit import ROOT, record
from pipeline.checked import CHECKED
from pipeline.errors import RetryableError
from pipeline.querying import Query
from producers.completeness import INCIDENT, CompletenessWorker
from schemas.events import Attributes
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import RequestAccepted
from schemas.topics import REQUESTS_ACCEPTED, Topic
from tests.support.audit import NOON, recorded, request_id
from tests.support.kafka import everything, until
from tests.support.ledger import database, new_tenant, opened

pytestmark = pytest.mark.integration

LATER = timedelta(minutes=1)
NAME = REQUESTS_ACCEPTED.name


@pytest.fixture
async def clients(stack: Stack) -> KafkaClients:
    await topics.create(stack.kafka_bootstrap, replication=1)
    return KafkaClients(stack.kafka_bootstrap)


async def ends(clients: KafkaClients, name: str = NAME) -> dict[int, int]:
    consumer = clients.reader()
    await consumer.start()
    parts = [TopicPartition(name, at) for at in range(REQUESTS_ACCEPTED.partitions)]
    found = await consumer.end_offsets(parts)
    await consumer.stop()
    return {part.partition: offset for part, offset in found.items()}


def headers(tenant: TenantId, request: RequestId) -> list[tuple[str, bytes]]:
    return Attributes(
        id=EventId(request),
        type="request.accepted.v1",
        source="/sluice/test",
        subject=request,
        tenant=tenant,
        time=NOON,
    ).headers()


async def publish(
    clients: KafkaClients, tenant: TenantId, names: str, to: str = NAME
) -> None:
    """One record a name, then one whose headers say nothing."""
    producer = clients.producer()
    await producer.start()
    for name in names:
        request = request_id(name)
        await producer.send_and_wait(
            to, b"{}", key=request.encode(), headers=headers(tenant, request)
        )
    await producer.send_and_wait(to, b"{}", key=b"x", headers=[("ce_id", b"\xff")])
    await producer.stop()


async def test_what_lies_between_is_found_whole_and_in_parts(
    clients: KafkaClients,
) -> None:
    tenant, begin = new_tenant(), await ends(clients)
    await publish(clients, tenant, "abcdefgh")
    before = SystemClock().now() + LATER
    wanted = {(tenant, request_id(each)) for each in "abcdefgh"}

    whole = await KafkaAccepted(clients).read(begin, before)
    parts, at = set[tuple[TenantId, RequestId]](), begin
    while (part := await KafkaAccepted(clients, limit=1).read(at, before)).ends != at:
        parts |= set(part.requests)
        at = dict(part.ends)

    assert begin == whole.begins
    assert wanted == set(whole.requests) == parts
    assert await ends(clients) == whole.ends == at


async def test_what_is_young_is_left(clients: KafkaClients) -> None:
    begin = await ends(clients)
    await publish(clients, new_tenant(), "a")

    span = await KafkaAccepted(clients).read(begin, SystemClock().now() - LATER)

    assert ((), begin) == (span.requests, span.ends)


async def test_a_broker_that_is_away_is_waited_for() -> None:
    nowhere = KafkaAccepted(KafkaClients("127.0.0.1:1"))

    with pytest.raises(RetryableError):
        await nowhere.read({}, SystemClock().now())


@pytest.fixture
async def topic(clients: KafkaClients, stack: Stack) -> Topic[RequestAccepted]:
    """One that no other test reads, of one partition."""
    name = f"accepted.{token_hex(6)}"
    made = replace(REQUESTS_ACCEPTED, name=name, group=name, partitions=1)
    await topics.create(stack.kafka_bootstrap, replication=1, topics=[made])
    return made


@asynccontextmanager
async def administering(stack: Stack) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_anew(stack: Stack, topic: Topic[RequestAccepted]) -> None:
    """Delete a topic and create it again; the broker takes a moment for either."""
    async with administering(stack) as admin:
        await admin.delete_topics([topic.name])

    async def again() -> bool:
        try:
            await topics.create(stack.kafka_bootstrap, replication=1, topics=[topic])
        except (topics.TopicsDiffer, RetryableError):
            return False
        return await everything(stack.kafka_bootstrap, topic.name) == []

    await until(again)


@pytest.mark.parametrize("names", ["", "ab", "abcd", "abcdefgh"])
async def test_a_topic_made_anew_is_read_from_its_start(
    clients: KafkaClients, stack: Stack, topic: Topic[RequestAccepted], names: str
) -> None:
    """Shorter than what was read, as long, and longer."""
    tenant, accepted = new_tenant(), KafkaAccepted(clients, topic=topic)
    await publish(clients, tenant, "wxyz", to=topic.name)
    before = SystemClock().now()
    old = await accepted.read({}, before)
    again = await accepted.read(old.ends, before, before)
    await make_anew(stack, topic)
    if names:
        await publish(clients, tenant, names, to=topic.name)

    span = await accepted.read(old.ends, SystemClock().now() + LATER, before)

    assert ({0: 5}, old.ends, frozenset()) == (old.ends, again.ends, again.anew)
    assert (frozenset({0}), {0: 0}) == (span.anew, span.begins)
    assert {(tenant, request_id(each)) for each in names} == set(span.requests)


async def test_what_expired_unread_is_told(
    clients: KafkaClients, stack: Stack, topic: Topic[RequestAccepted]
) -> None:
    tenant, accepted = new_tenant(), KafkaAccepted(clients, topic=topic)
    await publish(clients, tenant, "abcdefgh", to=topic.name)
    async with administering(stack) as admin:
        part = TopicPartition(topic.name, 0)
        await admin.delete_records({part: RecordsToDelete(before_offset=5)})
    before = SystemClock().now() + LATER

    span = await accepted.read({0: 2}, before, before)

    assert {0: range(2, 5)} == span.expired
    assert {request_id(each) for each in "fgh"} == {each for _, each in span.requests}


@asynccontextmanager
async def checking(
    clients: KafkaClients, stack: Stack, topic: Topic[RequestAccepted]
) -> AsyncIterator[tuple[CompletenessWorker, list[int]]]:
    """The worker on a real topic and a ledger of its own, which is empty."""
    alarms = list[int]()
    with database(stack.postgres_url) as made:
        async with opened(made) as books:
            yield (
                CompletenessWorker(
                    accepted=KafkaAccepted(clients, topic=topic),
                    ledger=books.ledger,
                    logs=books.logs,
                    deliveries=MemoryWebhooks(),
                    clock=SystemClock(),
                    alarm=alarms.append,
                    tell=lambda _: None,
                    settled=timedelta(0),
                ),
                alarms,
            )


async def test_a_loss_on_the_topic_is_an_incident_on_the_ledger(
    clients: KafkaClients, stack: Stack, topic: Topic[RequestAccepted]
) -> None:
    """One request ended, one never did, one left no record at all."""
    tenant = new_tenant()
    await publish(clients, tenant, "abc", to=topic.name)
    events = [
        recorded(f"{name}{action}", f"request.{action}", tenant=tenant, request=name)
        for name, action in (("a", "accepted"), ("a", "completed"), ("b", "accepted"))
    ]
    async with checking(clients, stack, topic) as (worker, alarms):
        await worker.ledger.append(events)
        rounds = [await worker.round(), await worker.round()]
        rows = await worker.logs.find(tenant, Query(action=INCIDENT), 0, 9)

    (incident,) = (record(row.body).completeness for row in rows)
    assert incident is not None
    assert (3, 1, 2) == (incident.accepted, incident.unrecorded, incident.unended)
    assert {request_id("b"), request_id("c")} == set(incident.missing)
    assert ([True, False], [1]) == (rounds, alarms)


async def test_copies_that_check_at_once_overlap_nowhere(
    clients: KafkaClients, stack: Stack, topic: Topic[RequestAccepted]
) -> None:
    tenant = new_tenant()
    async with checking(clients, stack, topic) as (worker, _):
        for names in ("ab", "cd", "ef"):
            await publish(clients, tenant, names, to=topic.name)
            copies = [worker.round() for _ in range(4)]
            said = await gather(*copies, return_exceptions=True)
            assert all(isinstance(each, bool | RetryableError) for each in said)
        rows = await worker.logs.find(ROOT, Query(action=CHECKED), 0, 99)

    ranges = [record(row.body).offsets[0] for row in rows]
    assert [(0, 3), (3, 6), (6, 9)] == [(each.begin, each.end) for each in ranges]
