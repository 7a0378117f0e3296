"""Deletion receipts: what they state, and that others can check them."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import ECKey
from pydantic import ValidationError

from consumers.retention import PART
from pipeline import receipts
from pipeline.inbox import key_at
from pipeline.keystore import KeyId
from pipeline.receipts import (
    CLOCKS_DIFFER,
    KAFKA_BOUND,
    Destruction,
    exceptions,
    key_set,
    probed,
    receipt,
    sign,
)
from schemas.events import timestamp
from schemas.ids import EventId, TenantId
from schemas.requests import Arrival
from schemas.retention import ErasureOrdered, Forgotten, Receipt, Target

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = ECKey.generate_key("P-256")
ROWS = Target(
    store="postgres", object="request", method="delete", deleted=2, remaining=0
)
DONE = Destruction(
    job=EventId("018f3c1a-7c00-5000-8000-000000000001"),
    tenant=TenantId("018f3c1a-7c00-7000-8000-000000000002"),
    scope=Forgotten(kind="subject", ref="ab" * 32),
    requested_at=NOON - timedelta(minutes=1),
    as_of=NOON,
    completed_at=NOON + timedelta(seconds=1),
    keys=[KeyId("512b03" + "02" * 13), KeyId("512b03" + "01" * 13)],
    rows=[ROWS],
    exceptions=[],
    probe=probed(b"ciphertext"),
    record=EventId("018f3c1a-7c00-5000-8000-000000000003"),
)


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(token: str, keys: dict[str, list[dict[str, str]]]) -> dict[str, object]:
    """RFC 7515 by hand: no JOSE library at all."""
    head, payload, signature = token.split(".")
    kid = json.loads(decoded(head))["kid"]
    (jwk,) = [each for each in keys["keys"] if each["kid"] == kid]
    x, y = (int.from_bytes(decoded(jwk[name]), "big") for name in "xy")
    raw = decoded(signature)
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    public = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    public.verify(
        encode_dss_signature(r, s), f"{head}.{payload}".encode(), ECDSA(SHA256())
    )
    found: dict[str, object] = json.loads(decoded(payload))
    return found


def test_a_receipt_states_what_was_destroyed_and_the_bounds_of_what_remains() -> None:
    stated = receipt(DONE)

    assert ("512b03" + "01" * 13, "512b03" + "02" * 13) == stated.keys
    assert [2, 0, 2] == [each.deleted for each in stated.targets]
    assert "2026-11-25T18:06:01.000000Z" == stated.targets[1].bound_until
    assert "2026-11-29T12:00:01.000000Z" == stated.keystore_backup_horizon
    assert "2026-11-30T12:00:01.000000Z" == stated.keystore_residue_until
    assert 600 == stated.key_cache_max_staleness_s
    probe = stated.verification.decrypt_probe
    assert probe is not None
    assert sha256(b"ciphertext").hexdigest() == probe.ciphertext_sha256


def test_an_unknown_person_is_stated_as_nothing_deleted() -> None:
    stated = receipt(replace(DONE, keys=[], rows=[], probe=None))

    assert () == stated.keys
    assert {0} == {each.deleted for each in stated.targets}
    assert stated.verification.decrypt_probe is None


def test_there_is_no_receipt_while_something_remains() -> None:
    remaining = ROWS.model_copy(update={"remaining": 1})

    with pytest.raises(ValidationError, match="left nothing readable"):
        receipt(replace(DONE, rows=[remaining]))


def test_a_receipt_is_checked_without_our_code() -> None:
    token = sign(receipt(DONE), KEY)

    found = verified(token, key_set([ECKey.generate_key("P-256"), KEY]))

    assert receipt(DONE) == Receipt.model_validate_json(json.dumps(found))
    assert {"alg": "ES256", "typ": "deletion-receipt+jws", "kid": KEY.thumbprint()} == (
        json.loads(decoded(token.split(".")[0]))
    )


def test_a_flipped_byte_anywhere_is_noticed() -> None:
    token = sign(receipt(DONE), KEY)
    keys = key_set([KEY])
    head, payload, signature = (decoded(part) for part in token.split("."))
    bent = []
    for place in range(len(payload)):
        other = bytearray(payload)
        other[place] ^= 1
        bent.append((head, bytes(other), signature))
    bent += [(head, payload, signature[:-1] + bytes([signature[-1] ^ 1]))]

    for parts in bent:
        with pytest.raises(InvalidSignature):
            verified(".".join(map(encoded, parts)), keys)


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")


def test_the_payload_is_canonical_and_says_nothing_twice() -> None:
    payload = decoded(sign(receipt(DONE), KEY).split(".")[1])

    assert (
        json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")).encode()
        == payload
    )


def test_the_published_keys_are_public() -> None:
    (published,) = key_set([KEY])["keys"]

    assert {"kty", "crv", "x", "y", "kid", "use", "alg"} == set(published)


@pytest.mark.parametrize(
    ("scope", "ref"),
    [
        ("request", "ab" * 32),
        ("subject", DONE.job),
        ("class", DONE.job),
        ("request", "30d:2026-11-22"),
    ],
)
def test_an_order_names_what_its_scope_is_about(scope: str, ref: str) -> None:
    with pytest.raises(ValidationError):
        ErasureOrdered.model_validate(
            {"actor": "user:anna", "scope": scope, "ref": ref}
        )


def test_what_a_receipt_states_is_taken_from_our_key_alone() -> None:
    stated, other = receipt(DONE), ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "JWT", "kid": KEY.thumbprint()}
    strange = jws.serialize_compact(header, b"{}", KEY, algorithms=["ES256"])
    ours = sign(stated, KEY)
    head, _, signature = ours.split(".")
    bent = f"{head}.e30.{signature}"

    assert stated == receipts.verified(ours, key_set([other, KEY]))
    for token in (sign(stated, other), strange, bent, head, "", f"{head}..", "a.b.c"):
        assert receipts.verified(token, key_set([KEY])) is None
    assert receipts.verified(ours, key_set([])) is None


def test_a_receipt_of_as_many_keys_as_a_job_may_have_is_taken() -> None:
    keys = [KeyId(f"512b03{number:026x}") for number in range(PART)]
    stated = receipt(replace(DONE, keys=keys))

    assert stated == receipts.verified(sign(stated, KEY), key_set([KEY]))


@pytest.mark.parametrize("crit", [5, [5], [[]]])
def test_a_receipt_with_a_head_of_other_types_is_none(crit: object) -> None:
    """One that raised would keep a round from the tenants behind it."""
    head = json.dumps({"alg": "ES256", "crit": crit}).encode()
    _, payload, signature = sign(receipt(DONE), KEY).split(".")
    token = f"{urlsafe_b64encode(head).decode().rstrip('=')}.{payload}.{signature}"

    assert receipts.verified(token, key_set([KEY])) is None


def test_another_jose_library_checks_a_receipt() -> None:
    jwt = pytest.importorskip("jwt", reason="PyJWT is not installed")
    token = sign(receipt(DONE), KEY)
    (public,) = jwt.PyJWKSet.from_dict(key_set([KEY])).keys

    found = jwt.api_jws.PyJWS().decode(token, public.key, algorithms=["ES256"])

    assert receipt(DONE) == Receipt.model_validate_json(found)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.api_jws.PyJWS().decode(token[:-4] + "AAAA", public.key, ["ES256"])


HOUR = timedelta(hours=1)


def test_a_plain_body_in_the_inbox_is_an_exception_until_the_topic_forgets_it() -> None:
    (found,) = exceptions({Arrival.PLAIN: NOON}, [], HOUR, NOON + HOUR)
    later = exceptions({Arrival.PLAIN: NOON}, [], HOUR, NOON + KAFKA_BOUND)

    assert ("kafka", "sluice.requests.inbox.v1") == (found.store, found.object)
    assert ("inbox_plain", None) == (found.basis, found.due)
    assert timestamp(NOON + KAFKA_BOUND) == found.until
    assert [] == later


def test_a_letter_is_an_exception_while_a_key_is_there_that_may_open_it() -> None:
    of_then, of_later = key_at(NOON, HOUR), key_at(NOON + 2 * HOUR, HOUR)
    arrivals = {Arrival.LETTER: NOON + timedelta(minutes=5)}

    (found,) = exceptions(arrivals, [of_then, of_later], HOUR, NOON + HOUR)
    gone = exceptions(arrivals, [of_later], HOUR, NOON + HOUR)

    assert "inbox_key" == found.basis
    assert timestamp(NOON + 2 * HOUR) == found.due
    assert timestamp(NOON + timedelta(minutes=5) + KAFKA_BOUND) == found.until
    assert [] == gone


@pytest.mark.parametrize(("early", "opens"), [(0, True), (1, False)])
def test_a_producer_s_clock_may_be_a_little_ahead(early: int, *, opens: bool) -> None:
    at = key_at(NOON, HOUR).begins - CLOCKS_DIFFER - timedelta(seconds=early)
    found = exceptions({Arrival.LETTER: at}, [key_at(NOON, HOUR)], HOUR, NOON)

    assert opens == bool(found)


def test_exceptions_are_in_the_signed_receipt() -> None:
    found = exceptions({Arrival.PLAIN: NOON}, [], HOUR, NOON)
    token = sign(receipt(replace(DONE, exceptions=found)), KEY)

    (stated,) = json.loads(decoded(token.split(".")[1]))["exceptions"]

    assert stated == {
        "basis": "inbox_plain",
        "object": "sluice.requests.inbox.v1",
        "store": "kafka",
        "until": timestamp(NOON + KAFKA_BOUND),
    }
