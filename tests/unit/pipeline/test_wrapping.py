"""Keys and secrets under tenants' keys: the round trip, and what does not belong."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import IntegrityError
from pipeline.keystore import KeyId
from pipeline.sealing import DataKey
from pipeline.wrapping import (
    SecretPurpose,
    SecretRef,
    open_secret,
    seal_secret,
    secret_version,
    unwrap_dek,
    wrap_dek,
)
from schemas.ids import RequestId, TenantId

KEK = bytes(range(32, 64))
NONCE = bytes(range(12))
KEY = DataKey(
    KeyId("512b03000102030405060708090a0b0c"),
    TenantId("t_01"),
    RequestId("018f3c1a-7c00-7000-8000-000000000001"),
    bytes(range(32)),
)
WRAPPED = wrap_dek(KEY, KEK, 1, NONCE)
REF = SecretRef(KEY.tenant_id, SecretPurpose.WEBHOOK_URL, "row-1")
SEALED = seal_secret(KEK, 1, REF, b"secret", NONCE)


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.integers(min_value=1, max_value=2**32 - 1),
    st.binary(min_size=12, max_size=12),
)
def test_what_is_wrapped_unwraps(
    dek: bytes, kek: bytes, version: int, nonce: bytes
) -> None:
    wrapped = wrap_dek(replace(KEY, dek=dek), kek, version, nonce)

    assert dek == unwrap_dek(wrapped, kek, version, KEY.tenant_id, KEY.key_id)
    assert 60 == len(wrapped)


@pytest.mark.parametrize(
    ("kek", "version", "tenant", "key_id"),
    [
        (bytes(32), 1, KEY.tenant_id, KEY.key_id),
        (KEK, 2, KEY.tenant_id, KEY.key_id),
        (KEK, 1, TenantId("t_02"), KEY.key_id),
        (KEK, 1, KEY.tenant_id, KeyId("512b03000102030405060708090a0b0d")),
    ],
    ids=["key", "version", "tenant", "key id"],
)
def test_a_wrapped_key_is_of_no_use_elsewhere(
    kek: bytes, version: int, tenant: TenantId, key_id: KeyId
) -> None:
    with pytest.raises(IntegrityError):
        unwrap_dek(WRAPPED, kek, version, tenant, key_id)


@pytest.mark.parametrize("place", range(60))
def test_a_bent_wrapped_key_does_not_unwrap(place: int) -> None:
    bent = bytearray(WRAPPED)
    bent[place] ^= 1

    with pytest.raises(IntegrityError):
        unwrap_dek(bytes(bent), KEK, 1, KEY.tenant_id, KEY.key_id)


@pytest.mark.parametrize("length", [0, 11, 12, 27, 59])
def test_a_wrapped_key_cut_short_does_not_unwrap(length: int) -> None:
    with pytest.raises(IntegrityError):
        unwrap_dek(WRAPPED[:length], KEK, 1, KEY.tenant_id, KEY.key_id)


def bound(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def test_a_wrapped_key_lies_as_the_format_says() -> None:
    """So what is stored opens in every later version too."""
    tenant, key_id = KEY.tenant_id.encode(), bytes.fromhex(KEY.key_id)
    key = HKDF(SHA256(), 32, key_id, b"sluice/wrap/1\n" + tenant).derive(KEK)
    aad = bound(tenant, key_id, b"\0\0\0\1")

    assert KEY.dek == AESGCM(key).decrypt(WRAPPED[:12], WRAPPED[12:], aad)


def test_a_sealed_secret_lies_as_the_format_says() -> None:
    purpose = b"webhook_url"
    key = HKDF(SHA256(), 32, None, b"sluice/secret/1\n" + purpose).derive(KEK)
    aad = bound(REF.tenant_id.encode(), purpose, b"row-1", b"\0\0\0\1")

    assert b"\0\0\0\1" == SEALED[:4]
    assert b"secret" == AESGCM(key).decrypt(SEALED[4:16], SEALED[16:], aad)


@given(st.binary(max_size=99), st.integers(min_value=1, max_value=2**31 - 1))
def test_what_is_sealed_opens(secret: bytes, version: int) -> None:
    sealed = seal_secret(KEK, version, REF, secret, NONCE)

    assert version == secret_version(sealed)
    assert secret == open_secret(KEK, REF, sealed)


@pytest.mark.parametrize(
    ("kek", "ref"),
    [
        (bytes(32), REF),
        (KEK, replace(REF, tenant_id=TenantId("t_02"))),
        (KEK, replace(REF, purpose=SecretPurpose.WEBHOOK_SECRET)),
        (KEK, replace(REF, row="row-2")),
    ],
    ids=["key", "tenant", "purpose", "row"],
)
def test_a_sealed_secret_is_of_no_use_elsewhere(kek: bytes, ref: SecretRef) -> None:
    with pytest.raises(IntegrityError):
        open_secret(kek, ref, SEALED)


@pytest.mark.parametrize("place", range(len(SEALED)))
def test_a_bent_secret_does_not_open(place: int) -> None:
    bent = bytearray(SEALED)
    bent[place] ^= 1

    with pytest.raises(IntegrityError):
        open_secret(KEK, REF, bytes(bent))


@pytest.mark.parametrize(
    "sealed",
    [b"", SEALED[:31], bytes(4) + SEALED[4:], b"\x80" + SEALED[1:]],
    ids=["nothing", "too short", "version 0", "no version"],
)
def test_what_is_no_sealed_secret_has_no_version(sealed: bytes) -> None:
    with pytest.raises(IntegrityError):
        secret_version(sealed)
