"""Our access tokens, and the key that checks them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from typing_extensions import override

from infra.kms.disk import locked, read, write
from pipeline.errors import IntegrityError
from pipeline.ports.system import Entropy
from pipeline.ports.tokens import Claims, TokenIssuer, TokenVerifier
from schemas.ids import TenantId

SIGNING: Final = "ES256"
CURVE: Final = "P-256"
TYPE: Final = "at+jwt"


def _key(path: Path) -> ECKey:
    """The P-256 key in a file of mode 0600; made where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(path.name + ".lock"), alone=True):
        kept = read(path)
        if kept is None:
            made = ECKey.generate_key(CURVE)
            kept = json.dumps(made.as_dict(private=True)).encode()
            write(path, kept)
    named = jwk(kept, path)
    told = {"use": "sig", "alg": SIGNING, "kid": named.thumbprint()}
    return ECKey.import_key({**named.as_dict(private=True), **told})


def jwk(kept: bytes, path: Path) -> ECKey:
    """The P-256 key that was kept at ``path`` as a JWK.

    Raises:
        IntegrityError: it is none; nothing of it is told.
    """
    try:
        key = ECKey.import_key(json.loads(kept))
        if key.curve_name == CURVE and key.is_private:
            return key
    except (JoseError, KeyError, TypeError, ValueError):
        pass  # told below, without a text that may hold what was read
    raise IntegrityError(f"expected a private JWK of {CURVE}", path.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens(TokenIssuer, TokenVerifier):
    """One key that signs; kid = RFC 7638 thumbprint.

    Attributes:
        issuer: ``iss`` of what we sign, and the only one that we take.
    """

    issuer: str
    signing: ECKey
    entropy: Entropy

    @classmethod
    def load(cls, folder: Path, *, issuer: str, entropy: Entropy) -> Self:
        """The key from ``folder``. Blocks on the disk.

        Raises:
            IntegrityError: others than its owner may read a key, or it is none.
        """
        return cls(
            issuer=issuer,
            signing=_key(folder / "tokens.jwk"),
            entropy=entropy,
        )

    @override
    def issue(self, claims: Claims) -> str:
        payload = {
            "iss": self.issuer,
            "aud": claims.audience,
            "sub": claims.client_id,
            "client_id": claims.client_id,
            "tenant_id": claims.tenant_id,
            "env": claims.environment,
            "scope": " ".join(sorted(claims.scope)),
            "jti": self.entropy.uuid7(),
            "iat": int(claims.issued_at.timestamp()),
            "exp": int(claims.expires_at.timestamp()),
        }
        header = {"alg": SIGNING, "typ": TYPE, "kid": self.signing.kid}
        return jwt.encode(header, payload, self.signing, algorithms=[SIGNING])

    @override
    def published(self) -> Sequence[Mapping[str, Any]]:
        return [self.signing.as_dict(private=False)]

    @override
    def verify(self, token: str) -> Claims | None:
        try:
            found = jwt.decode(token, self.signing, algorithms=[SIGNING])
            if found.header.get("typ") != TYPE or found.claims["iss"] != self.issuer:
                return None
            return _claims(found.claims)
        except (JoseError, ValueError, KeyError, TypeError, OverflowError):
            return None


def _claims(found: Mapping[str, Any]) -> Claims:
    return Claims(
        tenant_id=TenantId(found["tenant_id"]),
        client_id=found["client_id"],
        environment=found["env"],
        audience=found["aud"],
        scope=frozenset(found["scope"].split()),
        issued_at=datetime.fromtimestamp(found["iat"], UTC),
        expires_at=datetime.fromtimestamp(found["exp"], UTC),
    )
