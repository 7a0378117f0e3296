"""Erased means unreadable in every copy: files, log, dump, segments from before.

The copies are taken first; whoever holds them also reads the live keystore. What opens
before the erasure (the control) does not open after it, and everything else still does.
"""

import re
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.retention import RetentionConsumer
from demo.stack import Stack
from infra.memory.inbox import MemoryInboxKeys
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.pool import as_tenant, open_pool
from infra.postgres.retention import PostgresPurges
from infra.signer.receipts import receipt_key, stated
from infra.system import SystemClock
from pipeline.contents import Contents
from pipeline.erasure import order
from pipeline.errors import InvalidMessage
from pipeline.keystore import KeyId
from pipeline.ports.keys import Destroyed, KeyRef, NewKey
from pipeline.receipts import sign
from pipeline.sealing import OVERHEAD, DataKey, Purpose, key_id_of, open_sealed
from producers.replay import Replay
from schemas.ids import EventId, RequestId, TenantId
from schemas.retention import ErasureOrdered
from tests.support import keystore as ks
from tests.support import ledger as main
from tests.support.installation import insert_tenant

pytestmark = pytest.mark.integration

CONTENTS = Contents(ks.ENTROPY)
CANARY = b"canary 4f0c91: do not read this aloud"
ANNA = b"a" * 32
SEALED_BYTES = OVERHEAD + 32 + len(CANARY)
RAW = re.compile(rb"SLC1\x01")
HEX = re.compile(rb"534c433101[0-9a-f]{%d}" % (2 * SEALED_BYTES - 10))
BASE64 = re.compile(rb"U0xDMQ[A-Za-z0-9+/=]{%d}" % (-(-SEALED_BYTES // 3) * 4 - 6))

REQUEST = """
insert into sluice.request
  (id, terms, fingerprint, accepted_at, deadline, finished_at, finished_by, finished)
values ($1, '{}', sha256(''), now(), now(), now(), $1, $2)
"""
CALL = """
insert into sluice.provider_call (request_id, lease_until, result)
values ($1, now(), $2)
"""
HEAPS = """
select pg_read_binary_file(pg_relation_filepath(name::regclass))
  from unnest(array['sluice.request', 'sluice.provider_call']) name
"""
WAL = "select pg_read_binary_file('pg_wal/' || name) from pg_ls_waldir()"


@dataclass(frozen=True, slots=True)
class World:
    """One tenant with content in tables and in a topic."""

    stack: Stack
    keys: ks.Keys
    pool: asyncpg.Pool
    admin: asyncpg.Connection
    producer: AIOKafkaProducer
    topic: str
    tenant: TenantId
    requests: dict[KeyId, RequestId] = field(default_factory=dict)

    async def request(self, subject: bytes | None = None) -> RequestId:
        """A request that left its content everywhere."""
        request = RequestId(ks.ENTROPY.uuid7())
        key = CONTENTS.new_key(self.tenant, request, ks.MONTH)
        assert [True] == await self.keys.store.create([NewKey(key, subject)])
        self.requests[key.key_id] = request
        body = CONTENTS.seal(key, Purpose.REQUEST, CANARY)
        result = CONTENTS.seal(key, Purpose.PROVIDER_RESULT, CANARY)
        answer = CONTENTS.seal(key, Purpose.COMPLETION, CANARY)
        ended = b'{"answer": ' + answer.model_dump_json().encode() + b"}"
        async with as_tenant(self.pool, self.tenant) as connection:
            await connection.execute(REQUEST, UUID(request), ended)
            await connection.execute(CALL, UUID(request), result.sealed)
        await self.producer.send_and_wait(self.topic, body.sealed)
        return request

    async def copies(self, to: Path) -> dict[str, bytes]:
        """The tables' files, Postgres's log, a dump, and Kafka's segments."""
        await self.admin.execute("checkpoint")
        dump = to / "dump"
        with dump.open("wb") as file:
            for name in ("request", "provider_call"):
                await self.admin.copy_from_table(
                    name, schema_name="sluice", output=file
                )
        if self.stack.kafka.data is None:
            pytest.skip("needs Kafka as a local process: its segments are read")
        segments = [
            path.read_bytes()
            for path in self.stack.kafka.data.glob(f"{self.topic}-*/*.log")
        ]
        return {
            "files": b"".join(row[0] for row in await self.admin.fetch(HEAPS)),
            "log": b"".join(row[0] for row in await self.admin.fetch(WAL)),
            "dump": dump.read_bytes(),
            "segments": b"".join(segments),
        }

    async def readable(self, copy: bytes) -> set[RequestId]:
        """Whose content a holder of a copy reads who also asks the live keystore."""
        ours = {each for each in found(copy) if key_id_of(each) in self.requests}
        refs = {sealed: self._ref(sealed) for sealed in ours}
        keys = await self.keys.store.fetch(list(refs.values()))
        return {
            ref.request_id for sealed, ref in refs.items() if opens(keys[ref], sealed)
        }

    def _ref(self, sealed: bytes) -> KeyRef:
        key_id = key_id_of(sealed)
        return KeyRef(self.tenant, self.requests[key_id], key_id)


def found(copy: bytes) -> Iterator[bytes]:
    """Every sealed record in a copy: raw, in hex, in base64."""
    for match in RAW.finditer(copy):
        yield copy[match.start() : match.start() + SEALED_BYTES]
    for match in HEX.finditer(copy):
        yield bytes.fromhex(match[0].decode())
    for match in BASE64.finditer(copy):
        yield b64decode(match[0])


def opens(key: DataKey | Destroyed, sealed: bytes) -> bool:
    return isinstance(key, DataKey) and any(
        opens_for(key, sealed, purpose) for purpose in Purpose
    )


def opens_for(key: DataKey, sealed: bytes, purpose: Purpose) -> bool:
    try:
        return open_sealed(key, purpose, sealed).endswith(CANARY)
    except InvalidMessage:
        return False


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Iterator[tuple[main.Database, ks.Database]]:
    with (
        main.database(stack.postgres_url) as content,
        ks.database(stack.postgres_url) as keystore,
    ):
        yield content, keystore


@pytest.fixture
async def world(
    stack: Stack, databases: tuple[main.Database, ks.Database], tmp_path: Path
) -> AsyncIterator[World]:
    content, keystore = databases
    tenant = ks.new_tenant()
    topic = f"erasure.{tenant}"
    async with (
        ks.opened(keystore, ks.kms(tmp_path)) as keys,
        kafka(stack, topic) as producer,
    ):
        pool = await open_pool(content.worker, size=2)
        admin = await asyncpg.connect(content.admin)
        await keys.partitions.prepare([ks.MONTH])
        await keys.keeper.enrol(tenant)
        await insert_tenant(content.admin, tenant)
        yield World(stack, keys, pool, admin, producer, topic, tenant)
        await admin.close()
        await pool.close()


@asynccontextmanager
async def kafka(stack: Stack, topic: str) -> AsyncIterator[AIOKafkaProducer]:
    """A topic of one's own, and a way into it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def consumer(world: World, tmp_path: Path) -> RetentionConsumer:
    key = receipt_key(tmp_path / "receipts" / "key.json")
    return RetentionConsumer(
        keeper=world.keys.keeper,
        keys=world.keys.store,
        purges=PostgresPurges(world.pool),
        inbox=MemoryInboxKeys(),
        deliveries=PostgresDeliveries(pool=world.pool),
        contents=CONTENTS,
        sign=lambda stated: sign(stated, key),
        clock=SystemClock(),
    )


async def test_a_person_who_was_erased_is_read_in_no_copy_from_before(
    world: World, tmp_path: Path
) -> None:
    annas = {await world.request(ANNA) for _ in range(4)}
    others = {await world.request() for _ in range(4)}
    copies = await world.copies(tmp_path)
    control = {name: await world.readable(copy) for name, copy in copies.items()}
    ordered = ErasureOrdered(actor="user:anna", scope="subject", ref=ANNA.hex())
    job = EventId(ks.ENTROPY.uuid7())

    await consumer(world, tmp_path).handle(
        order(world.tenant, ordered, job, "/sluice/cli", SystemClock().now())
    )

    for name in ("files", "dump", "segments"):
        assert annas | others == control[name], name
        assert others == await world.readable(copies[name]), name
    assert not annas & await world.readable(copies["log"])
    assert not any(CANARY in copy for copy in copies.values())
    assert 1 == len(await PostgresPurges(world.pool).receipts(world.tenant))


async def test_a_keystore_restored_from_before_an_erasure_forgets_again(
    world: World, databases: tuple[main.Database, ks.Database], tmp_path: Path
) -> None:
    """The receipts say what is gone; they lie in the other database."""
    _, keystore = databases
    gone, stays = await world.request(), await world.request()
    copies = await world.copies(tmp_path)
    backup = await asyncpg.connect(keystore.admin)
    await backup.execute("create temp table dek as table keystore.dek")
    worker = consumer(world, tmp_path)
    ordered = ErasureOrdered(actor="user:anna", scope="request", ref=gone)
    job = EventId(ks.ENTROPY.uuid7())
    await worker.handle(
        order(world.tenant, ordered, job, "/sluice/cli", SystemClock().now())
    )
    await backup.execute(
        "truncate keystore.dek, keystore.destroyed;"
        " insert into keystore.dek select * from pg_temp.dek"
    )
    await backup.close()
    restored = await world.readable(copies["segments"])

    async def tenants() -> list[TenantId]:
        return [world.tenant]

    await Replay(
        keeper=worker.keeper,
        purges=worker.purges,
        stated=partial(stated, tmp_path / "receipts" / "key.json"),
        tenants=tenants,
        clock=SystemClock(),
    ).round()

    assert {gone, stays} == restored, "the control: the backup brought it back"
    assert {stays} == await world.readable(copies["segments"])


async def test_a_tenant_that_ended_is_read_in_no_copy_nor_from_a_keystore_backup(
    world: World, databases: tuple[main.Database, ks.Database], tmp_path: Path
) -> None:
    """The provider's key is gone, so the rows of a restored keystore open nothing."""
    _, keystore = databases
    requests = {await world.request() for _ in range(3)}
    copies = await world.copies(tmp_path)
    backup = await asyncpg.connect(keystore.admin)
    tables = ("tenant_keys", "kek", "dek")
    for name in tables:
        await backup.execute(f"create temp table {name} as table keystore.{name}")
    control = await world.readable(copies["segments"])

    await world.keys.keeper.terminate(world.tenant)
    ended = await world.readable(copies["segments"])
    for name in tables:
        await backup.execute(
            f"delete from keystore.{name}; "  # noqa: S608 - constants above
            f"insert into keystore.{name} select * from pg_temp.{name}"
        )
    await backup.close()

    async with ks.opened(keystore, ks.kms(tmp_path)) as restarted:
        restored = replace(world, keys=restarted)
        after = await restored.readable(copies["segments"])

    assert requests == control
    assert set() == ended
    assert set() == after
