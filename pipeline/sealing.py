r"""Content under a key: the exact bytes of a sealed record.

    0 "SLC1" | 4 algorithm u8 = 1 | 5 key id (16) | 21 salt (16) | 37 commitment (32)
    | 69 nonce (12) | 81 ciphertext and tag (16)

    aad  = each of "sluice/seal/1", tenant, request id (16 bytes), purpose, key id:
           u16 big-endian length, then the bytes
    okm  = HKDF-SHA-256(ikm = DEK, salt, info = "sluice/seal/1\n" and aad, 64 bytes)
           key = okm[:32], commitment = okm[32:]
    open = compare the commitment first, then AES-256-GCM(key, nonce, aad)

GCM does not commit to its key; the commitment does (RFC 5869, SP 800-38D). The record
names no version of a tenant's key, so rotating that never touches data.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import InvalidMessage
from pipeline.keystore import KeyId, key_id_bytes
from schemas.ids import RequestId, TenantId

KEY_BYTES = 32
OVERHEAD = 97
"""Bytes that a sealed record has more than its plaintext."""
SALT_BYTES = 16
NONCE_BYTES = 12

_HEAD: Final = b"SLC1\x01"
_LABEL: Final = b"sluice/seal/1"
_FINGERPRINT: Final = b"sluice/fingerprint/1"
_COMMIT_LABEL: Final = b"sluice/content/v1\n"
_REQUEST_BYTES: Final = 16


class Purpose(StrEnum):
    """What sealed content is for; content sealed for one does not open for another."""

    REQUEST = "request"
    PROMPT = "prompt"
    PARTS = "parts"
    COMPLETION = "completion"
    REVERSIBLE = "reversible"
    FINDINGS = "findings"
    PROVIDER_RESULT = "provider_result"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key under which one request's content lies.

    Attributes:
        dek: 32 bytes; never shown.
    """

    key_id: KeyId
    tenant_id: TenantId
    request_id: RequestId
    dek: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.dek) != KEY_BYTES:
            raise ValueError("expected a data key of 32 bytes")


def seal(
    key: DataKey, purpose: Purpose, plaintext: bytes, *, salt: bytes, nonce: bytes
) -> bytes:
    """Seal ``plaintext``; ``salt`` (16 bytes) and ``nonce`` (12) are fresh each time.

    Law: :func:`open_sealed` with the same key, tenant, request and purpose gives it
    back, and with any other raises.

    Raises:
        ValueError: salt, nonce, key id or request id are not of their length.
    """
    if (len(salt), len(nonce)) != (SALT_BYTES, NONCE_BYTES):
        raise ValueError("expected 16 bytes of salt and 12 of nonce")
    aad = _aad(key, purpose)
    okm = _derive(key.dek, salt, aad)
    sealed = AESGCM(okm[:32]).encrypt(nonce, plaintext, aad)
    return b"".join((_HEAD, key_id_bytes(key.key_id), salt, okm[32:], nonce, sealed))


def open_sealed(key: DataKey, purpose: Purpose, sealed: bytes) -> bytes:
    """The plaintext of a record that was sealed for exactly this use.

    Raises:
        InvalidMessage: the record was bent, or moved here from another tenant,
            request, purpose or key.
    """
    if key_id_of(sealed) != key.key_id:
        raise InvalidMessage("expected a record under the key of its request", "sealed")
    aad = _aad(key, purpose)
    okm = _derive(key.dek, sealed[21:37], aad)
    if not compare_digest(okm[32:], sealed[37:69]):
        raise InvalidMessage("expected a record of this use of this key", "sealed")
    try:
        return AESGCM(okm[:32]).decrypt(sealed[69:81], sealed[81:], aad)
    except InvalidTag:
        raise InvalidMessage("expected an unbent record", "sealed") from None


def key_id_of(sealed: bytes) -> KeyId:
    """Which key a record says it needs: a claim, until it opens.

    Raises:
        InvalidMessage: this is no record of ours.
    """
    if len(sealed) < OVERHEAD or not sealed.startswith(_HEAD):
        raise InvalidMessage("expected a sealed record, SLC1 algorithm 1", "sealed")
    return KeyId(sealed[5:21].hex())


def commit(salt: bytes, plaintext: bytes) -> str:
    """The commitment to content that the ledger holds: 64 hex digits.

    ``salt`` is 32 random bytes, which lie sealed beside the plaintext: without it a
    guess at short content could be checked against the ledger for ever.
    """
    return sha256(_COMMIT_LABEL + salt + plaintext).hexdigest()


def fingerprint(key: DataKey, body: bytes) -> bytes:
    """32 bytes by which a true retry is known: of this body, under this key.

    HMAC-SHA-256 under HKDF-SHA-256(DEK, info = "sluice/fingerprint/1"): it says nothing
    of the body to whoever has no key, and nothing to anybody once the key is gone.
    """
    return digest(
        HKDF(SHA256(), KEY_BYTES, None, _FINGERPRINT).derive(key.dek), body, "sha256"
    )


def framed(*parts: bytes) -> bytes:
    """Each part after its length, u16 big-endian: parts never run together."""
    return b"".join([len(part).to_bytes(2, "big") + part for part in parts])


def _aad(key: DataKey, purpose: Purpose) -> bytes:
    request = bytes.fromhex(key.request_id.replace("-", ""))
    if len(request) != _REQUEST_BYTES:
        raise ValueError("expected a request id of 16 bytes")
    named = (key.tenant_id.encode(), request, purpose.encode())
    return framed(_LABEL, *named, key_id_bytes(key.key_id))


def _derive(dek: bytes, salt: bytes, aad: bytes) -> bytes:
    return HKDF(SHA256(), 64, salt, _LABEL + b"\n" + aad).derive(dek)
