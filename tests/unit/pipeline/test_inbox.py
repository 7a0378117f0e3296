"""Keys of the inbox: when each is used, how it is named, what it is made of."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe

from pipeline.inbox import (
    ENCRYPTION,
    SEALING,
    InboxKey,
    key_at,
    key_named,
    private_key,
)

HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENTS = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - given its zone by the strategy
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
PERIODS = st.integers(2, 86_400).map(lambda seconds: timedelta(seconds=seconds))


@given(MOMENTS, PERIODS)
def test_a_key_is_published_for_its_period_and_taken_for_one_more(
    moment: datetime, period: timedelta
) -> None:
    key = key_at(moment, period)

    assert key.begins <= moment < key.begins + period
    assert period * 2 == key.last_use(period) - key.begins
    assert key != key_at(moment + period, period)


@given(MOMENTS, PERIODS)
def test_a_key_is_found_by_its_name(moment: datetime, period: timedelta) -> None:
    key = key_at(moment, period)

    assert key == key_named(key.kid)


@pytest.mark.parametrize(
    "kid",
    [
        None,
        7,
        "",
        "inbox-",
        "inbox--1",
        "inbox-1.gone",
        "inbox-../../root",
        "inbox-" + "9" * 13,
        "inbox-\u0661\u0662",
        "tokens-1795348800",
    ],
)
def test_what_is_no_name_of_ours_names_no_key(kid: object) -> None:
    assert key_named(kid) is None


def test_a_seed_is_one_key_and_another_seed_another() -> None:
    name = key_at(NOON, HOUR)

    first, again = private_key(name, bytes(32)), private_key(name, bytes(32))
    other = private_key(name, bytes(31) + b"\x01")

    assert first.as_dict(private=True) == again.as_dict(private=True)
    assert first["d"] != other["d"]
    assert ("enc", SEALING, "inbox-1795348800") == (
        first["use"],
        first["alg"],
        first["kid"],
    )


def test_the_key_of_zeros_is_the_one_that_was_computed_by_hand() -> None:
    """HKDF-SHA-256 by hand (RFC 5869), then modulo the order less one, plus one."""
    found = private_key(InboxKey(0), bytes(32)).private_key

    assert isinstance(found, EllipticCurvePrivateKey)
    assert by_hand(bytes(32)) == found.private_numbers().private_value


def by_hand(seed: bytes) -> int:
    import hmac  # noqa: PLC0415 - beside its one use

    extracted = hmac.digest(bytes(32), seed, "sha256")
    first = hmac.digest(extracted, b"sluice/inbox/1\x01", "sha256")
    second = hmac.digest(extracted, first + b"sluice/inbox/1\x02", "sha256")
    order = 2**256 - 2**224 + 2**192 - 89188191075325690597107910205041859247
    return int.from_bytes((first + second)[:48], "big") % (order - 1) + 1


def test_what_is_sealed_to_the_public_half_opens() -> None:
    key = private_key(key_at(NOON, HOUR), bytes(32))
    public = type(key).import_key(key.as_dict(private=False))
    header = {"alg": SEALING, "enc": ENCRYPTION}

    letter = jwe.encrypt_compact(header, b"hello", public)

    assert b"hello" == jwe.decrypt_compact(letter, key).plaintext
