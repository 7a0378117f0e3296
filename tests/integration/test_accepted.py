"""Accepted requests, read from a real broker between offsets and up to a moment."""

from datetime import timedelta

import pytest
from aiokafka import TopicPartition

from demo.stack import Stack
from infra.kafka import topics
from infra.kafka.accepted import KafkaAccepted
from infra.kafka.clients import KafkaClients
from infra.system import SystemClock
from pipeline.errors import RetryableError
from schemas.events import Attributes
from schemas.ids import EventId, RequestId, TenantId
from schemas.topics import REQUESTS_ACCEPTED
from tests.support.audit import NOON, request_id
from tests.support.ledger import new_tenant

pytestmark = pytest.mark.integration

LATER = timedelta(minutes=1)
NAME = REQUESTS_ACCEPTED.name


@pytest.fixture
async def clients(stack: Stack) -> KafkaClients:
    await topics.create(stack.kafka_bootstrap, replication=1)
    return KafkaClients(stack.kafka_bootstrap)


async def ends(clients: KafkaClients) -> dict[int, int]:
    consumer = clients.reader()
    await consumer.start()
    parts = [TopicPartition(NAME, at) for at in range(REQUESTS_ACCEPTED.partitions)]
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


async def publish(clients: KafkaClients, tenant: TenantId, names: str) -> None:
    """One record a name, then one whose headers say nothing."""
    producer = clients.producer()
    await producer.start()
    for name in names:
        request = request_id(name)
        await producer.send_and_wait(
            NAME, b"{}", key=request.encode(), headers=headers(tenant, request)
        )
    await producer.send_and_wait(NAME, b"{}", key=b"x", headers=[("ce_id", b"\xff")])
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
