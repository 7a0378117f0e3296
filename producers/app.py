"""The composition root of the gateway and of the timed workers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.routing import BaseRoute

from infra.exports import vkeys
from infra.health import health_app, health_routes
from infra.kafka.accepted import KafkaAccepted
from infra.kafka.inbox import KafkaInbox
from infra.kafka.replies import ReplyBox
from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.partitions import PostgresKeyPartitions
from infra.keystore.secrets import KekSecrets
from infra.log import Word
from infra.metrics import (
    CHECKED_UNTIL,
    GAUGES,
    OPEN_REQUESTS,
    WORKER_IDLE,
    Metrics,
)
from infra.observability.traces import traces
from infra.postgres.anchors import PostgresAnchors
from infra.postgres.credentials import PostgresCredentials
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.endpoints import PostgresEndpoints
from infra.postgres.expired import PostgresExpired
from infra.postgres.gauges import count
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.outbox import Outbox
from infra.postgres.pool import answers, durable
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.postgres.retention import PostgresPurges
from infra.postgres.sweep import PostgresSweep
from infra.resources import (
    Resources,
    acceptance,
    egress_rules,
    keeper_pool,
    open_resources,
    webhook_sender,
)
from infra.server import serving
from infra.settings import LedgerSettings, Settings
from infra.signer.ed25519 import read_public
from infra.signer.receipts import RECEIPTS, published
from infra.webhooks.sender import HttpSender
from pipeline.admission import READ
from pipeline.keystore import TRANSIENT, Partition
from producers.auth import Attempts, Door
from producers.completeness import CompletenessWorker
from producers.contentpass import ContentPass
from producers.evidence import Readable, evidence
from producers.expired import Expired
from producers.expiry import Expiry
from producers.faults import Fault
from producers.gateway.answering import Answering
from producers.gateway.app import Gateway
from producers.gateway.asking import Asking
from producers.gateway.chat import Chat
from producers.gateway.endings import Endings
from producers.gateway.endpoints import WebhookEndpoints
from producers.gateway.oauth import HOUR_S, OAuth
from producers.gateway.readiness import Answers, Readiness
from producers.gateway.requests import Story
from producers.gateway.responses import Responses
from producers.gateway.taken import Transients
from producers.inbox import OldInboxKeys
from producers.incidents import Incidents
from producers.replay import Replay
from producers.sweeper import Sweeper
from producers.timed import Loop, Timed, alive, not_ready, running
from producers.webhooks import DueWebhooks
from schemas.ids import TenantId

SOURCE: Final = "/sluice/gateway"
TIMED: Final = (
    "outbox",
    "sweeper",
    "expiry",
    "rewrite",
    "replay",
    "webhooks",
    "old_webhooks",
    "completeness",
    "content_pass",
    "incidents",
    "gauges",
    "inbox_keys",
    "expired_rows",
)
DAY_S: Final = 86_400.0


def stopping() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_gateway(settings: Settings) -> None:
    """Serve HTTP until told to stop, then answer what was accepted."""
    stop = stopping()
    async with open_resources(settings, "gateway") as opened:
        found = settings.gateway
        box = ReplyBox(opened.clients, found.reply_partition, opened.clock)
        opened.metrics.of(OPEN_REQUESTS).alone.set_function(lambda: box.expecting)
        sender = webhook_sender(settings, opened.clock)
        async with box, sender, AsyncExitStack() as stack:
            tracing = await traces(stack, settings, "gateway")
            readiness = _readiness(opened, box)
            looks = [_loop(opened, readiness.timed())]
            health = health_routes(
                lambda: box.alive and opened.publisher.alive and alive(looks),
                lambda: [*readiness.reasons(), *not_ready(looks)],
                opened.metrics.registry,
            )
            gateway = _gateway(opened, box, sender, health)
            app = replace(gateway, tracing=tracing).app()
            await stack.enter_async_context(running(looks))
            async with serving(app, found.host, found.port):
                opened.log.info("started", port=found.port)
                await stop.wait()
                readiness.stopping = True
                await opened.clock.sleep(found.leave_s)
        opened.log.info("stopped")


def _readiness(opened: Resources, box: ReplyBox) -> Readiness:
    async def reads() -> bool:
        return box.alive

    parts: dict[str, Answers] = {
        "replies": reads,
        "kafka": opened.clients.answers,
        "postgres": partial(answers, opened.pool),
        "keystore": partial(answers, opened.keystore_pool),
    }
    if opened.settings.database.durable:
        parts["standby"] = partial(durable, opened.pool)
    return Readiness(parts)


def _loop(opened: Resources, timed: Timed) -> Loop:
    return Loop(timed=timed, clock=opened.clock, entropy=opened.entropy, log=opened.log)


def _gateway(
    opened: Resources, box: ReplyBox, sender: HttpSender, health: Sequence[BaseRoute]
) -> Gateway:
    settings, clock = opened.settings.gateway, opened.clock
    requests = PostgresRequests(opened.pool)
    credentials = PostgresCredentials(opened.pool, clock)
    door = Door(
        credentials=credentials,
        tokens=opened.tokens,
        clock=clock,
        attempts=Attempts(clock),
    )
    asking = Asking(
        door=door,
        tenants=opened.tenants,
        entropy=opened.entropy,
        metrics=opened.metrics,
        max_body_bytes=settings.max_body_bytes,
    )
    answering = _answering(opened, box, asking)
    return Gateway(
        chat=Chat(asking=asking, answering=answering),
        responses=Responses(
            door=door,
            asking=asking,
            answering=answering,
            acceptance=acceptance(opened, SOURCE, None),
            publisher=opened.publisher,
            requests=requests,
            calls=PostgresProviderCalls(opened.pool),
            keystore=opened.keystore,
            contents=opened.contents,
            clock=clock,
            entropy=opened.entropy,
        ),
        story=Story(
            door=door,
            requests=requests,
            keystore=opened.keystore,
            contents=opened.contents,
            logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        ),
        endpoints=WebhookEndpoints(
            door=door,
            endpoints=PostgresEndpoints(
                pool=opened.pool, clock=clock, entropy=opened.entropy
            ),
            secrets=KekSecrets(keks=opened.keks, entropy=opened.entropy),
            sender=sender,
            rules=egress_rules(opened.settings),
            clock=clock,
            entropy=opened.entropy,
        ),
        oauth=OAuth(
            door=door,
            credentials=credentials,
            issuer=opened.tokens,
            letters=opened.inbox,
            keys_age_s=min(opened.settings.keys.inbox_period_s, HOUR_S),
            receipts=partial(published, opened.settings.keys.own / RECEIPTS),
            clock=clock,
        ),
        evidence=evidence(
            PostgresLogs(pool=opened.pool, role="sluice_tenant"),
            _readable(door),
            PostgresAnchors(pool=opened.pool, role="sluice_tenant"),
            _vkeys(opened.settings.ledger),
        ),
        health=health,
        entropy=opened.entropy,
        log=opened.log,
    )


def _vkeys(settings: LedgerSettings) -> Callable[[str], str] | None:
    """A log's ``vkeys.json`` by its origin, as the file says when it is asked."""
    path = settings.public_keys
    return None if path is None else lambda origin: vkeys(read_public(path), origin)


