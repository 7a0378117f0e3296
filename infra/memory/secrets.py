"""Tenants' secrets and people's pseudonyms in memory."""

from collections import defaultdict
from dataclasses import dataclass, field
from hmac import digest

from typing_extensions import override

from infra.memory.keystore import MemoryKeys
from infra.system import SystemEntropy
from pipeline.errors import KeyDestroyed
from pipeline.ports.keys import Secrets, Subjects
from pipeline.sealing import NONCE_BYTES
from pipeline.wrapping import SecretRef, open_secret, seal_secret
from schemas.ids import TenantId

_ENTROPY = SystemEntropy()


def _key() -> bytes:
    return _ENTROPY.bytes(32)


@dataclass(frozen=True, slots=True)
class MemorySecrets(Secrets):
    """One key a tenant, whatever its version, while the tenant has keys."""

    keys: MemoryKeys
    _keks: defaultdict[TenantId, bytes] = field(
        default_factory=lambda: defaultdict(_key)
    )

    @override
    async def seal(self, ref: SecretRef, plain: bytes) -> bytes:
        kek = self._kek(ref.tenant_id)
        return seal_secret(kek, 1, ref, plain, _ENTROPY.bytes(NONCE_BYTES))

    @override
    async def open(self, ref: SecretRef, sealed: bytes) -> bytes:
        return open_secret(self._kek(ref.tenant_id), ref, sealed)

    def _kek(self, tenant: TenantId) -> bytes:
        if not self.keys.active(tenant):
            raise KeyDestroyed("the tenant has no key")
        return self._keks[tenant]


@dataclass(frozen=True, slots=True)
class MemorySubjects(Subjects):
    """One key a tenant, while the tenant has keys."""

    keys: MemoryKeys
    _subject_keys: defaultdict[TenantId, bytes] = field(
        default_factory=lambda: defaultdict(_key)
    )

    @override
    async def pseudonym(self, tenant: TenantId, person: str) -> bytes:
        if not self.keys.active(tenant):
            raise KeyDestroyed("the tenant has no key")
        return digest(self._subject_keys[tenant], person.encode(), "sha256")
