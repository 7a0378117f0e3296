"""The provider that guards tenants' keys."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from schemas.ids import TenantId


@dataclass(frozen=True, slots=True)
class KekRef:
    """One version of one tenant's key at the provider; never given twice."""

    tenant_id: TenantId
    version: int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key that only the provider can unwrap."""

    ref: KekRef
    ciphertext: bytes


class KeyState(StrEnum):
    """Where a provider's key is on its way."""

    ACTIVE = "active"
    SCHEDULED = "scheduled"
    DESTROYED = "destroyed"


class Reason(StrEnum):
    """Why a tenant's key is destroyed."""

    TERMINATION = "termination"
    ROTATION = "rotation"
    COMPROMISE = "compromise"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyEvidence:
    """What the provider says about a destroyed key.

    Attributes:
        state: ``scheduled`` where the provider can still take it back.
        effective_at: from then on nobody can.
        provider_ref: how the provider names the key.
    """

    ref: KekRef
    reason: Reason
    state: KeyState
    effective_at: datetime
    provider: str
    provider_ref: str


class Kms(Protocol):
    """The provider of tenants' keys: local files, or a service that guards them.

    Every method may raise ``RetryableError``: the provider is away, so wait. After a
    destroy every use of the key raises ``KeyDestroyed``, which no retry mends.
    """

    async def create(self, tenant: TenantId) -> KekRef:
        """The tenant's first key, version 1; the one that is there if there is one."""
        ...

    async def rotate(self, ref: KekRef) -> KekRef:
        """The version after ``ref``; the one that is there if there is one."""
        ...

    async def describe(self, ref: KekRef) -> KeyState:
        """How the key stands.

        Raises:
            IntegrityError: it never was, or it is lost.
        """
        ...

    async def wrap(self, ref: KekRef, key: bytes, aad: bytes) -> Wrapped:
        """Wrap 32 bytes, bound to ``aad``."""
        ...

    async def unwrap(self, wrapped: Wrapped, aad: bytes) -> bytes:
        """The 32 bytes.

        Raises:
            IntegrityError: not wrapped by this key with this ``aad``.
        """
        ...

    async def rewrap(self, wrapped: Wrapped, ref: KekRef, aad: bytes) -> Wrapped:
        """The same 32 bytes under ``ref``, another version of the tenant's key."""
        ...

    async def destroy(self, ref: KekRef, reason: Reason) -> DestroyEvidence:
        """Destroy the key; once destroyed, the first evidence again.

        Raises:
            IntegrityError: it never was, or it is lost.
        """
        ...
