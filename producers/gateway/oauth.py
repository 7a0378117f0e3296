"""``POST /oauth/token`` (RFC 6749 section 4.4) and the published keys (RFC 7517)."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.admission import API_AUDIENCE, INBOX_AUDIENCE
from pipeline.ports.inbox import Letters
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Credentials, Principal
from pipeline.ports.tokens import Claims, TokenIssuer
from producers.auth import Door
from producers.faults import RATE_LIMITED, UNSUPPORTED_MEDIA_TYPE, Fault
from producers.gateway.bodies import body
from producers.gateway.errors import response
from schemas.api.gateway import AccessToken, OAuthError

TOKEN_LIFE: Final = timedelta(hours=1)
HOUR_S: Final = 3600
MAX_FORM_BYTES: Final = 16 * 1024
AUDIENCES: Final = {"inbox": INBOX_AUDIENCE, "api": API_AUDIENCE}
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of RFC 6749 section 5.2, or of RFC 8707."""

    error: str
    description: str


_INVALID_CLIENT: Final = Refusal(
    "invalid_client", "The client is not known by this secret."
)
_TWO_WAYS: Final = Refusal("invalid_request", "Expected one way of authenticating.")
_NO_FORM: Final = Refusal(
    "invalid_request", "Expected a form in which no name comes twice."
)
_NO_GRANT: Final = Refusal("unsupported_grant_type", "Expected client_credentials.")
_NO_SCOPE: Final = Refusal("invalid_scope", "Expected the scope inbox or api.")
_NO_TARGET: Final = Refusal("invalid_target", "Expected sluice:inbox or sluice:api.")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants a token, and for what."""

    client_id: str
    secret: str = field(repr=False)
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Tokens for clients. What a token is for is one audience, chosen by scope.

    Attributes:
        letters: to which bodies for the inbox are sealed.
        keys_age_s: for so long a caller may keep our published keys.
        receipts: reads the JWK set that checks deletion receipts; blocks on the disk.
    """

    door: Door
    credentials: Credentials
    issuer: TokenIssuer
    letters: Letters
    keys_age_s: int
    receipts: Callable[[], Mapping[str, Any]]
    clock: Clock

    async def token(self, request: Request) -> Response:
        """An access token of one hour, and no refresh token."""
        form = await self._form(request)
        if isinstance(form, Fault):
            return response(request, form)
        asked = _asked(request, form)
        if isinstance(asked, Refusal):
            return _error(asked)
        principal = await self.credentials.client(asked.client_id, asked.secret)
        if principal is None:
            return self._wrong(request)
        return self._issued(principal, asked)

    async def _form(self, request: Request) -> Mapping[str, str] | Fault:
        raw = await body(request, MAX_FORM_BYTES, media_type=_FORM)
        if isinstance(raw, Fault):
            return {} if raw is UNSUPPORTED_MEDIA_TYPE else raw
        return _parsed(raw)

    def _wrong(self, request: Request) -> Response:
        fault = self.door.wrong(request)
        if fault is RATE_LIMITED:
            return response(request, fault)
        answer = _error(_INVALID_CLIENT, 401)
        answer.headers["www-authenticate"] = 'Basic realm="sluice"'
        return answer

    def _issued(self, principal: Principal, asked: Asked) -> Response:
        now = self.clock.now().replace(microsecond=0)
        claims = Claims(
            tenant_id=principal.tenant_id,
            client_id=asked.client_id,
            environment=principal.environment,
            audience=AUDIENCES[asked.scope],
            scope=frozenset({asked.scope}),
            issued_at=now,
            expires_at=now + TOKEN_LIFE,
        )
        token = AccessToken(
            access_token=self.issuer.issue(claims),
            expires_in=int(TOKEN_LIFE.total_seconds()),
            scope=asked.scope,
        )
        return Response(
            token.model_dump_json(),
            headers={"cache-control": "no-store", "pragma": "no-cache"},
            media_type="application/json",
        )

    async def keys(self, _: Request) -> Response:
        """The keys that check our tokens, and those to seal letters to us."""
        sealing = await run_in_threadpool(self.letters.published)
        keys = [*self.issuer.published(), sealing]
        return _key_set({"keys": keys}, max_age_s=self.keys_age_s)

    async def receipt_keys(self, _: Request) -> Response:
        """The keys that check deletion receipts."""
        return _key_set(await run_in_threadpool(self.receipts))


def _key_set(keys: Mapping[str, Any], *, max_age_s: int = HOUR_S) -> Response:
    return Response(
        orjson.dumps(keys),
        headers={
            "cache-control": f"public, max-age={max_age_s}",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        },
        media_type="application/jwk-set+json",
    )


def _parsed(raw: bytes) -> Mapping[str, str]:
    """The form; empty where it is none, or holds a name twice (RFC 6749, 3.2)."""
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=32)
    except ValueError:
        return {}
    form = dict(pairs)
    return form if len(form) == len(pairs) else {}


def _asked(request: Request, form: Mapping[str, str]) -> Asked | Refusal:
    if not form:
        return _NO_FORM
    client = _client(request, form)
    if client is None:
        return _TWO_WAYS
    if form.get("grant_type") != "client_credentials":
        return _NO_GRANT
    scope = _scope(form)
    return scope if isinstance(scope, Refusal) else Asked(*client, scope)


def _client(request: Request, form: Mapping[str, str]) -> tuple[str, str] | None:
    """Id and secret; none is the empty pair; None: they came in both ways."""
    posted = form.get("client_id", ""), form.get("client_secret", "")
    given = request.headers.get("authorization")
    if given is None:
        return posted
    if posted[1]:
        return None
    scheme, _, encoded = given.partition(" ")
    basic = _basic(encoded) if scheme.lower() == "basic" else ("", "")
    return None if posted[0] not in ("", basic[0]) else basic


def _basic(encoded: str) -> tuple[str, str]:
    """Both halves are form-encoded inside (RFC 6749 section 2.3.1)."""
    try:
        identity, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, ValueError):
        return "", ""
    return unquote_plus(identity), unquote_plus(secret)


def _scope(form: Mapping[str, str]) -> str | Refusal:
    """The scope, also by its resource (RFC 8707); the inbox where nothing is said."""
    by_resource = {audience: scope for scope, audience in AUDIENCES.items()}
    resource, scope = form.get("resource"), form.get("scope")
    if resource is not None and resource not in by_resource:
        return _NO_TARGET
    if scope and scope not in AUDIENCES:
        return _NO_SCOPE
    named = by_resource[resource] if resource is not None else None
    if scope and named and scope != named:
        return _NO_TARGET
    return scope or named or "inbox"


def _error(refusal: Refusal, status: int = 400) -> Response:
    error = OAuthError(error=refusal.error, error_description=refusal.description)
    return Response(
        error.model_dump_json(),
        status,
        headers={"cache-control": "no-store", "pragma": "no-cache"},
        media_type="application/json",
    )
