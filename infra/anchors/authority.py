"""A time-stamping authority over HTTP (RFC 3161, section 3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.x509 import Certificate
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
from typing_extensions import override

from infra.anchors.posting import post
from pipeline.anchors.timestamps import verify_timestamp
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.anchors import Stamper

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"


@dataclass(frozen=True, slots=True)
class Authority(Stamper):
    """One authority; it is sent the SHA-256 of what is stamped, and no more.

    Attributes:
        trusted: its certificates, as the operator was given them.
    """

    url: str
    trusted: Sequence[Certificate]

    @override
    async def stamp(self, message: bytes) -> bytes:
        builder = TimestampRequestBuilder(message, HashAlgorithm.SHA256)
        request = builder.build()
        answer = await post(self.url, request.as_bytes(), QUERY)
        if answer.kind != REPLY:
            raise IntegrityError("expected a time stamp", "anchors.timestamps")
        try:
            # What does not hold now will not hold for an auditor: it is not stored.
            verify_timestamp(answer.body, message, self.trusted, request.nonce)
        except InvalidMessage as error:
            raise IntegrityError(error.reason, "anchors.timestamps") from None
        return answer.body
