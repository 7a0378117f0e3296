"""Who is told by webhooks: an endpoint for each tenant, that takes them or not."""

import hmac
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from infra.memory.webhooks import MemoryWebhooks
from pipeline.ports.webhooks import (
    Claimed,
    Due,
    Endpoint,
    Holder,
    SealedSecret,
    Sender,
)
from pipeline.webhooks import Attempt
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.ids import Actor, EndpointId, TenantId, derived
from schemas.webhooks import Kind
from tests.simulation.clients import TENANTS, principal
from tests.simulation.strangers import CLIENTS

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tests.simulation.world import World


def subscribe(world: "World") -> None:
    """An endpoint for each tenant, and the client of the inbox."""
    for number, tenant in enumerate(TENANTS):
        key = world.entropy.bytes(32)
        url = f"https://subscriber-{number}.example.org/hook"
        world.subscriber.hooks[url] = tenant, key
        _endpoint(world, tenant, url, key)
        client = principal(tenant, f"client:{CLIENTS[tenant]}")
        world.credentials.put_client(CLIENTS[tenant], "unused", client)


def _endpoint(world: "World", tenant: TenantId, url: str, key: bytes) -> None:
    name = EndpointId(derived("simulation", "endpoint", tenant))
    sealed = _sealed(world, tenant, SecretPurpose.WEBHOOK_URL, name, url.encode())
    created = Endpoint(
        tenant_id=tenant,
        id=name,
        environment="live",
        name="subscriber",
        url_sealed=sealed,
        event_types=tuple(kind.value for kind in Kind),
        hint="abcd",
        created_at=world.clock.now(),
        updated_at=world.clock.now(),
    )
    secret = derived("simulation", "secret", tenant)
    kept = _sealed(world, tenant, SecretPurpose.WEBHOOK_SECRET, secret, key)
    holder = Holder(tenant, "live", Actor("user:operator"))
    world.now(world.webhooks.create(created, SealedSecret(secret, kept, "a"), holder))


def _sealed(
    world: "World", tenant: TenantId, purpose: SecretPurpose, name: str, plain: bytes
) -> bytes:
    ref = SecretRef(tenant, purpose, name)
    found: bytes = world.now(world.secrets.seal(ref, plain))
    return found


@dataclass
class Subscriber(Sender):
    """Takes deliveries, or not; remembers each by its id.

    Attributes:
        hooks: by address, whose it is and the key that signs what comes.
    """

    world: "World"
    hooks: dict[str, tuple[TenantId, bytes]] = field(default_factory=dict)
    taken: dict[tuple[TenantId, str], set[bytes]] = field(
        default_factory=lambda: defaultdict(set)
    )
    """By whose address and the id that a delivery carries, the bodies with it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    @override
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        chance, clock = self.world.chance, self.world.clock
        await clock.sleep(chance.latency("webhooks."))
        takes = not (chance.storm and chance.uniform(0, 1) < REFUSES)
        if takes:
            self._take(url, headers, body)
        self.world.say("webhook", headers["webhook-id"], takes)
        await clock.sleep(chance.latency("webhooks."))
        if not takes:
            return Attempt(status=chance.one((500, 503)))
        torn = chance.storm and chance.uniform(0, 1) < TEARS
        return Attempt(status=None, error="reset") if torn else Attempt(status=204)

    @override
    async def reaches(self, host: str, port: int) -> bool:
        return True

    def _take(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        tenant, key = self.hooks[url]
        name, at = headers["webhook-id"], headers["webhook-timestamp"]
        signed = hmac.digest(key, f"{name}.{at}.".encode() + body, sha256)
        if f"v1,{b64encode(signed).decode()}" != headers["webhook-signature"]:
            self.world.watch.wrong(f"the delivery {name} is not signed by its secret")
        self.taken[tenant, name].add(body)


REFUSES = 0.1
TEARS = 0.06
"""Few enough that hardly a delivery waits for its second retry, minutes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimWebhooks(MemoryWebhooks):
    """The twin, which tells which attempts somebody began with.

    Attributes:
        begun: deliveries and attempts that were claimed, refused a claim, or parked.
    """

    begun: set[tuple[str, int]] = field(default_factory=set)

    @override
    async def claim(
        self, due: Due, now: "datetime", lease: "timedelta"
    ) -> Claimed | None:
        self.begun.add((due.delivery, due.attempt))
        return await MemoryWebhooks.claim(self, due, now, lease)

    @override
    async def park(self, due: Due, until: "datetime") -> None:
        self.begun.add((due.delivery, due.attempt))
        await MemoryWebhooks.park(self, due, until)

    @property
    def open(self) -> int:
        """Deliveries that are not at their end."""
        return sum(row.state == "due" for row in self._rows.values())
