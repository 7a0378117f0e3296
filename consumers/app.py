"""The composition root of the consumer groups."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from consumers import admission, provider, webhooks
from consumers.admission import AdmissionConsumer
from consumers.audit import AuditConsumer
from consumers.delivery import (
    Bounds,
    Burial,
    Delivery,
    Holding,
    Means,
    Subscription,
    concurrent,
    nothing,
    ordered,
    ordered_batch,
    ordered_raw,
)
from consumers.delivery.turns import Turns
from consumers.outcomes import OutcomesConsumer
from consumers.provider import ProviderConsumer
from consumers.redaction import RedactionConsumer
from consumers.retention import RetentionConsumer
from consumers.screening import ScreeningConsumer
from consumers.webhooks import RetriesConsumer, WebhooksConsumer
from infra.health import health_app
from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.secrets import KekSecrets
from infra.observability.observed import ObservedDeliveries, ObservedPublisher
from infra.observability.signals import DeliverySignals
from infra.observability.traces import traces
from infra.postgres.credentials import PostgresCredentials
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.ledger import PostgresLedger
from infra.postgres.releases import last_releases
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.postgres.retention import PostgresPurges
from infra.providers.openai import OpenAIProviders, Upstream
from infra.recipes import load_recipe
from infra.recognisers.outside import recognisers
from infra.resources import (
    Resources,
    acceptance,
    admissions,
    egress_rules,
    keeper_pool,
    open_resources,
    webhook_sender,
)
from infra.server import serving
from infra.settings import Settings
from infra.signer.receipts import RECEIPTS, receipt_key
from infra.system import settled
from infra.webhooks.sender import HttpSender
from pipeline.detection.engine import Recipe
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.ports.recognisers import Recognisers
from pipeline.ports.tracing import Tracing
from pipeline.receipts import sign
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    RETENTION_DUE,
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
)

VERSION: Final = "0.1.0"
WEBHOOK_BOUNDS: Final = Bounds(total=512, per_lane=4, queued_per_lane=16)
"""An endpoint that hangs has four attempts and sixteen that wait; the rest spills."""
AUDIT_LINGERS_S: Final = 0.1
"""A request tells its story in four polls, each a transaction; gathered, in one."""
LOOKING: Final = frozenset({"redaction", "provider"})
"""Groups that ask the recognisers."""


class Groups:
    """The subscriptions of one process, each made when it is asked for."""

    def __init__(
        self,
        opened: Resources,
        recipe: Callable[[], Recipe],
        providers: OpenAIProviders,
        keeper: PostgresKeyKeeper | None,
        sender: HttpSender | None,
        *,
        outside: Recognisers,
    ) -> None:
        self._outside = outside
        self._sender = sender
        self._keeper = keeper
        self._opened = opened
        self._recipe = recipe
        self._providers = providers

    def admission(self) -> Subscription:
        """The inbox of producers with a Kafka client of their own."""
        opened = self._opened
        consumer = AdmissionConsumer(
            tokens=opened.tokens,
            credentials=PostgresCredentials(opened.pool, opened.clock),
            letters=opened.inbox,
            tenants=opened.tenants,
            acceptance=acceptance(opened, admissions(opened), admission.SOURCE, None),
            clock=opened.clock,
            entropy=opened.entropy,
        )
        return ordered_raw(REQUESTS_INBOX, consumer.handle)

    def screening(self) -> Subscription:
        """May it pass?"""
        opened = self._opened
        consumer = ScreeningConsumer(
            bench=opened.bench,
            contents=opened.contents,
            recipe=self._recipe(),
            clock=opened.clock,
        )
        return ordered(REQUESTS_ACCEPTED, consumer.handle, prepare=consumer.prepare)

    def redaction(self) -> Subscription:
        """What of it may leave?"""
        opened = self._opened
        consumer = RedactionConsumer(
            bench=opened.bench,
            contents=opened.contents,
            recipe=self._recipe(),
            clock=opened.clock,
            recognisers=self._outside,
        )
        return ordered(REQUESTS_SCREENED, consumer.handle, prepare=consumer.prepare)

    def provider(self) -> Subscription:
        """The provider call."""
        opened = self._opened
        holding = Holding(opened.clock)
        consumer = ProviderConsumer(
            bench=opened.bench,
            contents=opened.contents,
            calls=PostgresProviderCalls(opened.pool),
            providers=self._providers,
            recipe=self._recipe(),
            clock=opened.clock,
            turn=Turns(opened.clock).next,
            hold=holding.one,
            recognisers=self._outside,
        )
        return concurrent(
            REQUESTS_REDACTED,
            consumer.handle,
            prepare=consumer.prepare,
            lane=provider.lane,
            overflow=consumer.overflow,
            deadline=provider.deadline,
            holding=holding,
            bounds=Bounds(),
        )

    def outcomes(self) -> Subscription:
        """The one end."""
        opened = self._opened
        consumer = OutcomesConsumer(
            requests=PostgresRequests(opened.pool),
            deliveries=PostgresDeliveries(pool=opened.pool),
            clock=opened.clock,
        )
        return ordered_batch(REQUESTS_FINISHED, consumer.handle)

    def audit(self) -> Subscription:
        """The ledger."""
        opened = self._opened
        ledger = PostgresLedger(
            pool=opened.pool,
            domain=opened.settings.ledger.domain,
            entropy=opened.entropy,
        )
        consumer = AuditConsumer(
            ledger=ledger,
            deliveries=PostgresDeliveries(pool=opened.pool),
            clock=opened.clock,
            alarm=opened.incidents,
        )
        return ordered_batch(
            AUDIT_RECORDED,
            consumer.handle,
            offsets=consumer.offsets,
            linger_s=AUDIT_LINGERS_S,
        )

    def retention(self) -> Subscription:
        """What was ordered to be forgotten."""
        opened = self._opened
        if self._keeper is None:
            raise ValueError("retention: expected the keeper's login")
        key = receipt_key(opened.settings.keys.own / RECEIPTS)
        consumer = RetentionConsumer(
            keeper=self._keeper,
            keys=opened.keystore,
            purges=PostgresPurges(opened.pool),
            inbox=opened.inbox,
            deliveries=PostgresDeliveries(pool=opened.pool),
            contents=opened.contents,
            sign=lambda stated: sign(stated, key),
            clock=opened.clock,
        )
        return ordered(RETENTION_DUE, consumer.handle)

    def webhooks(self) -> Subscription:
        """One attempt of a delivery."""
        opened = self._opened
        if self._sender is None:
            raise ValueError("webhooks: expected a sender")
        holding = Holding(opened.clock)
        consumer = WebhooksConsumer(
            deliveries=ObservedDeliveries(
                PostgresDeliveries(pool=opened.pool), opened.metrics
            ),
            secrets=EndpointSecrets(
                KekSecrets(keks=opened.keks, entropy=opened.entropy)
            ),
            sender=self._sender,
            rules=egress_rules(opened.settings),
            clock=opened.clock,
            entropy=opened.entropy,
            hold=holding.one,
        )
        return concurrent(
            WEBHOOKS_DUE,
            consumer.handle,
            prepare=nothing,
            lane=webhooks.lane,
            overflow=consumer.overflow,
            holding=holding,
            bounds=WEBHOOK_BOUNDS,
        )

    def webhook_retries_5s(self) -> Subscription:
        """What failed once."""
        consumer = RetriesConsumer(clock=self._opened.clock)
        return ordered(WEBHOOKS_RETRY_5S, consumer.handle)

    def webhook_retries_5m(self) -> Subscription:
        """What failed twice."""
        consumer = RetriesConsumer(clock=self._opened.clock)
        return ordered(WEBHOOKS_RETRY_5M, consumer.handle)


GROUPS: Final[Mapping[str, Callable[[Groups], Subscription]]] = {
    "admission": Groups.admission,
    "screening": Groups.screening,
    "redaction": Groups.redaction,
    "provider": Groups.provider,
    "outcomes": Groups.outcomes,
    "audit": Groups.audit,
    "retention": Groups.retention,
    "webhooks": Groups.webhooks,
    "webhook_retries_5s": Groups.webhook_retries_5s,
    "webhook_retries_5m": Groups.webhook_retries_5m,
}


def upstreams(settings: Settings) -> Mapping[str, Upstream]:
    """The configured providers."""
    return {
        name: Upstream(
            base_url=str(found.base_url).rstrip("/"),
            api_key=found.api_key.get_secret_value() if found.api_key else None,
            max_in_flight=found.max_in_flight,
        )
        for name, found in settings.providers.items()
    }


async def run(settings: Settings, names: Sequence[str]) -> None:
    """Run the named groups until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_resources(settings, "+".join(names))
        )
        calls = await stack.enter_async_context(
            OpenAIProviders(upstreams(settings), opened.clock)
        )
        keeper = await _keeper(stack, opened) if "retention" in names else None
        sender = await _sender(stack, opened) if "webhooks" in names else None
        looking = settings.recognisers if LOOKING & set(names) else {}
        outside = await stack.enter_async_context(recognisers(looking))
        groups = Groups(opened, load_recipe, calls, keeper, sender, outside=outside)
        tracing = await traces(stack, settings, "+".join(names))
        subscriptions = [GROUPS[name](groups) for name in names]
        delivery = _delivery(opened, subscriptions, tracing)
        app = health_app(
            lambda: delivery.alive() and opened.publisher.alive,
            delivery.reasons,
            opened.metrics.registry,
        )
        health = settings.health
        port = await stack.enter_async_context(serving(app, health.host, health.port))
        opened.log.info("started", port=port)
        settled()
        await delivery.run(stop)
        opened.log.info("stopped")


