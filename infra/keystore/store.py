"""Data keys in Postgres: wrapped here, one round trip a batch over all its tenants.

The functions of the migrations walk the tenants and set what row-level security reads;
nothing here names a table.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import asyncpg
from typing_extensions import override

from infra.keystore.batches import batch, id_bytes, request_uuid, tenant_uuid
from infra.keystore.errors import waiting
from infra.keystore.keks import Kek
from infra.keystore.loader import KekLoader
from pipeline.errors import RetryableError
from pipeline.keystore import KeyId
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore, NewKey
from pipeline.ports.system import Entropy
from pipeline.sealing import NONCE_BYTES, DataKey
from pipeline.wrapping import unwrap_dek, wrap_dek
from schemas.ids import TenantId

CREATE = "select * from keystore.dek_create($1, $2, $3, $4, $5, $6, $7, $8)"
FETCH = "select * from keystore.dek_fetch($1, $2, $3)"
FORGET = "select keystore.dek_forget($1, $2, $3)"

Deks = dict[tuple[TenantId, KeyId], bytes]


class Verdict(StrEnum):
    """What became of a new key; ``stale``: its tenant's key is another by now."""

    KEPT = "kept"
    STALE = "stale"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresKeyStore(KeyStore):
    """The keystore, as the gateway and the workers use it."""

    pool: asyncpg.Pool
    keks: KekLoader
    entropy: Entropy

    @override
    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        verdicts = await self._create(keys)
        stale = [new for new in keys if verdicts[new.key.key_id] is Verdict.STALE]
        if stale:
            self.keks.cache.drop_present({new.key.tenant_id for new in stale})
            verdicts |= await self._create(stale)
        if Verdict.STALE in verdicts.values():
            raise RetryableError("a tenant's key changed twice in a moment")
        return [verdicts[new.key.key_id] is Verdict.KEPT for new in keys]

    @override
    async def fetch(
        self, wanted: Sequence[KeyRef]
    ) -> Mapping[KeyRef, DataKey | Destroyed]:
        asked = batch(wanted)
        with waiting():
            rows = await self.pool.fetch(FETCH, asked.tenants, asked.counts, asked.ids)
        deks = await self._unwrap(rows)
        return {ref: _answer(ref, deks) for ref in wanted}

    @override
    async def forget(self, keys: Sequence[KeyRef]) -> int:
        gone = batch(keys)
        with waiting():
            count: int = await self.pool.fetchval(
                FORGET, gone.tenants, gone.counts, gone.ids
            )
        return count

    async def _create(self, keys: Sequence[NewKey]) -> dict[KeyId, Verdict]:
        keks = await self.keks.present({new.key.tenant_id for new in keys})
        verdicts = {
            new.key.key_id: Verdict.KEPT if new.key.tenant_id in keks else Verdict.GONE
            for new in keys
        }
        ours = [new for new in keys if new.key.tenant_id in keks]
        for refused, verdict in await self._insert(ours, keks) if ours else ():
            verdicts[KeyId(refused.hex())] = verdict
        return verdicts

    async def _insert(
        self, keys: Sequence[NewKey], keks: Mapping[TenantId, Kek]
    ) -> Sequence[tuple[bytes, Verdict]]:
        """Insert; what was refused, and why. Everything is sorted by tenant."""
        ordered = sorted(keys, key=lambda new: new.key.tenant_id)
        counts = Counter(new.key.tenant_id for new in ordered)
        used = [keks[tenant] for tenant in counts]
        given = (
            [tenant_uuid(kek.tenant_id) for kek in used],
            list(counts.values()),
            [kek.epoch for kek in used],
            [kek.version for kek in used],
            [id_bytes(new.key.key_id) for new in ordered],
            [request_uuid(new.key.request_id) for new in ordered],
            [new.subject for new in ordered],
            [self._wrap(new.key, keks[new.key.tenant_id]) for new in ordered],
        )
        with waiting():
            try:
                rows = await self.pool.fetch(CREATE, *given)
            except asyncpg.SerializationError:  # one of them was destroyed meanwhile
                ids = [id_bytes(new.key.key_id) for new in ordered]
                return [(each, Verdict.STALE) for each in ids]
        return [(row["refused"], Verdict(row["verdict"])) for row in rows]

    def _wrap(self, key: DataKey, kek: Kek) -> bytes:
        return wrap_dek(key, kek.key, kek.version, self.entropy.bytes(NONCE_BYTES))

    async def _unwrap(self, rows: Sequence[asyncpg.Record]) -> Deks:
        """What is in the rows; without what only a destroyed key would unwrap."""
        keks = await self.keks.versions({_needs(row) for row in rows})
        deks: Deks = {}
        for row in rows:
            tenant, version, _ = _needs(row)
            key_id = KeyId(row["key_id"].hex())
            kek = keks.get((tenant, version))
            if kek:
                deks[tenant, key_id] = unwrap_dek(
                    row["wrapped"], kek.key, version, tenant, key_id
                )
        return deks


def _needs(row: asyncpg.Record) -> tuple[TenantId, int, int]:
    return TenantId(str(row["tenant_id"])), row["kek_version"], row["epoch"]


def _answer(ref: KeyRef, deks: Deks) -> DataKey | Destroyed:
    dek = deks.get((ref.tenant_id, ref.key_id))
    if dek is None:
        return Destroyed()
    return DataKey(ref.key_id, ref.tenant_id, ref.request_id, dek)
