"""The composition root of the gateway."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.routing import BaseRoute

from infra.exports import vkeys
from infra.families import OPEN_REQUESTS
from infra.health import health_routes
from infra.kafka.replies import ReplyBox
from infra.keystore.secrets import KekSecrets
from infra.observability.traces import traces
from infra.postgres.anchors import PostgresAnchors
from infra.postgres.credentials import PostgresCredentials
from infra.postgres.endpoints import PostgresEndpoints
from infra.postgres.logs import PostgresLogs
from infra.postgres.pool import answers, durable
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.resources import (
    Resources,
    acceptance,
    admissions,
    egress_rules,
    open_resources,
    webhook_sender,
)
from infra.server import serving
from infra.settings import LedgerSettings, Settings
from infra.signer.ed25519 import read_public
from infra.signer.receipts import RECEIPTS, published
from infra.system import settled
from infra.webhooks.sender import HttpSender
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.ports.admissions import Admissions
from producers.auth import Attempts, Door
from producers.evidence import evidence, own_logs
from producers.gateway.admitting import Admitting
from producers.gateway.answering import Answering
from producers.gateway.app import Gateway
from producers.gateway.asking import Asking
from producers.gateway.chat import Chat
from producers.gateway.endings import Endings
from producers.gateway.endpoints import WebhookEndpoints
from producers.gateway.oauth import HOUR_S, OAuth
from producers.gateway.places import Places
from producers.gateway.readiness import Answers, Readiness
from producers.gateway.requests import Story
from producers.gateway.responses import Responses
from producers.gateway.taken import Transients
from producers.process import loop_of, stopping
from producers.timed import alive, not_ready, running

SOURCE: Final = "/sluice/gateway"


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
            admitting = Admitting(admissions(opened), opened.clock)
            readiness = _readiness(opened, box, admitting)
            looks = [loop_of(opened, readiness.timed())]
            health = health_routes(
                lambda: (
                    box.alive
                    and opened.publisher.alive
                    and readiness.alive
                    and alive(looks)
                ),
                lambda: [*readiness.reasons(), *not_ready(looks)],
                opened.metrics.registry,
            )
            gateway = _gateway(opened, box, admitting, sender, health)
            app = replace(gateway, tracing=tracing).app()
            await stack.enter_async_context(running(looks))
            async with serving(app, found.host, found.port) as port:
                opened.log.info("started", port=port)
                settled()
                await stop.wait()
                readiness.stopping = True
                await opened.clock.sleep(found.leave_s)
        opened.log.info("stopped")


def _readiness(opened: Resources, box: ReplyBox, admitting: Admitting) -> Readiness:
    async def reads() -> bool:
        return box.alive

    parts: dict[str, Answers] = {
        "replies": reads,
        "kafka": opened.clients.answers,
        "postgres": partial(answers, opened.pool),
        "keystore": partial(answers, opened.keystore_pool),
        "admissions": admitting.answers,
    }
    if opened.settings.database.durable:
        parts["standby"] = partial(durable, opened.pool)
    return Readiness(parts, opened.clock)


def _gateway(
    opened: Resources,
    box: ReplyBox,
    admits: Admissions,
    sender: HttpSender,
    health: Sequence[BaseRoute],
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
    answering = _answering(opened, box, admits, asking)
    return Gateway(
        chat=Chat(asking=asking, answering=answering),
        responses=Responses(
            door=door,
            asking=asking,
            answering=answering,
            acceptance=acceptance(opened, admits, SOURCE, None),
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
            secrets=EndpointSecrets(
                KekSecrets(keks=opened.keks, entropy=opened.entropy)
            ),
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
            own_logs(door),
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


def _answering(
    opened: Resources, box: ReplyBox, admits: Admissions, asking: Asking
) -> Answering:
    found = opened.settings.gateway
    return Answering(
        asking=asking,
        acceptance=acceptance(opened, admits, SOURCE, found.reply_partition),
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
        places=Places(found.max_waiting),
    )
