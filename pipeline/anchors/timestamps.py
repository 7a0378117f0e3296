"""Time stamps (RFC 3161): that a note existed at a moment, says an authority."""

from collections.abc import Sequence
from datetime import datetime

from cryptography.x509 import (
    Certificate,
    ExtendedKeyUsage,
    ExtensionNotFound,
    load_pem_x509_certificates,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import (
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from pipeline.errors import InvalidMessage

WHERE = "time stamp"


def parse_certificates(pem: bytes) -> Sequence[Certificate]:
    """The certificates of a PEM file, in its order.

    Raises:
        InvalidMessage: there is none.
    """
    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise InvalidMessage("expected certificates as PEM", WHERE) from None


def parse_response(response: bytes) -> TimeStampResponse:
    """A ``TimeStampResp`` (section 2.4.2) that grants a token.

    Raises:
        InvalidMessage: it is none, or the authority refused.
    """
    try:
        found = decode_timestamp_response(response)
        # A refusal holds no token: reading the token tells.
        found.tst_info.gen_time  # noqa: B018
    except ValueError:
        raise InvalidMessage("expected a granted response", WHERE) from None
    return found


def verify_timestamp(
    response: bytes,
    message: bytes,
    trusted: Sequence[Certificate],
    nonce: int | None = None,
) -> datetime:
    """When the authority saw ``message``.

    Args:
        response: as the authority sent it, DER.
        message: the very bytes that were stamped.
        trusted: the authority's certificates, roots first; not those that come with
            the response. They need to be valid at the stamped time, not now.
        nonce: what the request asked with; None: it is not known any more.

    Raises:
        InvalidMessage: it is no stamp of these bytes, or nobody trusted made it.
    """
    found = parse_response(response)
    builder = VerifierBuilder(
        tsa_certificate=_signer(found, trusted), roots=list(trusted), nonce=nonce
    )
    try:
        builder.build().verify_message(found, message)
    except (VerificationError, ValueError):
        raise InvalidMessage("expected a true stamp of these bytes", WHERE) from None
    return found.tst_info.gen_time


def _signer(
    found: TimeStampResponse, trusted: Sequence[Certificate]
) -> Certificate | None:
    """Whose certificate to judge by, where the response brings none of its own."""
    if found.signed_data.certificates:
        return None
    return next((each for each in trusted if _stamps(each)), None)


def _stamps(certificate: Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage)
    except ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.TIME_STAMPING in usage.value
