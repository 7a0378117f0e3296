"""Attempts: signed, sent, settled; what comes back, spills, or is over."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from openai import OpenAI
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook
from typing_extensions import override

from consumers.delivery import Holding
from consumers.webhooks import LEASE, RetriesConsumer, WebhooksConsumer, lane
from infra.families import WEBHOOK_ATTEMPTS
from infra.memory.keystore import MemoryKeys
from infra.memory.secrets import MemorySecrets
from infra.memory.webhooks import MemoryWebhooks
from infra.metrics import Metrics
from infra.observability.observed import ObservedDeliveries
from infra.system import SystemClock, SystemEntropy
from infra.webhooks.sender import TOTAL_S
from pipeline.announcements import due
from pipeline.egress import EgressRules
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.errors import NotYet, RetryableError
from pipeline.ports.webhooks import Change, Due, Endpoint, SealedSecret
from pipeline.webhooks import Attempt, Secret
from pipeline.wrapping import SecretPurpose, SecretRef
from producers import webhooks
from producers.webhooks import DueWebhooks
from schemas.events import Event
from schemas.ids import TenantId
from schemas.topics import (
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
    Outgoing,
)
from schemas.webhooks import Kind, WebhookDue
from tests.component.test_sweeper import Published
from tests.support.audit import NOON
from tests.support.gateway import HeldClock
from tests.support.webhooks import URL, HeldSender, holder, message, real

TENANT = TenantId("00000000-0000-7000-8000-000000000001")
ENTROPY = SystemEntropy()
BAD = Attempt(status=503)


@dataclass(frozen=True)
class World:
    clock: HeldClock
    keys: MemoryKeys
    rows: MemoryWebhooks
    secrets: MemorySecrets
    sender: HeldSender
    consumer: WebhooksConsumer

    async def endpoint(self, url: str = URL) -> tuple[Endpoint, Secret]:
        made, kept, secret = await real(TENANT, self.secrets, url=url)
        assert await self.rows.create(made, kept, holder(TENANT))
        return made, secret

    async def told(self, cause: str = "one") -> Due:
        (found,) = await self.rows.announce([message(TENANT, cause)])
        return found

    async def attempt(self, each: Due) -> list[Outgoing[WebhookDue]]:
        return [*await self.consumer.handle(self.event(each))]

    def event(self, each: Due, after: float = 0) -> Event[WebhookDue]:
        now = self.clock.now()
        at = now + timedelta(seconds=after)
        return due(each, WEBHOOKS_DUE, source="/test", now=now, at=at).event


@pytest.fixture
async def world() -> World:
    clock = HeldClock()
    keys, rows = MemoryKeys(clock), MemoryWebhooks()
    await keys.enrol(TENANT)
    secrets, sender = MemorySecrets(keys), HeldSender()
    consumer = WebhooksConsumer(
        deliveries=rows,
        secrets=EndpointSecrets(secrets),
        sender=sender,
        rules=EgressRules(),
        clock=clock,
        entropy=ENTROPY,
        hold=nullcontext,
    )
    return World(clock, keys, rows, secrets, sender, consumer)


async def test_what_is_sent_verifies_elsewhere() -> None:
    clock = SystemClock()  # these libraries ask their own clock
    keys, rows = MemoryKeys(clock), MemoryWebhooks()
    await keys.enrol(TENANT)
    secrets, sender = MemorySecrets(keys), HeldSender()
    consumer = WebhooksConsumer(
        deliveries=rows,
        secrets=EndpointSecrets(secrets),
        sender=sender,
        rules=EgressRules(),
        clock=clock,
        entropy=ENTROPY,
        hold=nullcontext,
    )
    made, kept, secret = await real(TENANT, secrets)
    await rows.create(made, kept, holder(TENANT))
    announced = message(TENANT, "one", Kind.RESPONSE_COMPLETED)
    (first,) = await rows.announce([announced])
    now = clock.now()
    event = due(first, WEBHOOKS_DUE, source="/test", now=now, at=now).event

    await consumer.handle(event)

    ((url, headers, raw),) = sender.sent
    told = json.loads(raw)
    assert (URL, "response.completed") == (url, told["type"])
    assert announced.id == headers["webhook-id"]
    assert told == StandardWebhook(secret.text).verify(raw, dict(headers))
    SvixWebhook(secret.text).verify(raw, dict(headers))
    sdk = OpenAI(api_key="none", webhook_secret=secret.text)
    assert told["id"] == sdk.webhooks.unwrap(raw, dict(headers)).id


async def test_both_secrets_sign_while_they_overlap(world: World) -> None:
    made, _ = await world.endpoint()
    fresh = Secret(ENTROPY.bytes(32))
    row = ENTROPY.uuid7()
    ref = SecretRef(TENANT, SecretPurpose.WEBHOOK_SECRET, row)
    await world.rows.rotate(
        made.id,
        SealedSecret(row, await world.secrets.seal(ref, fresh.key), fresh.hint),
        now=NOON,
        old_until=NOON + timedelta(hours=24),
        by=holder(TENANT),
    )
    await world.attempt(await world.told("one"))
    world.clock.elapsed = timedelta(hours=24)
    await world.attempt(await world.told("two"))

    both, alone = (
        sent[1]["webhook-signature"].split(" ") for sent in world.sender.sent
    )
    assert (2, 1) == (len(both), len(alone))


async def test_a_duplicate_of_what_was_attempted_sends_nothing(world: World) -> None:
    await world.endpoint()
    first = await world.told()
    await world.attempt(first)
    await world.attempt(first)

    assert 1 == len(world.sender.sent)
    assert "delivered" == world.rows.state(first)


async def test_the_first_two_retries_go_by_topics_and_keep_the_id(
    world: World,
) -> None:
    await world.endpoint()
    world.sender.answers = [BAD, BAD, BAD]
    first = await world.told()

    (soon,) = await world.attempt(first)
    (later,) = await world.attempt(replace(first, attempt=2))
    rest = await world.attempt(replace(first, attempt=3))

    assert [WEBHOOKS_RETRY_5S, WEBHOOKS_RETRY_5M] == [soon.topic, later.topic]
    assert [2, 3] == [each.event.data.attempt for each in (soon, later)]
    waits = [
        (each.event.data.not_before - NOON).total_seconds() for each in (soon, later)
    ]
    assert 5 <= waits[0] <= 6
    assert 300 <= waits[1] <= 360
    assert [] == rest
    assert 1 == len({headers["webhook-id"] for _, headers, _ in world.sender.sent})


async def test_what_was_asked_to_wait_longer_waits_in_the_database(
    world: World,
) -> None:
    await world.endpoint()
    hour = timedelta(hours=1)
    world.sender.answers = [Attempt(status=429, retry_after=hour)]
    first = await world.told()

    assert [] == await world.attempt(first)
    assert [] == [*await world.rows.sweep(NOON + hour - timedelta(seconds=1), 9)]
    assert [replace(first, attempt=2)] == [*await world.rows.sweep(NOON + hour, 9)]


async def test_a_full_lane_spills_and_the_sweeper_brings_it_back(
    world: World,
) -> None:
    made, _ = await world.endpoint()
    first, published = await world.told(), Published()
    event = world.event(first)
    await world.consumer.overflow(event)
    worker = DueWebhooks(deliveries=world.rows, publisher=published, clock=world.clock)
    await worker.round()
    early = len(published.sent)
    world.clock.elapsed = timedelta(seconds=6)

    await worker.round()
    await worker.round()

    (back,) = published.sent
    assert 0 == early
    assert [] == world.sender.sent
    assert (made.id, first.delivery) == (lane(event), back.event.data.delivery)
    await world.consumer.handle(back.event)
    assert "delivered" == world.rows.state(first)


async def test_a_worker_that_died_is_followed_by_the_sweeper(world: World) -> None:
    await world.endpoint()
    first, published = await world.told(), Published()
    await world.rows.claim(first, NOON, LEASE)
    world.clock.elapsed = LEASE
    worker = DueWebhooks(deliveries=world.rows, publisher=published, clock=world.clock)

    await worker.round()

    (back,) = published.sent
    await world.consumer.handle(back.event)
    assert 1 == len(world.sender.sent)


async def test_a_url_that_became_forbidden_is_not_dialled(world: World) -> None:
    await world.endpoint("https://127.0.0.1/in")
    first = await world.told()
    await world.attempt(first)

    assert [] == world.sender.sent
    ((_, seen),) = world.rows.attempts
    assert "target_forbidden" == seen.error


async def test_a_tenant_that_ended_is_told_of_nothing(world: World) -> None:
    await world.endpoint()
    first = await world.told()
    await world.keys.terminate(TENANT)

    assert [] == await world.attempt(first)
    assert "erased" == world.rows.state(first)


async def test_a_disabled_endpoint_is_what_the_others_are_told_of(
    world: World,
) -> None:
    made, _ = await world.endpoint()
    first = await world.told()
    await world.endpoint()
    world.sender.answers = [Attempt(status=410)]

    (told,) = await world.attempt(first)

    await world.consumer.handle(told.event)
    _, _, raw = world.sender.sent[-1]
    assert "endpoint.disabled" == json.loads(raw)["type"]
    assert {"id": made.id, "reason": "gone"} == json.loads(raw)["data"]


@dataclass
class Moving(HeldSender):
    """The endpoint has another address before the first one answers that it is gone."""

    move: Callable[[], Awaitable[object]] | None = None

    @override
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        if self.move is None:
            return await super().send(url, headers, body)
        await self.move()
        self.move = None
        return Attempt(status=410)


async def test_what_the_old_address_says_is_not_held_against_the_new_one(
    world: World,
) -> None:
    """Whoever moves lets the old address answer 410, also to what is on its way."""
    made, _ = await world.endpoint()
    first, new = await world.told(), "https://hooks.example.com/new"
    moved = await EndpointSecrets(world.secrets).seal_url(TENANT, made.id, new)
    change = Change(url_sealed=moved)
    sender = Moving(
        move=lambda: world.rows.update(made.id, change, NOON, holder(TENANT))
    )
    consumer = replace(world.consumer, sender=sender)

    (again,) = await consumer.handle(world.event(first))
    found = await world.rows.get(made.id, holder(TENANT))

    assert found is not None
    assert found.disabled_reason is None
    assert WEBHOOKS_RETRY_5S == again.topic
    await consumer.handle(again.event)
    assert [new] == [url for url, _, _ in sender.sent]


COUNTED = [
    (Attempt(status=204), 1, ("2xx", "delivered")),
    (Attempt(status=302), 1, ("3xx", "again")),
    (Attempt(status=404), 1, ("4xx", "again")),
    (Attempt(status=410), 1, ("4xx", "gone")),
    (Attempt(status=503), 10, ("5xx", "exhausted")),
    (Attempt(status=None, error="timeout"), 1, ("timeout", "again")),
    (Attempt(status=None, error="connection"), 10, ("connection", "exhausted")),
    (Attempt(status=None, error="tls"), 1, ("tls", "again")),
    (Attempt(status=None, error="target_forbidden"), 1, ("target_forbidden", "again")),
]


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Attempts that were counted, by what was answered and what follows."""
    return {
        (sample.labels["answer"], sample.labels["outcome"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == WEBHOOK_ATTEMPTS.name and sample.value
    }


@pytest.mark.parametrize(("seen", "number", "words"), COUNTED, ids=str)
async def test_an_attempt_is_counted_by_what_was_answered_and_what_follows(
    world: World, seen: Attempt, number: int, words: tuple[str, str]
) -> None:
    metrics = Metrics(CollectorRegistry())
    observed = ObservedDeliveries(world.rows, metrics)
    consumer = replace(world.consumer, deliveries=observed)
    await world.endpoint()
    there = {
        (sample.labels["answer"], sample.labels["outcome"])
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == WEBHOOK_ATTEMPTS.name
    }
    due = await world.told()
    for _ in range(number):
        world.clock.elapsed += timedelta(minutes=11)  # past any pause of the breaker
        world.sender.answers = [seen]
        await consumer.handle(world.event(due))
        due = replace(due, attempt=due.attempt + 1)

    assert words in there, "it is made at 0 when the process starts"
    assert 1 == counted(metrics)[words]
    assert number == sum(counted(metrics).values())


async def test_what_nobody_could_attempt_is_counted_too(world: World) -> None:
    metrics = Metrics(CollectorRegistry())
    observed = ObservedDeliveries(world.rows, metrics)
    consumer = replace(world.consumer, deliveries=observed)
    await world.endpoint()
    first = await world.told()
    await world.keys.terminate(TENANT)

    await consumer.handle(world.event(first))

    assert {("none", "erased"): 1} == counted(metrics)


async def test_an_attempt_whose_end_was_not_kept_is_not_counted(world: World) -> None:
    """It is made again, and is counted then."""
    metrics = Metrics(CollectorRegistry())
    await world.endpoint()
    first = await world.told()

    async def lost(*_: object, **__: object) -> Any:
        raise RetryableError("the database is away")

    kept = SimpleNamespace(claim=world.rows.claim, settle=lost)
    observed = ObservedDeliveries(cast(Any, kept), metrics)
    consumer = replace(world.consumer, deliveries=observed)
    with pytest.raises(RetryableError):
        await consumer.handle(world.event(first))

    assert {} == counted(metrics)


class Watched:
    """Another, of which each call is noted with whether it is waited for in sight."""

    def __init__(self, other: Any, holding: Holding, seen: dict[str, bool]) -> None:
        self._other, self._holding, self._seen = other, holding, seen

    def __getattr__(self, name: str) -> Any:
        async def asked(*args: Any, **named: Any) -> Any:
            self._seen[name] = self._holding.since is not None
            return await getattr(self._other, name)(*args, **named)

        return asked


async def test_a_database_is_waited_for_in_sight_and_an_endpoint_is_not(
    world: World,
) -> None:
    holding = Holding(world.clock)
    seen: dict[str, bool] = {}

    def watched(other: Any) -> Any:
        return Watched(other, holding, seen)

    consumer = replace(
        world.consumer,
        deliveries=watched(world.rows),
        secrets=EndpointSecrets(watched(world.secrets)),
        sender=watched(world.sender),
        hold=holding.one,
    )
    await world.endpoint()
    first = await world.told()
    await world.endpoint()
    world.sender.answers = [Attempt(status=410)]

    (told,) = await consumer.handle(world.event(first))
    await consumer.overflow(told.event)
    await world.keys.terminate(TENANT)
    await consumer.handle(told.event)

    waited = {"claim", "open", "settle", "park", "end"}
    assert {**dict.fromkeys(waited, True), "send": False} == seen
    assert holding.since is None


async def test_a_delaying_topic_gives_back_what_is_due(world: World) -> None:
    await world.endpoint()
    first = await world.told()
    consumer = RetriesConsumer(clock=world.clock)

    with pytest.raises(NotYet) as early:
        await consumer.handle(world.event(first, after=5))
    (back,) = await consumer.handle(world.event(first))

    assert 5 == early.value.seconds
    assert (WEBHOOKS_DUE, first.delivery) == (back.topic, back.event.data.delivery)


def test_a_delivery_is_leased_for_longer_than_an_attempt_takes() -> None:
    """Else another worker sends it while the first one still does."""
    assert timedelta(seconds=2 * TOTAL_S) < LEASE


async def test_a_full_batch_of_due_deliveries_asks_for_another_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BATCH", 2)
    await world.endpoint()
    for cause in ("one", "two", "three"):
        await world.told(cause)
    world.clock.elapsed = timedelta(days=1)
    worker = DueWebhooks(
        deliveries=world.rows, publisher=Published(), clock=world.clock
    )

    assert [True, False] == [await worker.round() for _ in range(2)]
