r"""Keys under keys: how a data key lies in the keystore.

Random nonces allow 2^32 uses of one AES-GCM key (SP 800-38D section 8.3), and a tenant
may make 2^29.5 data keys in 90 days; so each is wrapped under a key of its own:

    key = HKDF-SHA-256(KEK, salt = key id, info = "sluice/wrap/1\n" and tenant, 32)
    aad = each of tenant, key id, KEK version (u32): u16 big-endian length, the bytes
    wrapped = nonce (12), then AES-256-GCM(key, nonce, DEK, aad) (48)
"""

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


def _wrapping_key(kek: bytes, tenant: TenantId, key_id: KeyId) -> bytes:
    salt = key_id_bytes(key_id)
    return HKDF(SHA256(), 32, salt, _LABEL + tenant.encode()).derive(kek)


def _aad(tenant: TenantId, key_id: KeyId, version: int) -> bytes:
    return framed(tenant.encode(), key_id_bytes(key_id), version.to_bytes(4, "big"))