def _answering(opened: Resources, box: ReplyBox, asking: Asking) -> Answering:
    partition = opened.settings.gateway.reply_partition
    return Answering(
        asking=asking,
        acceptance=acceptance(opened, SOURCE, partition),
        endings=Endings(
            publisher=opened.publisher,
            replies=box,
            requests=PostgresRequests(opened.pool),
            clock=opened.clock,
        ),
        contents=opened.contents,
        transients=Transients(opened.keystore),
        clock=opened.clock,
        metrics=opened.metrics,
    )


def _readable(door: Door) -> Readable:
    """A credential reads its own tenant's log."""

    async def readable(request: Request) -> Collection[TenantId] | None:
        found = await door.principal(request, READ)
        return None if isinstance(found, Fault) else [found.tenant_id]

    return readable


async def run_timed(settings: Settings, names: Sequence[str]) -> None:
    """Run timed workers in one process."""
    stop = stopping()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_resources(settings, "+".join(names))
        )
        made = {
            "outbox": _outbox,
            "sweeper": _sweeper,
            "expiry": _expiry,
            "rewrite": _rewrite,
            "replay": _replay,
            "webhooks": _webhooks,
            "old_webhooks": _old_webhooks,
            "completeness": _completeness,
            "content_pass": _content_pass,
            "incidents": _incidents,
            "gauges": _gauges,
            "inbox_keys": _inbox_keys,
            "expired_rows": _expired_rows,
        }
        loops = [_loop(opened, await made[name](stack, opened)) for name in names]
        publishes = partial(getattr, opened.publisher, "alive")
        await stack.enter_async_context(
            looping(settings, loops, opened.metrics, publishes)
        )
        opened.log.info("started", port=settings.health.port)
        await stop.wait()
        opened.log.info("stopped")


