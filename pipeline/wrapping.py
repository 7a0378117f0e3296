r"""Keys under keys: how a data key lies in the keystore.

Random nonces allow 2^32 uses of one AES-GCM key (SP 800-38D section 8.3), and a tenant
may make 2^29.5 data keys in 90 days; so each is wrapped under a key of its own:

    key = HKDF-SHA-256(KEK, salt = key id, info = "sluice/wrap/1\n" and tenant, 32)
    aad = each of tenant, key id, KEK version (u32): u16 big-endian length, the bytes
    wrapped = nonce (12), then AES-256-GCM(key, nonce, DEK, aad) (48)

A tenant's few long-lived secrets lie under its key too, each bound to its row:

    key = HKDF-SHA-256(KEK, no salt, info = "sluice/secret/1\n" and purpose, 32)
    aad = each of tenant, purpose, row, KEK version (u32): u16 big-endian length, bytes
    sealed = KEK version (4), nonce (12), AES-256-GCM(key, nonce, secret, aad)
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import IntegrityError
from pipeline.keystore import KeyId, key_id_bytes
from pipeline.sealing import NONCE_BYTES, DataKey, framed
from schemas.ids import TenantId

_LABEL: Final = b"sluice/wrap/1\n"
_SECRET_OVERHEAD: Final = 32  # version 4, nonce 12, tag 16
_SECRET_LABEL: Final = b"sluice/secret/1\n"


class SecretPurpose(StrEnum):
    """What a tenant's long-lived secret is for."""

    SUBJECT_KEY = "subject_key"
    WEBHOOK_URL = "webhook_url"
    WEBHOOK_SECRET = "webhook_secret"  # noqa: S105 - its name, not a secret


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret belongs; sealed for one place, it opens in no other.

    Attributes:
        row: the id of the row that keeps the sealed bytes.
    """

    tenant_id: TenantId
    purpose: SecretPurpose
    row: str


def wrap(kek: bytes, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """``key`` under ``kek``, bound to ``aad``: nonce, ciphertext, tag.

    Law: ``unwrap(kek, wrap(kek, key, nonce, aad), aad) == key``.
    """
    return nonce + AESGCM(kek).encrypt(nonce, key, aad)


def unwrap(kek: bytes, wrapped: bytes, aad: bytes) -> bytes:
    """The key.

    Raises:
        IntegrityError: it was not wrapped by ``kek`` for this use, or was bent.
    """
    try:
        return AESGCM(kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise IntegrityError("expected a key wrapped here, for this use") from None


def wrap_dek(key: DataKey, kek: bytes, version: int, nonce: bytes) -> bytes:
    """The data key under version ``version`` of its tenant's key: 60 bytes."""
    wrapping = _wrapping_key(kek, key.tenant_id, key.key_id)
    return wrap(wrapping, key.dek, nonce, _aad(key.tenant_id, key.key_id, version))


def unwrap_dek(
    wrapped: bytes, kek: bytes, version: int, tenant: TenantId, key_id: KeyId
) -> bytes:
    """The 32 bytes of a data key.

    Raises:
        IntegrityError: they were wrapped by, or for, something else.
    """
    wrapping = _wrapping_key(kek, tenant, key_id)
    return unwrap(wrapping, wrapped, _aad(tenant, key_id, version))


def seal_secret(
    kek: bytes, version: int, ref: SecretRef, plain: bytes, nonce: bytes
) -> bytes:
    """A secret under version ``version`` of its tenant's key."""
    key = _secret_key(kek, ref)
    return version.to_bytes(4, "big") + wrap(key, plain, nonce, _bound(ref, version))


def secret_version(sealed: bytes) -> int:
    """Which version of the tenant's key a sealed secret says it needs.

    Raises:
        IntegrityError: this is no sealed secret.
    """
    version = int.from_bytes(sealed[:4], "big")
    if len(sealed) < _SECRET_OVERHEAD or not 0 < version < 1 << 31:
        raise IntegrityError("expected a sealed secret")
    return version


def open_secret(kek: bytes, ref: SecretRef, sealed: bytes) -> bytes:
    """The secret.

    Raises:
        IntegrityError: it was sealed by another key or for another row, or was bent.
    """
    version = secret_version(sealed)
    return unwrap(_secret_key(kek, ref), sealed[4:], _bound(ref, version))


def _wrapping_key(kek: bytes, tenant: TenantId, key_id: KeyId) -> bytes:
    salt = key_id_bytes(key_id)
    return HKDF(SHA256(), 32, salt, _LABEL + tenant.encode()).derive(kek)


def _aad(tenant: TenantId, key_id: KeyId, version: int) -> bytes:
    return framed(tenant.encode(), key_id_bytes(key_id), version.to_bytes(4, "big"))


def _secret_key(kek: bytes, ref: SecretRef) -> bytes:
    info = _SECRET_LABEL + ref.purpose.encode()
    return HKDF(SHA256(), 32, None, info).derive(kek)


def _bound(ref: SecretRef, version: int) -> bytes:
    texts = (ref.tenant_id, ref.purpose, ref.row)
    return framed(*(text.encode() for text in texts), version.to_bytes(4, "big"))
