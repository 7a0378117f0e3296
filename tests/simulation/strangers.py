"""Who else acts: producers with a Kafka client of their own, and operators."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson

from pipeline.admission import INBOX_AUDIENCE, SEND
from pipeline.erasure import order, ordered
from pipeline.keystore import KeyId
from pipeline.ports.keys import OfRequest
from pipeline.ports.tokens import Claims
from schemas.ids import Actor, EventId, RequestId, TenantId, derived
from schemas.retention import ErasureOrdered
from schemas.topics import REQUESTS_INBOX, RETENTION_DUE, Outgoing
from tests.simulation.clients import CANARY, TENANTS, Caller

if TYPE_CHECKING:
    from tests.simulation.world import World

CLIENTS = {tenant: f"client-{number}" for number, tenant in enumerate(TENANTS)}
INBOX_FROM = 100
"""The numbers of inbox requests begin here."""
LETTER, PLAIN = b"application/jose", b"application/json"
KEPT_S = 3.0
"""A producer may keep the key to which it seals for so long: less than a period."""
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
    asked = {"model": "echo", "messages": [{"role": "user", "content": said}]}
    body, sealed = orjson.dumps(asked), chance.either()
    for _ in range(chance.some(2)):
        await world.clock.sleep(chance.uniform(0, chance.plan.storm_s))
        token = f"Bearer {_token(world, tenant)}".encode()
        value = world.letters.seal(body) if sealed else body
        await world.clock.sleep(chance.uniform(0, KEPT_S))
        _put(world, name, value, token, LETTER if sealed else PLAIN)
        world.sent[request] += 1


async def scribble(world: "World", number: int) -> None:
    """Put something into the inbox that is nobody's."""
    await world.clock.sleep(world.chance.uniform(0, world.chance.plan.storm_s))
    token = world.chance.one(BROKEN)
    value = f"{CANARY} by a stranger".encode()
    _put(world, f"stranger-{number}", value, token, PLAIN)


def _put(world: "World", name: str, value: bytes, token: bytes, kind: bytes) -> None:
    headers = (
        ("ce_id", name.encode()),
        ("authorization", token),
        ("content-type", kind),
    )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An order to forget a request; ``keys``: those that it had then."""

    tenant: TenantId
    request: RequestId
    keys: frozenset[KeyId]


async def erase(world: "World", caller: Caller) -> None:
    """An operator orders that a request be forgotten; mostly it is there by then."""
    tenant, request = caller.tenant, caller.request
    await world.clock.sleep(world.chance.uniform(0, world.chance.plan.storm_s))
    while not (keys := _keys(world, tenant, request)) and world.chance.some(4) > 1:
        await world.clock.sleep(world.chance.uniform(0.1, 2.0))
    job = EventId(derived("simulation", "erase", request))
    data = ErasureOrdered(actor=Actor("user:operator"), scope="request", ref=request)
    event = order(tenant, data, job, "/sluice/admin", world.clock.now())
    world.say("ORDER", request)
    world.erased[job] = Erasure(tenant=tenant, request=request, keys=keys)
    world.outbox.put(ordered(event))
    world.outbox.put(Outgoing(RETENTION_DUE, event))


def _keys(world: "World", tenant: TenantId, request: RequestId) -> frozenset[KeyId]:
    refs = world.now(world.keys.of(OfRequest(tenant, request), 1_000))
    return frozenset(ref.key_id for ref in refs)