async def _outbox(_: AsyncExitStack, opened: Resources) -> Timed:
    outbox = Outbox(pool=opened.pool, publisher=opened.publisher)
    return Timed(name=Word("outbox"), job=outbox.round, every_s=1.0, alive_within_s=60)


async def _sweeper(_: AsyncExitStack, opened: Resources) -> Timed:
    worker = Sweeper(
        sweep=PostgresSweep(opened.pool),
        keystore=opened.keystore,
        publisher=opened.publisher,
        clock=opened.clock,
    )
    return Timed(name=Word("sweeper"), job=worker.round, every_s=15, alive_within_s=300)


def _due_webhooks(opened: Resources) -> DueWebhooks:
    return DueWebhooks(
        deliveries=PostgresDeliveries(pool=opened.pool),
        publisher=opened.publisher,
        clock=opened.clock,
    )


async def _webhooks(_: AsyncExitStack, opened: Resources) -> Timed:
    """Brings due deliveries back to their topic."""
    job = _due_webhooks(opened).round
    return Timed(name=Word("webhooks"), job=job, every_s=1.0, alive_within_s=60)


async def _old_webhooks(_: AsyncExitStack, opened: Resources) -> Timed:
    """Forgets messages that are old enough."""
    job = _due_webhooks(opened).forget
    return Timed(
        name=Word("old_webhooks"), job=job, every_s=DAY_S, alive_within_s=2 * DAY_S
    )


