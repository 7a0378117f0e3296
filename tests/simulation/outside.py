"""What those outside were promised: webhooks of what is so, and forgetting."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson
from joserfc import jws

from pipeline.dialects.openai_responses import response_id
from pipeline.erasure import COMPLETED
from pipeline.keystore import KeyId
from pipeline.trail import withheld
from schemas.events import timestamp
from schemas.ids import EventId, TenantId
from schemas.requests import Dialect, Outcome, RequestFinished
from schemas.retention import Receipt
from schemas.webhooks import Kind
from tests.simulation.roots import RECEIPT_KEY
from tests.simulation.strangers import Erasure

if TYPE_CHECKING:
    from tests.simulation.world import World

Fact = tuple[TenantId, str, str]
"""Whose, of which kind, about what."""


def untold(world: "World") -> Iterator[str]:
    """Every end and receipt is told, nothing else, and each under one id."""
    told = _told(world)
    for facts, ids in told.items():
        if len(ids) > 1:
            yield f"{facts} came under the ids {sorted(ids)}"
    for (_, name), bodies in world.subscriber.taken.items():
        if len(bodies) > 1:
            yield f"the webhook {name} came with different bodies"
    so = set(_facts(world))
    yield from (f"nobody was told of {fact}" for fact in sorted(so - told.keys()))
    yield from (f"{fact} was told and is not so" for fact in sorted(told.keys() - so))


def _told(world: "World") -> dict[Fact, set[str]]:
    found: dict[Fact, set[str]] = defaultdict(set)
    for (tenant, name), bodies in world.subscriber.taken.items():
        for body in bodies:
            event = orjson.loads(body)
            found[tenant, event["type"], event["data"]["id"]].add(name)
    return found


def _facts(world: "World") -> Iterator[Fact]:
    for (tenant, request), row in world.requests.rows.items():
        if row.finished is not None:
            yield tenant, f"request.{row.finished.outcome}", request
            if row.terms.dialect is Dialect.OPENAI_RESPONSES:
                stands = f"response.{_stands(row.finished)}"
                yield tenant, stands, response_id(request)
    for tenant, job in world.purges._receipts:
        yield tenant, Kind.RECEIPT_ISSUED.value, job


def _stands(end: RequestFinished) -> str:
    if withheld(end):
        return "incomplete"
    return "failed" if end.outcome is Outcome.BLOCKED else end.outcome.value


def unforgotten(world: "World") -> Iterator[str]:
    """Every order to forget has its receipt, its record and dead keys."""
    alive = {key_id for _, key_id in world.keys._keys}
    named = {key_id for each in receipts(world) for key_id in each.keys}
    for _, key_id in sorted(world.keys._tombstones):
        if key_id not in named:
            yield f"the key {key_id} was destroyed, and no receipt names it"
    for job, erasure in world.erased.items():
        if alive & erasure.keys:
            yield f"a key of {erasure.request} lives on"
        entries = world.now(world.ledger.by_request(erasure.tenant, erasure.request))
        ends = [each.event_id for each in entries if each.action == COMPLETED]
        if [world.watch.causes.get(end) for end in ends].count(job) != 1:
            yield f"the order {job} has not one record of its end"
        stated = _receipt(world, job, erasure)
        if stated is None or stated.scope.ref != erasure.request:
            yield f"the order {job} has no receipt"
        elif alive & set(stated.keys):
            yield f"the receipt of {job} names a key that lives on"
        elif alive & _accepted(world, erasure, stated):
            yield f"a key of {erasure.request}, accepted before {job}, lives on"


def _accepted(world: "World", erasure: Erasure, stated: Receipt) -> set[KeyId]:
    """The key of the request, where that was accepted before the receipt's plan."""
    row = world.requests.rows.get((erasure.tenant, erasure.request))
    covered = row is not None and timestamp(row.accepted_at) <= stated.as_of
    return {KeyId(row.terms.key_id)} if row is not None and covered else set()


def _receipt(world: "World", job: EventId, erasure: Erasure) -> Receipt | None:
    found = (each for each in receipts(world) if each.id == job)
    return next((each for each in found if each.tenant == erasure.tenant), None)


def receipts(world: "World") -> Iterator[Receipt]:
    """What was signed.

    Raises:
        BadSignatureError: another key signed it.
    """
    for token in world.purges._receipts.values():
        found = jws.deserialize_compact(token, RECEIPT_KEY)
        yield Receipt.model_validate_json(found.payload)
