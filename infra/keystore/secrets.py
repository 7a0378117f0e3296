"""Tenants' long-lived secrets, sealed under their keys; and people's pseudonyms."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hmac import digest

import asyncpg
from typing_extensions import override

from infra.keystore.batches import tenant_uuid
from infra.keystore.errors import waiting
from infra.keystore.keks import MAX_AGE_S, MAX_KEKS, Kek
from infra.keystore.loader import KekLoader
from pipeline.errors import KeyDestroyed
from pipeline.ports.keys import Secrets, Subjects
from pipeline.ports.system import Clock, Entropy
from pipeline.sealing import KEY_BYTES, NONCE_BYTES
from pipeline.wrapping import (
    SecretPurpose,
    SecretRef,
    open_secret,
    seal_secret,
    secret_version,
)
from schemas.ids import TenantId

LOAD = "select keystore.subject_key_load($1)"
KEEP = "select keystore.subject_key_keep($1, $2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KekSecrets(Secrets):
    """Seals in memory, under the key that the loader gives."""

    keks: KekLoader
    entropy: Entropy

    @override
    async def seal(self, ref: SecretRef, plain: bytes) -> bytes:
        kek = (await self.keks.present([ref.tenant_id])).get(ref.tenant_id)
        nonce = self.entropy.bytes(NONCE_BYTES)
        found = _there(kek)
        return seal_secret(found.key, found.version, ref, plain, nonce)

    @override
    async def open(self, ref: SecretRef, sealed: bytes) -> bytes:
        slot = ref.tenant_id, secret_version(sealed)
        kek = (await self.keks.versions([(*slot, 0)])).get(slot)
        return open_secret(_there(kek).key, ref, sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSubjects(Subjects):
    """A key per tenant, made at its first use, remembered for minutes."""

    pool: asyncpg.Pool
    secrets: Secrets
    entropy: Entropy
    clock: Clock
    _known: OrderedDict[TenantId, tuple[bytes, float]] = field(
        default_factory=OrderedDict
    )

    @override
    async def pseudonym(self, tenant: TenantId, person: str) -> bytes:
        key, until = self._known.get(tenant, (b"", 0.0))
        if self.clock.monotonic() >= until:
            key = await self._key(tenant)
            self._remember(tenant, key)
        return digest(key, person.encode(), "sha256")

    async def _key(self, tenant: TenantId) -> bytes:
        ref = SecretRef(tenant, SecretPurpose.SUBJECT_KEY, tenant)
        with waiting():
            sealed = await self.pool.fetchval(LOAD, tenant_uuid(tenant))
        if sealed is None:
            fresh = await self.secrets.seal(ref, self.entropy.bytes(KEY_BYTES))
            with waiting():
                sealed = await self.pool.fetchval(KEEP, tenant_uuid(tenant), fresh)
        return await self.secrets.open(ref, sealed)

    def _remember(self, tenant: TenantId, key: bytes) -> None:
        self._known[tenant] = key, self.clock.monotonic() + MAX_AGE_S
        self._known.move_to_end(tenant)
        while len(self._known) > MAX_KEKS:
            self._known.popitem(last=False)


def _there(kek: Kek | None) -> Kek:
    if kek is None:
        raise KeyDestroyed("the tenant has no key")
    return kek
