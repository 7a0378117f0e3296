"""Everything that a process of ours opens, and closes in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import asyncpg
from prometheus_client import CollectorRegistry

from infra.admissions import GroupedAdmissions
from infra.families import INCIDENTS
from infra.inbox import FileInboxKeys
from infra.kafka import topics
from infra.kafka.clients import KafkaClients, consuming
from infra.kafka.publisher import KafkaPublisher
from infra.kafka.security import secured
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.secrets import KekSecrets, PostgresSubjects
from infra.keystore.store import PostgresKeyStore
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.log import Log
from infra.metrics import Metrics
from infra.observability.observed import ObservedKeys
from infra.postgres.pool import open_pool, refuse_volatile
from infra.postgres.requests import PostgresRequests
from infra.postgres.roles import KEYS, KEYSTORE, MAIN, refuse_behind, refuse_unsafe
from infra.postgres.tenants import PostgresTenants
from infra.settings import Settings, proxies, variable
from infra.system import SystemClock, SystemEntropy
from infra.tokens import Tokens
from infra.webhooks.guard import names
from infra.webhooks.sender import HttpSender
from pipeline.acceptance import Acceptance
from pipeline.contents import Contents
from pipeline.egress import EgressRules, networks
from pipeline.errors import Misconfigured
from pipeline.ports.admissions import Admissions
from pipeline.ports.keys import KeyStore
from pipeline.work import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the composition roots wire from."""

    settings: Settings
    clock: SystemClock
    entropy: SystemEntropy
    log: Log
    metrics: Metrics
    pool: asyncpg.Pool
    keystore_pool: asyncpg.Pool
    kms: FileKms
    keks: KekLoader
    keystore: KeyStore
    tenants: PostgresTenants
    contents: Contents
    bench: Bench
    tokens: Tokens
    inbox: FileInboxKeys
    clients: KafkaClients
    publisher: KafkaPublisher

    def incidents(self, count: int) -> None:
        """Raise the alarm: the ledger has so many new incidents."""
        self.metrics.of(INCIDENTS).alone.inc(count)
        self.log.error("ledger_incident", incidents=count)


def egress_rules(settings: Settings) -> EgressRules:
    """Where webhooks may go.

    Raises:
        Misconfigured: a denied network is none, or the environment names a proxy, which
            would be passed by in silence.
    """
    found = settings.webhooks
    if not found.ignore_proxies and (named := proxies()):
        raise Misconfigured(
            f"webhooks go through no proxy, but {', '.join(named)} names one:"
            " unset it here, or set SLUICE_WEBHOOKS__IGNORE_PROXIES=true"
        )
    try:
        denied = networks(found.denied_networks)
    except ValueError:
        name = variable(("webhooks", "denied_networks"))
        raise Misconfigured(f"{name}: expected networks in CIDR form") from None
    return EgressRules(
        ports=found.ports,
        loopback=found.allow_loopback,
        denied=denied,
        denied_hosts=found.denied_hosts,
    )


def webhook_sender(settings: Settings, clock: SystemClock) -> HttpSender:
    """Sends webhooks; needs a running loop.

    Raises:
        Misconfigured: as :func:`egress_rules`.
    """
    rules, servers = egress_rules(settings), settings.webhooks.nameservers
    return HttpSender(rules, clock, resolver=names(servers))


