"""Time stamps that others made (RFC 3161), good and bad."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.x509 import Certificate, load_der_x509_certificate
from rfc3161_client import decode_timestamp_response

from pipeline.anchors.timestamps import parse_certificates, verify_timestamp
from pipeline.errors import InvalidMessage
from tests.support.shared import shared

pytestmark = pytest.mark.shared

HELLO = b"hello"
"""What the responses of ``test_tsa`` and ``sigstage`` are over."""


def fixtures(name: str) -> Path:
    return shared("vectors", "rfc3161", "test", "fixtures", name)


def chain(folder: str) -> Sequence[Certificate]:
    raw = (fixtures(folder) / "ts_chain.pem").read_bytes()
    # One of the files is DER, whatever its name says.
    der = not raw.startswith(b"-")
    return [load_der_x509_certificate(raw)] if der else parse_certificates(raw)


def verified(folder: str, response: str, message: bytes, judge: str = "") -> datetime:
    raw = (fixtures(folder) / response).read_bytes()
    return verify_timestamp(raw, message, chain(judge or folder))


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_each_digest_holds(digest: str) -> None:
    at = verified("sigstage", f"response-{digest}.tsr", HELLO)

    assert UTC == at.tzinfo


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_another_message_is_refused(digest: str) -> None:
    with pytest.raises(InvalidMessage):
        verified("sigstage", f"response-{digest}.tsr", b"hellp")


def test_a_wrong_signature_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        verified("sigstage", "response-invalid-signature.tsr", HELLO)


def test_another_authority_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        verified("sigstage", "response-sha256.tsr", HELLO, judge="identrust")


def test_a_response_without_its_certificate_is_judged_by_ours() -> None:
    assert 2025 == verified("sigstage", "response-no-embedded-cert.tsr", HELLO).year


def test_a_certificate_that_ended_since_then_still_vouches() -> None:
    payload = (fixtures("sigstore.mock") / "payload").read_bytes()

    assert 2023 == verified("sigstore.mock", "response-expired.tsr", payload).year


def test_a_response_of_another_authority_of_the_same_name_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        verified("test_tsa", "other_response.tsr", HELLO)


def test_certificates_that_were_put_in_vouch_for_nothing() -> None:
    """Its signature is true, so its own authority's chain holds it; no other does."""
    name = "response-injected-certs.tsr"

    assert 2024 == verified("test_tsa", name, HELLO).year
    with pytest.raises(InvalidMessage):
        verified("test_tsa", name, HELLO, judge="sigstage")


def test_the_nonce_of_the_request_is_compared() -> None:
    raw = (fixtures("test_tsa") / "response.tsr").read_bytes()
    nonce = decode_timestamp_response(raw).tst_info.nonce

    assert 2024 == verify_timestamp(raw, HELLO, chain("test_tsa"), nonce).year
    with pytest.raises(InvalidMessage):
        verify_timestamp(raw, HELLO, chain("test_tsa"), nonce + 1)


@pytest.mark.parametrize("name", ["test_tsa/response.tsr", "identrust/issue-104.tsr"])
def test_a_response_that_was_cut_is_refused(name: str) -> None:
    folder, _, file = name.partition("/")
    raw = (fixtures(folder) / file).read_bytes()

    for end in (0, 1, len(raw) // 2, len(raw) - 1):
        with pytest.raises(InvalidMessage):
            verify_timestamp(raw[:end], HELLO, chain(folder))
    assert UTC == verify_timestamp(raw, HELLO, chain(folder)).tzinfo
