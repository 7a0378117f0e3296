"""What a backup, a thief or a broker's disk keeps of a request, and who can read it."""

import re
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from demo.launch import Access
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.store import PostgresKeyStore
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.postgres.pool import as_tenant, open_pool
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import InvalidMessage
from pipeline.ports.keys import KeyRef
from pipeline.sealing import DataKey, Purpose, key_id_of, open_sealed
from schemas.ids import RequestId, TenantId
from schemas.topics import TOPICS

_BASE64: Final = re.compile(rb"U0xDMQ[A-Za-z0-9+/_-]+=*")
"""How every sealed text begins inside JSON, in either alphabet of RFC 4648."""
_ROWS: Final = """
select finished::text from sluice.request where id = $1 and finished is not null
union all
select translate(encode(result, 'base64'), E'\\n', '')
  from sluice.provider_call where request_id = $1 and result is not null
"""
_READ_MS: Final = 2000


async def copied(access: Access, request: str) -> Sequence[bytes]:
    """Every sealed text of a request, as Kafka and the database hold it now."""
    held = [*await _records(access, request), *await _rows(access, request)]
    texts = [each[0] for raw in held for each in _BASE64.finditer(raw)]
    found = {
        b64decode(each, altchars=b"-_" if {*b"-_"} & {*each} else None)
        for each in texts
    }
    return sorted(found)


async def _records(access: Access, request: str) -> Sequence[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=access.kafka)
    await consumer.start()
    try:
        consumer.assign(
            [TopicPartition(t.name, n) for t in TOPICS for n in range(t.partitions)]
        )
        await consumer.seek_to_beginning()
        found = []
        while batch := await consumer.getmany(timeout_ms=_READ_MS):
            found += [r for records in batch.values() for r in records]
        return [r.value for r in found if r.value and r.key == request.encode()]
    finally:
        await consumer.stop()


async def _rows(access: Access, request: str) -> Sequence[bytes]:
    url = access.urls["sluice_worker"]
    async with (
        await open_pool(url, size=1) as pool,
        as_tenant(pool, TenantId(access.tenant_id)) as connection,
    ):
        return [row[0].encode() for row in await connection.fetch(_ROWS, UUID(request))]


async def readable(
    access: Access, keys: Path, request: str, copies: Collection[bytes]
) -> Sequence[bytes]:
    """What of the copies opens for whoever also holds the keystore, as it is now."""
    refs = {
        each: KeyRef(TenantId(access.tenant_id), RequestId(request), key_id_of(each))
        for each in copies
    }
    async with _keystore(access, keys) as keystore:
        held = await keystore.fetch(list(set(refs.values())))
    return [
        text
        for sealed, ref in refs.items()
        if isinstance(key := held[ref], DataKey)
        and (text := _opened(key, sealed)) is not None
    ]


def _opened(key: DataKey, sealed: bytes) -> bytes | None:
    for purpose in Purpose:
        try:
            return open_sealed(key, purpose, sealed)
        except InvalidMessage:
            continue
    return None


@asynccontextmanager
async def _keystore(access: Access, keys: Path) -> AsyncIterator[PostgresKeyStore]:
    clock, entropy = SystemClock(), SystemEntropy()
    folder = KeyFolder(
        directory=keys / "tenants",
        root=keys / "root" / "root.key",
        entropy=entropy,
        clock=clock,
    )
    url = access.urls["sluice_keystore_app"]
    async with await open_pool(url, size=1) as pool:
        kms = FileKms(folder=folder, entropy=entropy)
        loader = KekLoader(pool, kms, KekCache(clock))
        yield PostgresKeyStore(pool=pool, keks=loader, entropy=entropy)
