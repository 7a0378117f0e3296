"""Data keys under tenants' keys: the round trip, and keys that do not belong there."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import IntegrityError
from pipeline.keystore import KeyId
from pipeline.sealing import DataKey
from pipeline.wrapping import unwrap_dek, wrap_dek
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
