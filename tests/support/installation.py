"""Both databases of an installation, migrated, with every login."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from infra.postgres.roles import KEYSTORE, LOGINS, MAIN, dsn, provision
from infra.system import SystemEntropy
from pipeline.ports.requests import NewRequest
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId, event_id
from schemas.requests import (
    Dialect,
    Outcome,
    PolicyRef,
    RequestFinished,
    Retention,
    Route,
    Terms,
)
from tests.support.audit import NOON

ENTROPY = SystemEntropy()
TENANT = "insert into sluice.tenant (tenant_id, name) values ($1, 'test')"
PASSWORD = "made-up-for-tests"  # roles belong to the cluster: all databases share it


@dataclass(frozen=True, slots=True)
class Installation:
    """DSNs: the superuser's on the main database, and one by login.

    Attributes:
        keystore: the keystore's database.
    """

    superuser: str
    urls: Mapping[str, str]
    keystore: str = KEYSTORE


@contextmanager
def installed(superuser: str) -> Iterator[Installation]:
    """A new pair of databases, dropped at the end."""
    prefix = f"t{secrets.token_hex(5)}_"
    passwords = {login: PASSWORD for each in LOGINS.values() for login in each}
    with ThreadPoolExecutor(1) as threads:  # this thread's loop belongs to the tests
        urls = threads.submit(
            asyncio.run, provision(superuser, passwords, prefix=prefix)
        ).result()
        try:
            yield Installation(dsn(superuser, prefix + MAIN), urls, prefix + KEYSTORE)
        finally:
            threads.submit(asyncio.run, _drop(superuser, prefix)).result()


async def _drop(superuser: str, prefix: str) -> None:
    connection = await asyncpg.connect(superuser)
    for name in (MAIN, KEYSTORE):
        await connection.execute(f'drop database "{prefix}{name}" with (force)')
    await connection.close()


def new_tenant() -> TenantId:
    return TenantId(ENTROPY.uuid7())


async def known_tenant(installation: Installation) -> TenantId:
    """A new one, which is in the database."""
    tenant = new_tenant()
    await insert_tenant(installation.superuser, tenant)
    return tenant


async def insert_tenant(superuser: str, tenant: TenantId) -> None:
    """Its row alone, by the superuser's DSN: a service makes no tenant."""
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(TENANT, tenant)
    finally:
        await connection.close()


def new_request_id() -> RequestId:
    return RequestId(ENTROPY.uuid7())


def terms(**changed: object) -> Terms:
    """Terms of a request that is due a minute after noon."""
    made = Terms(
        actor=Actor("key:test"),
        environment="test",
        dialect=Dialect.OPENAI_CHAT,
        model="echo",
        route=Route(provider="stand_in", model="upstream"),
        policy=PolicyRef(id="default", version=1, sha256="0" * 64),
        guards_required=("injection",),
        retention=Retention(retention_class="1d", day="2026-11-22"),
        key_id="512b01" + "00" * 13,
        deadline=NOON + timedelta(minutes=1),
    )
    return made.model_copy(update=changed)


def admitted(
    tenant: TenantId, request: RequestId, fingerprint: bytes = bytes(32)
) -> NewRequest:
    return NewRequest(
        tenant_id=tenant,
        request_id=request,
        terms=terms(),
        fingerprint=fingerprint,
        accepted_at=NOON,
    )


def ended(
    tenant: TenantId,
    request: RequestId,
    *,
    cause: str = "cause",
    outcome: Outcome = Outcome.COMPLETED,
    known: Terms | None = None,
) -> Event[RequestFinished]:
    """An end of a request; ``cause`` tells ends apart."""
    data = RequestFinished(
        terms=known or terms(),
        outcome=outcome,
        reason=None if outcome is Outcome.COMPLETED else "upstream_error",
        decisions=(),
        guards_ran=("injection",),
    )
    attributes = Attributes(
        id=EventId(event_id(request, cause)),
        type=data.kind,
        source="/sluice/test",
        subject=request,
        tenant=tenant,
        time=NOON,
    )
    return Event(attributes, data)
