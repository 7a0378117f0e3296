"""Access tokens: what is signed by us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pipeline.ports.tenants import Environment
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token of ours says (RFC 9068). Whether it holds now is not said here.

    Attributes:
        client_id: the client that got it; its actor is ``client:<client_id>``.
        audience: ``aud``, one value.
        scope: ``scope``, split.
    """

    tenant_id: TenantId
    client_id: str
    environment: Environment
    audience: str
    scope: frozenset[str]
    issued_at: datetime
    expires_at: datetime


class TokenIssuer(Protocol):
    """Signs access tokens, and publishes the keys that check them."""

    def issue(self, claims: Claims) -> str:
        """A JWT, ``typ: at+jwt``, ES256; ``jti`` is made here."""
        ...

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Public JWKs, ``use: sig``."""
        ...


class TokenVerifier(Protocol):
    """Reads tokens of ours."""

    def verify(self, token: str) -> Claims | None:
        """What a token says; None unless signature, algorithm, issuer and type hold.

        Audience, expiry and revocation are judged by whoever asks
        (:func:`pipeline.admission.stands`): the inbox judges expiry at append time.
        """
        ...
