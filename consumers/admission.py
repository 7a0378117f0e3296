"""Admits what producers put into the inbox with their own Kafka clients."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.acceptance import Acceptance, Accepted, Asked, Ended
from pipeline.admission import (
    INBOX_AUDIENCE,
    NAME,
    TRACEPARENT,
    Draft,
    No,
    Refused,
    draft,
    stands,
)
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.bus import Record
from pipeline.ports.inbox import Letters
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.tenants import Credentials, Principal, Tenants, TenantTerms
from pipeline.ports.tokens import Claims, TokenVerifier
from pipeline.rejections import rejected
from schemas.ids import Actor, RequestId, TenantId, derived
from schemas.requests import Arrival, Dialect
from schemas.topics import Outgoing

SOURCE: Final = "/sluice/admission"
MAX_TOKEN_BYTES: Final = 16 * 1024
_EVENT_ID: Final = ("ce_id", "id")

Headers = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionConsumer:
    """The way in for records that strangers wrote: nothing of them is believed."""

    tokens: TokenVerifier
    credentials: Credentials
    letters: Letters
    tenants: Tenants
    acceptance: Acceptance
    clock: Clock
    entropy: Entropy

    async def handle(self, records: Sequence[Record]) -> Sequence[Outgoing[Any]]:
        """Admit a poll's records side by side; what they become, in their order.

        Raises:
            InvalidMessage: a record has no token of ours, or that of a tenant whose log
                was closed, so it is nobody's.
            RetryableError: database or keystore are away.
            IntegrityError: the broker did not set a record's time.
        """
        found = await asyncio.gather(*(self._one(record) for record in records))
        return [out for outs in found for out in outs]

    async def _one(self, record: Record) -> Sequence[Outgoing[Any]]:
        headers = _headers(record)
        claims = self._claims(headers)
        actor = Actor(f"client:{claims.client_id}")
        request = _request_id(headers, claims.tenant_id, actor)
        match await self._answer(record, headers, claims, request):
            case Accepted(outgoing=outgoing):
                return [outgoing]
            case Ended():
                return []  # a redelivery of what has ended: all was said
            case Refused() as refused:
                if await self.tenants.closed(claims.tenant_id):
                    raise InvalidMessage("expected a tenant of ours", "authorization")
                told = rejected(
                    record,
                    refused,
                    tenant=claims.tenant_id,
                    actor=actor,
                    request=request,
                    source=SOURCE,
                    now=self.clock.now(),
                )
                return [told]

    def _claims(self, headers: Headers) -> Claims:
        token = _bearer(headers)
        claims = self.tokens.verify(token) if token else None
        if claims is None:
            raise InvalidMessage("expected a bearer token of ours", "authorization")
        return claims

    async def _answer(
        self,
        record: Record,
        headers: Headers,
        claims: Claims,
        request: RequestId | None,
    ) -> Accepted | Ended | Refused:
        principal = await self._principal(record, claims)
        if isinstance(principal, No):
            return Refused(principal)
        if request is None:
            return Refused(No.EVENT_ID_INVALID)
        terms = await self.tenants.terms(principal.tenant_id, principal.environment)
        made = self._draft(record, headers, principal, terms)
        if isinstance(made, Refused):
            return made
        asked = Asked(
            principal=principal,
            draft=made,
            terms=terms,
            request_id=request,
            origin=self._origin(headers),
            arrival=Arrival.LETTER if _is_letter(headers) else Arrival.PLAIN,
        )
        return await self.acceptance.accept(asked)

    async def _principal(self, record: Record, claims: Claims) -> Principal | No:
        """Expiry is judged when the record was appended: a backlog expires no token.

        Revocation is judged now.
        """
        no = stands(claims, INBOX_AUDIENCE, self._appended_at(record))
        if no is not None:
            return no
        principal = await self.credentials.client_now(
            claims.tenant_id, claims.client_id, claims.issued_at
        )
        return principal or No.CREDENTIAL_REVOKED

    def _appended_at(self, record: Record) -> datetime:
        """The broker's time: a producer's own would make an expired token live on."""
        if not record.appended:
            raise IntegrityError(
                f"expected message.timestamp.type=LogAppendTime of {record.topic}"
            )
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)

    def _draft(
        self,
        record: Record,
        headers: Headers,
        principal: Principal,
        terms: TenantTerms,
    ) -> Draft | Refused:
        raw: bytes | None = record.value or b""
        if _is_letter(headers):
            raw = self.letters.open(record.value or b"")
        if raw is None:
            return Refused(No.LETTER_UNREADABLE)
        return draft(raw, Dialect.OPENAI_CHAT, principal, terms)

    def _origin(self, headers: Headers) -> str:
        given = _text(headers, "traceparent") or ""
        if TRACEPARENT.fullmatch(given):
            return given
        return f"00-{self.entropy.bytes(16).hex()}-{self.entropy.bytes(8).hex()}-01"


def _headers(record: Record) -> Headers:
    """By lower-case name; of a name that comes twice, the first."""
    return {name.lower(): value for name, value in reversed(record.headers)}


def _text(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    try:
        return value.decode("ascii") if value else None
    except UnicodeDecodeError:
        return None


def _bearer(headers: Headers) -> str | None:
    text = _text(headers, "authorization") or ""
    scheme, _, token = text.partition(" ")
    if scheme.lower() != "bearer" or len(token) > MAX_TOKEN_BYTES:
        return None
    return token.strip()


def _request_id(headers: Headers, tenant: TenantId, actor: Actor) -> RequestId | None:
    """From the producer's own id of what it sent: ``ce_id``, or else ``id``."""
    for name in _EVENT_ID:
        text = _text(headers, name)
        if text is not None and NAME.fullmatch(text):
            return RequestId(derived(tenant, "inbox", actor, text))
    return None


def _is_letter(headers: Headers) -> bool:
    kind = _text(headers, "content-type") or ""
    return kind.split(";")[0].strip().lower() == "application/jose"