@asynccontextmanager
async def open_resources(settings: Settings, name: str) -> AsyncIterator[Resources]:
    """Open all; refuse what is not as it must be.

    Raises:
        Misconfigured: a database's address is none, its login is refused or not bound
            by row-level security; or durability is wanted, and the database does not
            keep what it commits.
        Behind: a database lacks migrations.
        TopicsDiffer: topics are not as they are declared.
        RetryableError: Postgres or Kafka is away.
    """
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "url")
        await refuse_unsafe(pool)
        await refuse_behind(pool, MAIN)
        if settings.database.durable:
            await refuse_volatile(pool)
        keystore_pool = await _pool(stack, settings, "keystore_url")
        await refuse_unsafe(keystore_pool, KEYS)
        await refuse_behind(keystore_pool, KEYSTORE)
        kafka = settings.kafka
        clients = KafkaClients(
            kafka.bootstrap,
            consuming(kafka.session_timeout_s, kafka.max_poll_interval_s),
            secured(kafka),
        )
        await topics.check(
            kafka.bootstrap, replication=kafka.replication, security=clients.security
        )
        kms = file_kms(settings, clock, entropy)
        keks = KekLoader(keystore_pool, kms, KekCache(clock))
        metrics = Metrics(CollectorRegistry())
        keystore = ObservedKeys(
            PostgresKeyStore(pool=keystore_pool, keks=keks, entropy=entropy),
            metrics,
            clock,
        )
        tenants = PostgresTenants(pool, clock)
        yield Resources(
            settings=settings,
            clock=clock,
            entropy=entropy,
            log=Log(name),
            metrics=metrics,
            pool=pool,
            keystore_pool=keystore_pool,
            kms=kms,
            keks=keks,
            keystore=keystore,
            tenants=tenants,
            contents=Contents(entropy),
            bench=Bench(keystore=keystore, tenants=tenants),
            tokens=Tokens.load(
                settings.keys.own, issuer=settings.gateway.issuer, entropy=entropy
            ),
            inbox=inbox_keys(settings, clock, entropy),
            clients=clients,
            publisher=await stack.enter_async_context(KafkaPublisher(clients)),
        )


async def _pool(
    stack: AsyncExitStack, settings: Settings, name: Literal["url", "keystore_url"]
) -> asyncpg.Pool:
    database = settings.database
    url = database.url if name == "url" else database.keystore_url
    pool = await open_pool(
        url.get_secret_value(),
        size=database.pool_size,
        name=variable(("database", name)),
        statement_cache=database.statement_cache,
    )
    return await stack.enter_async_context(pool)


async def keeper_pool(stack: AsyncExitStack, settings: Settings) -> asyncpg.Pool:
    """The keystore with the keeper's login, who alone may destroy.

    Raises:
        Misconfigured: the process has no such login, or row-level security does not
            bind it.
    """
    url = settings.database.keystore_admin_url
    name = variable(("database", "keystore_admin_url"))
    if url is None:
        raise Misconfigured(f"{name}: expected the keeper's DSN")
    pool = await stack.enter_async_context(
        await open_pool(url.get_secret_value(), size=2, name=name)
    )
    await refuse_unsafe(pool, KEYS, keeper=True)
    return pool


def file_kms(settings: Settings, clock: SystemClock, entropy: SystemEntropy) -> FileKms:
    """The local-file provider of tenants' keys."""
    folder = KeyFolder(
        directory=settings.keys.directory,
        root=settings.keys.root,
        entropy=entropy,
        clock=clock,
    )
    return FileKms(folder=folder, entropy=entropy)


def inbox_keys(
    settings: Settings, clock: SystemClock, entropy: SystemEntropy
) -> FileInboxKeys:
    """The keys of letters."""
    return FileInboxKeys.at(
        settings.keys.own,
        settings.keys.root,
        period=timedelta(seconds=settings.keys.inbox_period_s),
        clock=clock,
        entropy=entropy,
    )


def admissions(opened: Resources) -> Admissions:
    """Key and row of every request of this process."""
    requests = PostgresRequests(opened.pool)
    return GroupedAdmissions(opened.keystore, requests, opened.clock)


def acceptance(
    opened: Resources, admits: Admissions, source: str, reply_partition: int | None
) -> Acceptance:
    """One way in; both ways are made of the same parts."""
    secrets = KekSecrets(keks=opened.keks, entropy=opened.entropy)
    return Acceptance(
        admissions=admits,
        requests=PostgresRequests(opened.pool),
        keystore=opened.keystore,
        subjects=PostgresSubjects(
            pool=opened.keystore_pool,
            secrets=secrets,
            entropy=opened.entropy,
            clock=opened.clock,
        ),
        contents=opened.contents,
        clock=opened.clock,
        source=source,
        reply_partition=reply_partition,
    )