async def _expiry(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Makes and drops days of keys; the keystore's keeper alone may."""
    worker = await _days(stack, opened)
    return Timed(
        name=Word("expiry"), job=worker.round, every_s=3600, alive_within_s=3 * 3600
    )


async def _rewrite(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Takes destroyed keys' bytes out of the keystore's files."""
    worker = await _days(stack, opened)
    every = opened.settings.keys.rewrite_every_s
    return Timed(
        name=Word("rewrite"),
        job=worker.rewrite,
        every_s=every,
        alive_within_s=max(2 * every, 300),
    )


async def _expired_rows(_: AsyncExitStack, opened: Resources) -> Timed:
    """Deletes rows whose keys have expired."""
    worker = Expired(
        rows=PostgresExpired(opened.pool),
        tenants=PostgresLogs(pool=opened.pool, role="sluice_tenant").tenants,
        clock=opened.clock,
    )
    return Timed(
        name=Word("expired_rows"),
        job=worker.round,
        every_s=3600,
        alive_within_s=3 * 3600,
    )


async def _days(stack: AsyncExitStack, opened: Resources) -> Expiry:
    sweep = PostgresSweep(opened.pool)

    async def users(partition: Partition) -> Collection[TenantId]:
        """Transient keys went with their requests: who had any that day."""
        if partition.retention_class is not TRANSIENT:
            return ()
        begin = datetime.combine(partition.day, time(), UTC)
        return await sweep.transient(begin, partition.drops_at)

    return Expiry(
        users=users,
        partitions=PostgresKeyPartitions(await keeper_pool(stack, opened.settings)),
        publisher=opened.publisher,
        clock=opened.clock,
    )


async def _completeness(_: AsyncExitStack, opened: Resources) -> Timed:
    """Counts what was accepted against the ledger; a difference is an alarm."""
    worker = CompletenessWorker(
        accepted=KafkaAccepted(opened.clients),
        ledger=PostgresLedger(
            pool=opened.pool,
            domain=opened.settings.ledger.domain,
            entropy=opened.entropy,
        ),
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        deliveries=PostgresDeliveries(pool=opened.pool),
        clock=opened.clock,
        alarm=opened.incidents,
        tell=opened.metrics.of(CHECKED_UNTIL).alone.set,
        settled=timedelta(seconds=opened.settings.ledger.settled_s),
    )
    return Timed(
        name=Word("completeness"), job=worker.round, every_s=60, alive_within_s=3600
    )


async def _inbox_keys(_: AsyncExitStack, opened: Resources) -> Timed:
    """Destroys keys of letters once admission has handled all of them."""
    worker = OldInboxKeys(
        keys=opened.inbox, progress=KafkaInbox(opened.clients), clock=opened.clock
    )
    every = min(60.0, opened.inbox.period.total_seconds() / 4)
    return Timed(
        name=Word("inbox_keys"), job=worker.round, every_s=every, alive_within_s=3600
    )


async def _content_pass(_: AsyncExitStack, opened: Resources) -> Timed:
    """Holds keys that are there, and that are not, against the ledger."""
    worker = ContentPass(
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        ledger=PostgresLedger(
            pool=opened.pool,
            domain=opened.settings.ledger.domain,
            entropy=opened.entropy,
        ),
        fetch=opened.keystore.fetch,
        clock=opened.clock,
        alarm=opened.incidents,
    )
    return Timed(
        name=Word("content_pass"),
        job=worker.round,
        every_s=DAY_S / 4,
        alive_within_s=DAY_S,
    )


async def _incidents(_: AsyncExitStack, opened: Resources) -> Timed:
    """Tells subscribers what the passes over the ledger found."""
    worker = Incidents(
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        deliveries=PostgresDeliveries(pool=opened.pool),
        clock=opened.clock,
    )
    return Timed(
        name=Word("incidents"), job=worker.round, every_s=300, alive_within_s=3600
    )


async def _gauges(_: AsyncExitStack, opened: Resources) -> Timed:
    """Counts what no process sees alone: the outbox, the logs."""
    events, age, records, logs = (opened.metrics.of(each).alone for each in GAUGES)

    async def look() -> bool:
        found = await count(opened.pool)
        events.set(found.events)
        age.set(found.oldest_s)
        records.set(found.records)
        logs.set(found.logs)
        return False

    return Timed(name=Word("gauges"), job=look, every_s=15, alive_within_s=300)


async def _replay(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Destroys again what a restored keystore brought back."""
    keeper = PostgresKeyKeeper(
        pool=await keeper_pool(stack, opened.settings),
        kms=opened.kms,
        entropy=opened.entropy,
    )
    worker = Replay(
        keeper=keeper,
        purges=PostgresPurges(opened.pool),
        tenants=PostgresLogs(pool=opened.pool, role="sluice_tenant").tenants,
        clock=opened.clock,
    )
    return Timed(
        name=Word("replay"), job=worker.round, every_s=3600, alive_within_s=3 * 3600
    )


@asynccontextmanager
async def looping(
    settings: Settings,
    loops: Sequence[Loop],
    metrics: Metrics,
    publishes: Callable[[], bool] = lambda: True,
) -> AsyncIterator[None]:
    """Run timed workers, and say on the health port how they are.

    Args:
        settings: where that port is.
        loops: the workers.
        metrics: what the port shows.
        publishes: False: their publisher needs a new process.
    """
    for loop in loops:
        idle = metrics.of(WORKER_IDLE).labels(loop.timed.name)
        idle.set_function(partial(getattr, loop, "idle_s"))
    app = health_app(
        lambda: publishes() and alive(loops),
        lambda: not_ready(loops),
        metrics.registry,
    )
    async with running(loops), serving(app, settings.health.host, settings.health.port):
        yield
