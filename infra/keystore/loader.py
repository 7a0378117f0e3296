"""Tenants' keys, from memory or unwrapped by their provider."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import asyncpg

from infra.keystore.batches import tenant_uuid
from infra.keystore.errors import waiting
from infra.keystore.keks import Kek, KekCache
from pipeline.errors import KeyDestroyed
from pipeline.ports.kms import KekRef, Kms, Wrapped
from schemas.ids import TenantId

KEK_AAD = b"sluice/kek/1"
"""What a tenant's key is bound to at the provider, beside tenant and version."""

Slot = tuple[TenantId, int | None]
"""A tenant and a version of its key; None: the present one."""


@dataclass(frozen=True, slots=True)
class KekLoader:
    """One query for all that is not remembered, however many tenants."""

    pool: asyncpg.Pool
    kms: Kms
    cache: KekCache

    async def present(self, tenants: Iterable[TenantId]) -> Mapping[TenantId, Kek]:
        """What wraps new data keys; a tenant without a key is left out."""
        known = {tenant: self.cache.present(tenant) for tenant in tenants}
        loaded = await self._load(
            [(name, None) for name, kek in known.items() if not kek]
        )
        found = {name: kek for name, kek in known.items() if kek}
        return found | {kek.tenant_id: kek for kek in loaded}

    async def versions(
        self, wanted: Iterable[tuple[TenantId, int, int]]
    ) -> Mapping[tuple[TenantId, int], Kek]:
        """Versions, each from an epoch or later; what was destroyed is left out."""
        known = {
            (tenant, version): self.cache.version(tenant, version, epoch)
            for tenant, version, epoch in wanted
        }
        loaded = await self._load([slot for slot, kek in known.items() if not kek])
        found = {slot: kek for slot, kek in known.items() if kek}
        return found | {(kek.tenant_id, kek.version): kek for kek in loaded}

    async def _load(self, slots: list[Slot]) -> list[Kek]:
        if not slots:
            return []
        with waiting():
            rows = await self.pool.fetch(
                "select * from keystore.kek_load($1, $2)",
                [tenant_uuid(tenant) for tenant, _ in slots],
                [version for _, version in slots],
            )
        keks = await asyncio.gather(*(self._unwrap(row) for row in rows))
        return [kek for kek in keks if kek]

    async def _unwrap(self, row: asyncpg.Record) -> Kek | None:
        ref = KekRef(TenantId(str(row["tenant_id"])), row["version"])
        try:
            key = await self.kms.unwrap(Wrapped(ref, row["wrapped"]), KEK_AAD)
        except KeyDestroyed:
            return None
        kek = Kek(ref.tenant_id, ref.version, row["epoch"], row["present"], key)
        self.cache.keep(kek)
        return kek
