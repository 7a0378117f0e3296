"""Who else acts: producers with a Kafka client of their own, operators, subscribers."""

from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
from typing_extensions import override

from pipeline.admission import INBOX_AUDIENCE, SEND
from pipeline.erasure import order, ordered
from pipeline.ports.tokens import Claims
from pipeline.ports.webhooks import Endpoint, Holder, SealedSecret, Sender
from pipeline.webhooks import Attempt
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.ids import Actor, EndpointId, EventId, RequestId, TenantId, derived
from schemas.retention import ErasureOrdered
from schemas.topics import REQUESTS_INBOX, RETENTION_DUE, Outgoing
from schemas.webhooks import Kind
from tests.simulation.clients import CANARY, TENANTS, principal

if TYPE_CHECKING:
    from tests.simulation.world import World

CLIENTS = {tenant: f"client-{number}" for number, tenant in enumerate(TENANTS)}
INBOX_FROM = 100
"""The numbers of inbox requests begin here."""
BROKEN = (b"", b"Bearer nonsense")


async def produce(world: "World", number: int) -> None:
    """Put one request into the inbox, once or twice, at some time in the storm."""
    chance = world.chance
    tenant = chance.one(TENANTS)
    name = f"event-{number}"
    actor = Actor(f"client:{CLIENTS[tenant]}")
    request = RequestId(derived(tenant, "inbox", actor, name))
    world.claims.numbers[number] = request
    world.inbox[name] = tenant, request
    said = f"number-{number}- {CANARY} by Kafka"
    body = {"model": "echo", "messages": [{"role": "user", "content": said}]}
    for _ in range(chance.some(2)):
        await world.clock.sleep(chance.uniform(0, chance.plan.storm_s))
        token = f"Bearer {_token(world, tenant)}".encode()
        _put(world, name, orjson.dumps(body), token)


async def scribble(world: "World", number: int) -> None:
    """Put something into the inbox that is nobody's."""
    await world.clock.sleep(world.chance.uniform(0, world.chance.plan.storm_s))
    token = world.chance.one(BROKEN)
    _put(world, f"stranger-{number}", f"{CANARY} by a stranger".encode(), token)


def _put(world: "World", name: str, value: bytes, token: bytes) -> None:
    headers = (("ce_id", name.encode()), ("authorization", token))
    partition = world.chance.some(REQUESTS_INBOX.partitions) - 1
    world.log.append(
        REQUESTS_INBOX.name,
        key=name.encode(),
        value=value,
        headers=headers,
        partition=partition,
    )


def _token(world: "World", tenant: TenantId) -> str:
    now = world.clock.now()
    claims = Claims(
        tenant_id=tenant,
        client_id=CLIENTS[tenant],
        environment="live",
        audience=INBOX_AUDIENCE,
        scope=frozenset((SEND,)),
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    return world.watch.tokens.issue(claims)


async def erase(world: "World", tenant: TenantId, request: RequestId) -> None:
    """An operator orders that a request be forgotten, at some time in the storm."""
    await world.clock.sleep(world.chance.uniform(0, world.chance.plan.storm_s))
    job = EventId(derived("simulation", "erase", request))
    data = ErasureOrdered(actor=Actor("user:operator"), scope="request", ref=request)
    event = order(tenant, data, job, "/sluice/admin", world.clock.now())
    world.say("ORDER", request)
    world.erased[job] = tenant, request
    world.outbox.put(ordered(event))
    world.outbox.put(Outgoing(RETENTION_DUE, event))


def subscribe(world: "World") -> None:
    """An endpoint for each tenant, and the client of the inbox."""
    for number, tenant in enumerate(TENANTS):
        endpoint = EndpointId(derived("simulation", "endpoint", tenant))
        url = f"https://subscriber-{number}.example.org/hook".encode()
        created = Endpoint(
            tenant_id=tenant,
            id=endpoint,
            environment="live",
            name="subscriber",
            url_sealed=_sealed(world, tenant, SecretPurpose.WEBHOOK_URL, endpoint, url),
            event_types=tuple(kind.value for kind in Kind),
            hint="abcd",
            created_at=world.clock.now(),
            updated_at=world.clock.now(),
        )
        name, key = derived("simulation", "secret", tenant), world.entropy.bytes(32)
        sealed = _sealed(world, tenant, SecretPurpose.WEBHOOK_SECRET, name, key)
        secret = SealedSecret(name, sealed, "abcd")
        holder = Holder(tenant, "live", Actor("user:operator"))
        world.now(world.webhooks.create(created, secret, holder))
        client = principal(tenant, f"client:{CLIENTS[tenant]}")
        world.credentials.put_client(CLIENTS[tenant], "unused", client)


def _sealed(
    world: "World", tenant: TenantId, purpose: SecretPurpose, name: str, plain: bytes
) -> bytes:
    ref = SecretRef(tenant, purpose, name)
    found: bytes = world.now(world.secrets.seal(ref, plain))
    return found


@dataclass
class Subscriber(Sender):
    """Takes deliveries, or not; remembers each by its id."""

    world: "World"
    got: dict[str, set[str]] = field(default_factory=dict)
    """By the id that a delivery carries, the bodies that came with it."""

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
    async def send(self, url: str, headers: Any, body: bytes) -> Attempt:
        chance, clock = self.world.chance, self.world.clock
        await clock.sleep(chance.latency("webhooks."))
        taken = not (chance.storm and chance.uniform(0, 1) < 0.2)
        if taken:
            self.got.setdefault(headers["webhook-id"], set()).add(body.decode())
        self.world.say("webhook", headers["webhook-id"], taken)
        await clock.sleep(chance.latency("webhooks."))
        if not taken:
            return Attempt(status=chance.one((500, 503)))
        torn = chance.storm and chance.uniform(0, 1) < 0.1
        return Attempt(status=None, error="reset") if torn else Attempt(status=204)

    @override
    async def reaches(self, host: str, port: int) -> bool:
        return True
