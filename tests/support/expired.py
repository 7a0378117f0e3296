"""Requests that ended and calls that were made, and who deletes what has expired."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import asyncpg

from infra.postgres.expired import PostgresExpired
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.system import SystemClock
from pipeline.keystore import Partition, class_named, key_id
from pipeline.ports.requests import ProviderCalls, Requests
from pipeline.ports.retention import ExpiredRows
from pipeline.retention import last_expired
from schemas.events import Event
from schemas.ids import RequestId, TenantId
from schemas.requests import Arrival, SealedContent
from tests.support.installation import (
    ENTROPY,
    ended,
    insert_tenant,
    new_request_id,
    new_tenant,
    terms,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
LONG_AGO = TODAY - timedelta(days=400)
ANSWER = SealedContent(sealed=b"sealed", commit="0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One tenant's requests and calls."""

    requests: Requests
    calls: ProviderCalls
    rows: ExpiredRows
    tenant: TenantId

    async def ended(
        self,
        name: str,
        day: date,
        *,
        answer: SealedContent | None = ANSWER,
        findings: tuple[SealedContent, ...] = (),
        arrival: Arrival | None = None,
        at: datetime = NOW,
    ) -> RequestId:
        """A request of ``at`` whose answer lies under a key of this class and day."""
        request = new_request_id()
        key = key_id(Partition(class_named(name), day), ENTROPY.bytes(13))
        known = terms(key_id=key, arrival=arrival)
        end = ended(self.tenant, request, known=known)
        data = end.data.model_copy(update={"answer": answer, "findings": findings})
        await self.requests.finish([Event(replace(end.attributes, time=at), data)])
        return request

    async def answered(self, request: RequestId) -> bool:
        """Has it its answer still, or what was found?"""
        state = await self.requests.get(self.tenant, request)
        assert state is not None
        assert state.finished is not None
        return state.finished.answer is not None or bool(state.finished.findings)

    async def called(self, ago: timedelta) -> RequestId:
        """A call whose lease ended so long ago."""
        request = new_request_id()
        await self.calls.take(self.tenant, request, -ago)
        return request

    async def expire(self, limit: int = 1_000) -> int:
        """Delete answers whose time was over by noon."""
        return await self.rows.answers(self.tenant, last_expired(NOW), limit)


def a_day_ago() -> datetime:
    """By the clock that leases are on."""
    return SystemClock().now() - timedelta(days=1)


async def in_postgres(pool: asyncpg.Pool, superuser: str) -> World:
    """A tenant of its own, on the adapters."""
    tenant = new_tenant()
    await insert_tenant(superuser, tenant)
    return World(
        requests=PostgresRequests(pool),
        calls=PostgresProviderCalls(pool),
        rows=PostgresExpired(pool),
        tenant=tenant,
    )