async def _keeper(stack: AsyncExitStack, opened: Resources) -> PostgresKeyKeeper:
    """Only the group that destroys keys holds the login that may."""
    pool = await keeper_pool(stack, opened.settings)
    return PostgresKeyKeeper(pool=pool, kms=opened.kms, entropy=opened.entropy)


async def _sender(stack: AsyncExitStack, opened: Resources) -> HttpSender:
    """Only the group that sends webhooks minds a proxy in the environment."""
    made = webhook_sender(opened.settings, opened.clock)
    return await stack.enter_async_context(made)


def _delivery(
    opened: Resources,
    subscriptions: Sequence[Subscription],
    tracing: Tracing | None,
) -> Delivery:
    groups = [each.group for each in subscriptions]
    publisher = ObservedPublisher(opened.publisher, opened.metrics, groups)
    means = Means(
        publisher=publisher,
        clock=opened.clock,
        entropy=opened.entropy,
        signals=DeliverySignals(opened.metrics, opened.log, groups),
        tracing=tracing,
        batch_within_s=opened.settings.kafka.max_poll_interval_s / 4,
        burial=Burial(
            publisher=publisher,
            clock=opened.clock,
            version=VERSION,
            seal_stranger=opened.inbox.seal,
        ),
    )
    return Delivery(
        subscriptions,
        kafka=opened.clients,
        means=means,
        releases=partial(last_releases, opened.pool),
    )
