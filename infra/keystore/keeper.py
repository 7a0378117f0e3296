"""Tenants' keys given and taken, and data keys destroyed by order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from typing_extensions import override

from infra.keystore.batches import id_bytes, request_uuid, tenant_uuid
from infra.keystore.errors import waiting
from infra.keystore.loader import KEK_AAD
from pipeline.errors import KeyDestroyed
from pipeline.keystore import KeyId
from pipeline.ports.keys import (
    KeyKeeper,
    KeyRef,
    OfRequest,
    OfSubject,
    Terminated,
)
from pipeline.ports.kms import KekRef, Kms, Reason
from pipeline.ports.system import Entropy
from pipeline.sealing import KEY_BYTES
from schemas.ids import RequestId, TenantId

VERSION = "select version from keystore.kek_load($1, $2)"
ADD = "select state from keystore.kek_add($1, $2, $3)"
OF = "select * from keystore.dek_of($1, $2, $3) order by key_id limit $4"
DESTROY = "select key_id from keystore.dek_destroy_again($1, $2) key_id"
CLOSE = "select version from keystore.tenant_close($1) version"
WIPE = "select keystore.tenant_wipe($1, $2)"

BATCH = 1_000
"""Rows that a transaction deletes at most, so that it holds no lock for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresKeyKeeper(KeyKeeper):
    """The keystore, as retention and the operator use it: a login of its own."""

    pool: asyncpg.Pool
    kms: Kms
    entropy: Entropy

    @override
    async def enrol(self, tenant: TenantId) -> None:
        await self._add(await self.kms.create(tenant))

    @override
    async def rotate(self, tenant: TenantId) -> int:
        with waiting():
            version = await self.pool.fetchval(VERSION, [tenant_uuid(tenant)], [None])
        if version is None:
            raise KeyDestroyed("the tenant has no key")
        ref = await self.kms.rotate(KekRef(tenant, version))
        await self._add(ref)
        return ref.version

    @override
    async def of(self, selector: OfRequest | OfSubject, most: int) -> Sequence[KeyRef]:
        with waiting():
            rows = await self.pool.fetch(OF, *_selected(selector), most)
        tenant = selector.tenant_id
        return [
            KeyRef(tenant, RequestId(str(row["request_id"])), _key_id(row))
            for row in rows
        ]

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        ids = sorted(id_bytes(key_id) for key_id in keys)
        with waiting():
            rows = await self.pool.fetch(DESTROY, tenant_uuid(tenant), ids)
        return [_key_id(row) for row in rows]

    @override
    async def terminate(self, tenant: TenantId) -> Terminated:
        with waiting():
            rows = await self.pool.fetch(CLOSE, tenant_uuid(tenant))
        refs = [KekRef(tenant, row["version"]) for row in rows]
        evidence = [await self.kms.destroy(ref, Reason.TERMINATION) for ref in refs]
        return Terminated(evidence=tuple(evidence), deleted=await self._wipe(tenant))

    async def _add(self, ref: KekRef) -> None:
        """Give the tenant a random key, wrapped by the provider's of this version."""
        kek = self.entropy.bytes(KEY_BYTES)
        wrapped = await self.kms.wrap(ref, kek, KEK_AAD)
        tenant = tenant_uuid(ref.tenant_id)
        with waiting():
            state = await self.pool.fetchval(
                ADD, tenant, ref.version, wrapped.ciphertext
            )
        if state != "active":
            raise KeyDestroyed("the tenant was terminated")

    async def _wipe(self, tenant: TenantId) -> int:
        total = 0
        deleted = BATCH
        while deleted == BATCH:
            with waiting():
                deleted = await self.pool.fetchval(WIPE, tenant_uuid(tenant), BATCH)
            total += deleted
        return total


def _selected(
    selector: OfRequest | OfSubject,
) -> tuple[UUID, UUID | None, bytes | None]:
    match selector:
        case OfRequest(tenant_id=tenant, request_id=request):
            return tenant_uuid(tenant), request_uuid(request), None
        case OfSubject(tenant_id=tenant, subject=subject):
            return tenant_uuid(tenant), None, subject


def _key_id(row: asyncpg.Record) -> KeyId:
    return KeyId(row["key_id"].hex())
