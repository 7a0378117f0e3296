"""Requests and claims in Postgres: one round trip a batch, over all its tenants."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg
from typing_extensions import override

from infra.group import GroupCommit
from infra.postgres.logs import waiting
from infra.postgres.pool import as_tenant
from pipeline.ports.requests import (
    Done,
    Fresh,
    Held,
    Known,
    NewRequest,
    ProviderCalls,
    Requests,
    RequestState,
    Spent,
    Taken,
)
from schemas.events import Event
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import RequestFinished, Terms

T = TypeVar("T")

ADMIT = "select * from sluice.request_admit($1, $2, $3, $4, $5, $6, $7)"
FINISH = "select * from sluice.request_finish($1, $2, $3, $4, $5, $6)"
GET = "select * from sluice.request where id = $1"
TAKE = "select * from sluice.provider_take($1, $2, $3, $4)"
DONE = "select * from sluice.provider_done($1, $2, $3, $4)"
RENEW = """
update sluice.provider_call set lease_until = now() + $2
 where request_id = $1 and result is null
returning request_id
"""
BEGUN = "select true from sluice.provider_call where request_id = $1"


def counted(
    items: Iterable[T], tenant: Callable[[T], TenantId]
) -> tuple[list[T], list[UUID], list[int]]:
    """Items sorted by tenant, the tenants, and how many items each has."""
    ordered = sorted(items, key=tenant)
    counts = Counter(tenant(item) for item in ordered)
    return ordered, [UUID(name) for name in counts], list(counts.values())


class PostgresRequests(Requests):
    """Requests by id; concurrent admissions share a round trip."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._admissions = GroupCommit(self._admit)

    @override
    async def admit(self, request: NewRequest) -> Fresh | Known:
        return await self._admissions.add(request)

    async def _admit(self, requests: Sequence[NewRequest]) -> list[Fresh | Known]:
        # The same id twice in one statement: the second waits for the next.
        unique = {
            (each.tenant_id, each.request_id): each for each in reversed(requests)
        }
        ordered, tenants, counts = counted(unique.values(), lambda each: each.tenant_id)
        with waiting():
            rows = await self._pool.fetch(
                ADMIT,
                tenants,
                counts,
                [UUID(each.request_id) for each in ordered],
                [each.terms.model_dump_json().encode() for each in ordered],
                [each.fingerprint for each in ordered],
                [each.accepted_at for each in ordered],
                [each.terms.deadline for each in ordered],
            )
        known = {
            str(row["id"]): Known(
                Terms.model_validate_json(row["known_terms"]), row["known_fingerprint"]
            )
            for row in rows
        }
        return [self._answer(each, unique, known) for each in requests]

    @staticmethod
    def _answer(
        request: NewRequest,
        first: dict[tuple[TenantId, RequestId], NewRequest],
        known: dict[str, Known],
    ) -> Fresh | Known:
        if request.request_id in known:
            return known[request.request_id]
        winner = first[request.tenant_id, request.request_id]
        return Fresh() if winner is request else Known(winner.terms, winner.fingerprint)

    @override
    async def finish(self, events: Sequence[Event[RequestFinished]]) -> Sequence[bool]:
        ordered, tenants, counts = counted(events, lambda each: each.attributes.tenant)
        with waiting():
            rows = await self._pool.fetch(
                FINISH,
                tenants,
                counts,
                [UUID(each.attributes.subject) for each in ordered],
                [UUID(each.attributes.id) for each in ordered],
                [each.data.model_dump_json().encode() for each in ordered],
                [each.attributes.time for each in ordered],
            )
        late = {str(row["event"]) for row in rows}
        return [each.attributes.id not in late for each in events]

    @override
    async def get(self, tenant: TenantId, request: RequestId) -> RequestState | None:
        async with as_tenant(self._pool, tenant, readonly=True) as connection:
            row = await connection.fetchrow(GET, UUID(request))
        return None if row is None else _state(row)


def _state(row: asyncpg.Record) -> RequestState:
    ended = row["finished"]
    return RequestState(
        tenant_id=TenantId(str(row["tenant_id"])),
        request_id=RequestId(str(row["id"])),
        accepted_at=row["accepted_at"],
        terms=Terms.model_validate_json(row["terms"]),
        finished_at=row["finished_at"],
        finished_by=EventId(str(row["finished_by"])) if ended else None,
        finished=RequestFinished.model_validate_json(ended) if ended else None,
    )


@dataclass(frozen=True, slots=True)
class _Take:
    tenant: TenantId
    request: RequestId
    lease: timedelta


@dataclass(frozen=True, slots=True)
class _Result:
    tenant: TenantId
    request: RequestId
    result: bytes


class PostgresProviderCalls(ProviderCalls):
    """Claims; concurrent takes share a round trip, and so do concurrent results."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._takes = GroupCommit(self._take)
        self._results = GroupCommit(self._done)

    @override
    async def take(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> Taken | Held | Done | Spent:
        return await self._takes.add(_Take(tenant, request, lease))

    async def _take(self, takes: Sequence[_Take]) -> list[Taken | Held | Done | Spent]:
        # One statement claims a call once: who asks twice in it is told to wait.
        first = {each.request: each for each in reversed(takes)}
        ordered, tenants, counts = counted(first.values(), lambda each: each.tenant)
        ids = [UUID(each.request) for each in ordered]
        with waiting():
            rows = await self._pool.fetch(TAKE, tenants, counts, ids, takes[0].lease)
        found = {str(row["id"]): row for row in rows}
        return [
            _claim(found[each.request], mine=first[each.request] is each)
            for each in takes
        ]

    @override
    async def renew(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> bool:
        async with as_tenant(self._pool, tenant) as connection:
            return await connection.fetchval(RENEW, UUID(request), lease) is not None

    @override
    async def begun(self, tenant: TenantId, request: RequestId) -> bool:
        async with as_tenant(self._pool, tenant, readonly=True) as connection:
            return await connection.fetchval(BEGUN, UUID(request)) is True

    @override
    async def done(self, tenant: TenantId, request: RequestId, result: bytes) -> bytes:
        return await self._results.add(_Result(tenant, request, result))

    async def _done(self, results: Sequence[_Result]) -> list[bytes]:
        unique = {(each.tenant, each.request): each for each in reversed(results)}
        ordered, tenants, counts = counted(unique.values(), lambda each: each.tenant)
        with waiting():
            rows = await self._pool.fetch(
                DONE,
                tenants,
                counts,
                [UUID(each.request) for each in ordered],
                [each.result for each in ordered],
            )
        kept = {str(row["id"]): row["kept"] for row in rows}
        return [kept[each.request] for each in results]


def _claim(row: asyncpg.Record, *, mine: bool) -> Taken | Held | Done | Spent:
    match row["verdict"]:
        case "taken" | "again" as verdict if mine:
            return Taken(again=verdict == "again")
        case "done":
            return Done(row["kept"])
        case "spent":
            return Spent()
        case _:
            return Held(row["until"])
