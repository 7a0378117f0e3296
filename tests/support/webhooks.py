"""Endpoints, messages, and a subscriber that answers what a test says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from typing_extensions import override

from infra.system import SystemEntropy
from pipeline.ports.keys import Secrets
from pipeline.ports.webhooks import Endpoint, Holder, Message, SealedSecret, Sender
from pipeline.webhooks import Attempt, Secret, body, message_id
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.ids import Actor, EndpointId, TenantId
from schemas.webhooks import Kind
from tests.support.audit import NOON

ENTROPY = SystemEntropy()
URL = "https://hooks.example.com/in"


@dataclass
class HeldSender(Sender):
    """Keeps what was sent; answers ``answers`` in turn, and then 204."""

    answers: list[Attempt] = field(default_factory=list)
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    public: bool = True

    @override
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        self.sent.append((url, headers, body))
        return self.answers.pop(0) if self.answers else Attempt(status=204)

    @override
    async def reaches(self, host: str, port: int) -> bool:
        return self.public


def holder(tenant: TenantId, environment: str = "live") -> Holder:
    return Holder(tenant, environment, Actor("key:one"))  # type: ignore[arg-type]  # a word


def bare(
    tenant: TenantId, *kinds: Kind, made: datetime = NOON, url: bytes = b"sealed"
) -> tuple[Endpoint, SealedSecret]:
    """An endpoint whose sealed bytes are made up."""
    endpoint = Endpoint(
        tenant_id=tenant,
        id=EndpointId(ENTROPY.uuid7()),
        environment="live",
        name="hooks",
        url_sealed=url,
        event_types=tuple(kinds or Kind),
        hint="abc=",
        created_at=made,
        updated_at=made,
    )
    return endpoint, SealedSecret(ENTROPY.uuid7(), b"sealed", "abc=")


async def real(
    tenant: TenantId, secrets: Secrets, *kinds: Kind, url: str = URL
) -> tuple[Endpoint, SealedSecret, Secret]:
    """An endpoint whose URL and secret open."""
    endpoint, kept = bare(tenant, *kinds)
    place = SecretRef(tenant, SecretPurpose.WEBHOOK_URL, endpoint.id)
    row = SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, kept.id)
    secret = Secret(ENTROPY.bytes(32))
    sealed = await secrets.seal(row, secret.key)
    whole = bare(tenant, *kinds, url=await secrets.seal(place, url.encode()))[0]
    kept = SealedSecret(kept.id, sealed, secret.hint)
    fields = {name: getattr(whole, name) for name in Endpoint.__slots__}
    return Endpoint(**{**fields, "id": endpoint.id}), kept, secret


def message(
    tenant: TenantId,
    cause: str,
    kind: Kind = Kind.REQUEST_COMPLETED,
    *,
    after: timedelta = timedelta(),
) -> Message:
    name, at = message_id(cause, kind), NOON + after
    return Message(
        tenant_id=tenant,
        environment="live",
        id=name,
        kind=kind,
        body=body(name.replace("msg_", "evt_"), kind, at, {"id": cause}),
        created_at=at,
    )
