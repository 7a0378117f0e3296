"""Sealed records: the vector, the round trip, every way of moving or bending one."""

import hmac
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidMessage
from pipeline.keystore import KeyId
from pipeline.sealing import (
    OVERHEAD,
    DataKey,
    Purpose,
    commit,
    fingerprint,
    key_id_of,
    open_sealed,
    seal,
)
from schemas.ids import RequestId, TenantId

KEY = DataKey(
    KeyId("512b03000102030405060708090a0b0c"),
    TenantId("t_01"),
    RequestId("018f3c1a-7c00-7000-8000-000000000001"),
    bytes(range(32)),
)
SALT = bytes(range(16))
NONCE = bytes(range(12))
HELLO = bytes.fromhex(
    "534c433101512b03000102030405060708090a0b0c000102030405060708090a0b0c0d0e0f"
    "809f2b6b6cf7236207d157ad07b0b02e335bed75ed90352c9a55e0299f54bab6"
    "000102030405060708090a0b92a990836dc46a7abede114ea5123d8f56bc4c4e3f"
)

deks = st.binary(min_size=32, max_size=32)
key_ids = st.binary(min_size=16, max_size=16).map(lambda raw: KeyId(raw.hex()))
requests = st.uuids().map(lambda each: RequestId(str(each)))
tenants = st.text(max_size=60).map(TenantId)
keys = st.builds(DataKey, key_ids, tenants, requests, deks)
purposes = st.sampled_from(Purpose)
salts = st.binary(min_size=16, max_size=16)
nonces = st.binary(min_size=12, max_size=12)


def hello() -> bytes:
    return seal(KEY, Purpose.PROMPT, b"hello", salt=SALT, nonce=NONCE)


def test_the_vector_is_sealed_to_its_exact_bytes() -> None:
    assert HELLO == hello()


def test_the_vector_opens() -> None:
    assert b"hello" == open_sealed(KEY, Purpose.PROMPT, HELLO)


def test_a_request_id_is_its_bytes_however_it_is_written() -> None:
    bare = replace(KEY, request_id=RequestId(KEY.request_id.replace("-", "")))

    assert b"hello" == open_sealed(bare, Purpose.PROMPT, HELLO)


@given(keys, purposes, st.binary(max_size=4096), salts, nonces)
def test_what_is_sealed_opens_again(
    key: DataKey, purpose: Purpose, plaintext: bytes, salt: bytes, nonce: bytes
) -> None:
    sealed = seal(key, purpose, plaintext, salt=salt, nonce=nonce)

    assert plaintext == open_sealed(key, purpose, sealed)


@given(keys, purposes, st.binary(max_size=99))
def test_the_overhead_is_constant_and_the_key_is_named(
    key: DataKey, purpose: Purpose, plaintext: bytes
) -> None:
    sealed = seal(key, purpose, plaintext, salt=SALT, nonce=NONCE)

    assert OVERHEAD + len(plaintext) == len(sealed)
    assert key.key_id == key_id_of(sealed)


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, tenant_id=TenantId("t_02")),
        replace(KEY, request_id=RequestId("018f3c1a-7c00-7000-8000-000000000002")),
        replace(KEY, key_id=KeyId("512b03000102030405060708090a0b0d")),
        replace(KEY, dek=bytes(32)),
    ],
    ids=["tenant", "request", "key id", "key"],
)
def test_a_record_does_not_open_elsewhere(other: DataKey) -> None:
    with pytest.raises(InvalidMessage):
        open_sealed(other, Purpose.PROMPT, HELLO)


@pytest.mark.parametrize(
    "purpose", [each for each in Purpose if each is not Purpose.PROMPT]
)
def test_a_record_does_not_open_for_another_purpose(purpose: Purpose) -> None:
    with pytest.raises(InvalidMessage):
        open_sealed(KEY, purpose, HELLO)


@pytest.mark.parametrize("place", range(len(HELLO)))
def test_a_bent_record_does_not_open(place: int) -> None:
    for bit in range(8):
        bent = bytearray(HELLO)
        bent[place] ^= 1 << bit

        with pytest.raises(InvalidMessage):
            open_sealed(KEY, Purpose.PROMPT, bytes(bent))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(HELLO[:37].__add__))
def test_what_is_no_record_is_an_invalid_message(junk: bytes) -> None:
    with pytest.raises(InvalidMessage):
        open_sealed(KEY, Purpose.PROMPT, junk)


@pytest.mark.parametrize("length", range(len(HELLO)))
def test_a_record_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(InvalidMessage):
        open_sealed(KEY, Purpose.PROMPT, HELLO[:length])


def test_a_longer_record_does_not_open() -> None:
    with pytest.raises(InvalidMessage):
        open_sealed(KEY, Purpose.PROMPT, HELLO + b"\0")


@pytest.mark.parametrize(("salt", "nonce"), [(SALT[1:], NONCE), (SALT, NONCE[1:])])
def test_short_randomness_is_refused(salt: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        seal(KEY, Purpose.PROMPT, b"", salt=salt, nonce=nonce)


@pytest.mark.parametrize("cut", [2, -2], ids=["too short", "too long"])
def test_a_request_id_of_another_length_is_refused(cut: int) -> None:
    text = KEY.request_id[:-cut] if cut > 0 else KEY.request_id + "00"
    other = replace(KEY, request_id=RequestId(text))

    with pytest.raises(ValueError, match="16 bytes"):
        seal(other, Purpose.REQUEST, b"", salt=SALT, nonce=NONCE)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        replace(KEY, dek=b"short")


def test_a_key_is_not_shown() -> None:
    key = replace(KEY, dek=b"secret-secret-secret-secret-oh!!")

    assert "secret" not in repr(key)


def test_the_commitment_is_the_ledgers() -> None:
    salt = bytes(32)
    expected = sha256(b"sluice/content/v1\n" + salt + b"hello").hexdigest()

    assert expected == commit(salt, b"hello")


def test_a_fingerprint_knows_the_body_and_the_key() -> None:
    """The vector was made with an HKDF and an HMAC of the standard library."""
    prk = hmac.digest(bytes(32), KEY.dek, "sha256")
    derived = hmac.digest(prk, b"sluice/fingerprint/1\x01", "sha256")

    assert hmac.digest(derived, b"body", "sha256") == fingerprint(KEY, b"body")
    assert fingerprint(KEY, b"body") != fingerprint(KEY, b"other")
    assert fingerprint(KEY, b"body") != fingerprint(
        replace(KEY, dek=bytes(32)), b"body"
    )


def test_an_error_does_not_hold_content() -> None:
    with pytest.raises(InvalidMessage) as error:
        open_sealed(KEY, Purpose.PARTS, HELLO)

    assert "hello" not in str(error.value)
    assert KEY.key_id not in str(error.value)
