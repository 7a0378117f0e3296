"""Who may send what: one decision for both ways in."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pipeline.dialects import SPEAKERS, Json, Malformed, read, strings, written
from pipeline.keystore import TRANSIENT, RetentionClass, class_named
from pipeline.ports.tenants import Principal, TenantTerms
from pipeline.ports.tokens import Claims
from schemas.policies import PolicyDocument
from schemas.requests import Dialect, Route

SEND: Final = "requests:send"
READ: Final = "requests:read"
MANAGE: Final = "webhooks:manage"
"""Capabilities of a credential."""

INBOX_AUDIENCE: Final = "sluice:inbox"
API_AUDIENCE: Final = "sluice:api"
LEEWAY: Final = timedelta(seconds=30)
"""How far clocks may differ when a token's times are judged."""

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Base64 and the terms around it fit into the largest record, 4 MiB."""
MAX_STRINGS: Final = 32_768
"""Each is looked at by itself: a body of nothing else would take a minute."""
NAME: Final = re.compile(r"[\x21-\x7e]{1,255}")
"""What a caller may name a request: 1 to 255 visible ASCII characters."""
TRACEPARENT: Final = re.compile(
    r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""A trace that a caller's request goes on in (W3C Trace Context): no id is all zero."""

MAX_ERRORS: Final = 16
_NOBODY_WAITS: Final = "1d"


class No(StrEnum):
    """Why a request is not accepted: one word each, on either way in."""

    BODY_TOO_LARGE = "body_too_large"
    CONTENT_DESTROYED = "content_destroyed"
    CREDENTIAL_EXPIRED = "credential_expired"
    CREDENTIAL_REVOKED = "credential_revoked"
    CREDENTIAL_WRONG_AUDIENCE = "credential_wrong_audience"
    EVENT_ID_INVALID = "event_id_invalid"
    FORBIDDEN = "forbidden"
    ID_REUSED = "idempotency_key_reused"
    INVALID_REQUEST = "invalid_request"
    LETTER_UNREADABLE = "letter_unreadable"
    STREAM_UNSUPPORTED = "stream_unsupported"
    TENANT_ENDED = "tenant_ended"
    UNKNOWN_MODEL = "unknown_model"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not accepted.

    Attributes:
        errors: paths into the body with what was expected there, never what was found.
    """

    why: No
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A request that may be accepted; ``repr`` is silent about it.

    Attributes:
        raw: the exact bytes that were sent; a retry is known by them.
        person: whom the caller says that it is for.
    """

    dialect: Dialect
    raw: bytes = field(repr=False)
    body: Json = field(repr=False)
    model: str
    route: Route
    person: str | None = field(repr=False)


def draft(
    raw: bytes, dialect: Dialect, principal: Principal, terms: TenantTerms
) -> Draft | Refused:
    """Judge a body against its dialect and its sender's terms.

    Law: the same bytes, principal and terms give the same answer. A model that the
    credential may not use is refused in the words of one that does not exist.
    """
    if SEND not in principal.capabilities:
        return Refused(No.FORBIDDEN)
    body = _body(raw, dialect)
    if isinstance(body, Refused):
        return body
    speaker = SPEAKERS[dialect]
    model = speaker.model(body)
    route = _route(model, principal, terms)
    if route is None:
        return Refused(No.UNKNOWN_MODEL)
    if speaker.wants_stream(body):
        return Refused(No.STREAM_UNSUPPORTED)
    unsupported = tuple(speaker.unsupported(body))
    if unsupported:
        return Refused(No.UNSUPPORTED, unsupported[:MAX_ERRORS])
    return Draft(
        dialect=dialect,
        raw=raw,
        body=body,
        model=model,
        route=route,
        person=speaker.person(body),
    )


def _body(raw: bytes, dialect: Dialect) -> Json | Refused:
    if len(raw) > MAX_BODY_BYTES:
        return Refused(No.BODY_TOO_LARGE)
    body = read(raw)
    if isinstance(body, Malformed):
        return Refused(No.INVALID_REQUEST, (f"body: expected {body.expected}",))
    if len(written(body)) > MAX_BODY_BYTES:  # a number may be longer written out
        return Refused(No.BODY_TOO_LARGE)
    if strings(body) > MAX_STRINGS:
        expected = f"body: expected at most {MAX_STRINGS} strings"
        return Refused(No.INVALID_REQUEST, (expected,))
    errors = tuple(SPEAKERS[dialect].check(body))
    return Refused(No.INVALID_REQUEST, errors[:MAX_ERRORS]) if errors else body


def _route(model: str, principal: Principal, terms: TenantTerms) -> Route | None:
    if principal.routes is not None and model not in principal.routes:
        return None
    return terms.routes.get(model)


def retention_class(policy: PolicyDocument, *, waits: bool) -> RetentionClass:
    """How long the key of a new request lives.

    Transient is for callers that wait: an answer that nobody waits for must still be
    there when it is fetched.
    """
    chosen = class_named(policy.retention_class)
    return chosen if waits or chosen != TRANSIENT else class_named(_NOBODY_WAITS)


def stands(claims: Claims, audience: str, at: datetime) -> No | None:
    """Does a token open this way in, at this moment? None: yes.

    Revocation is another question, and asked of the present.
    """
    if claims.audience != audience:
        return No.CREDENTIAL_WRONG_AUDIENCE
    if claims.issued_at - LEEWAY <= at < claims.expires_at + LEEWAY:
        return None
    return No.CREDENTIAL_EXPIRED
