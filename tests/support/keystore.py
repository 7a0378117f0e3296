"""A keystore database of one's own, and keys to put into it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from secrets import token_bytes, token_hex

import asyncpg

from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.partitions import PostgresKeyPartitions
from infra.keystore.secrets import KekSecrets, PostgresSubjects
from infra.keystore.store import PostgresKeyStore
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.postgres.migrate import migrate
from infra.postgres.roles import dsn
from infra.system import SystemClock, SystemEntropy
from pipeline.keystore import KeyId, Partition, class_named, key_id
from pipeline.ports.keys import (
    KeyKeeper,
    KeyPartitions,
    KeyRef,
    KeyStore,
    NewKey,
    OfRequest,
    OfSubject,
    Secrets,
    Subjects,
)
from pipeline.sealing import DataKey
from schemas.ids import RequestId, TenantId
from tests.support.ledger import SECRET, execute

MIGRATIONS = Path(__file__).parents[2] / "infra" / "keystore" / "migrations"
ENTROPY = SystemEntropy()
TODAY = date(2026, 11, 22)
MONTH = Partition(class_named("30d"), TODAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The three ports of one keystore."""

    store: KeyStore
    keeper: KeyKeeper
    partitions: KeyPartitions
    secrets: Secrets
    subjects: Subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A keystore database and the two logins that Sluice has there."""

    admin: str
    app: str
    keeper: str


def new_tenant() -> TenantId:
    return TenantId(ENTROPY.uuid7())


def new_key(
    tenant: TenantId,
    partition: Partition = MONTH,
    request: RequestId | None = None,
    subject: bytes | None = None,
) -> NewKey:
    """A key of a new request."""
    made = DataKey(
        key_id(partition, token_bytes(13)),
        tenant,
        request or RequestId(ENTROPY.uuid7()),
        token_bytes(32),
    )
    return NewKey(made, subject)


def ref(new: NewKey) -> KeyRef:
    return KeyRef(new.key.tenant_id, new.key.request_id, new.key.key_id)


async def erase(
    keeper: KeyKeeper, selector: OfRequest | OfSubject
) -> Collection[KeyId]:
    """Destroy the keys that there are, as the retention consumer does."""
    keys = [ref.key_id for ref in await keeper.of(selector, 1_000)]
    return await keeper.destroy_keys(selector.tenant_id, keys)


def kms(base: Path) -> FileKms:
    folder = KeyFolder(
        directory=base / "keys",
        root=base / "root" / "root",
        entropy=ENTROPY,
        clock=SystemClock(),
    )
    return FileKms(folder=folder, entropy=ENTROPY)


@contextmanager
def database(superuser: str) -> Iterator[Database]:
    """A new database with all migrations and working logins; dropped at the end."""
    name = f"keystore_{token_hex(6)}"
    made = Database(
        admin=dsn(superuser, name),
        app=dsn(superuser, name, "sluice_keystore_app", SECRET),
        keeper=dsn(superuser, name, "sluice_keystore_keeper", SECRET),
    )
    asyncio.run(_make(superuser, made.admin, name))
    try:
        yield made
    finally:
        asyncio.run(_drop(superuser, name))


@asynccontextmanager
async def opened(
    made: Database, provider: FileKms, *, least: int = 1
) -> AsyncIterator[Keys]:
    """The adapters, as a process would open them; ``least`` connections at once."""
    async with (
        asyncpg.create_pool(made.app, min_size=least, max_size=4) as app,
        asyncpg.create_pool(made.keeper, min_size=least, max_size=4) as keeper,
    ):
        clock = SystemClock()
        loader = KekLoader(app, provider, KekCache(clock))
        secrets = KekSecrets(keks=loader, entropy=ENTROPY)
        yield Keys(
            store=PostgresKeyStore(pool=app, keks=loader, entropy=ENTROPY),
            keeper=PostgresKeyKeeper(pool=keeper, kms=provider, entropy=ENTROPY),
            partitions=PostgresKeyPartitions(keeper),
            secrets=secrets,
            subjects=PostgresSubjects(
                pool=app, secrets=secrets, entropy=ENTROPY, clock=clock
            ),
        )


async def _make(superuser: str, admin: str, name: str) -> None:
    await execute(superuser, f"create database {name}")
    await migrate(admin, MIGRATIONS)
    for login in ("app", "keeper"):
        await execute(admin, f"alter role sluice_keystore_{login} password '{SECRET}'")


async def _drop(superuser: str, name: str) -> None:
    await execute(superuser, f"drop database {name} with (force)")
