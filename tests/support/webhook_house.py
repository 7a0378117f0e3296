"""Webhooks' three ports over the same rows: on the twin, and on Postgres."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import asyncpg
import orjson
import pytest

from infra.memory.webhooks import MemoryWebhooks
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.endpoints import PostgresEndpoints
from infra.postgres.pool import Connection, as_tenant, open_pool
from infra.postgres.repeats import PostgresRepeats
from infra.postgres.telling import Teller
from infra.system import SystemClock, SystemEntropy
from pipeline.ports.repeats import Repeats
from pipeline.ports.webhooks import (
    Deliveries,
    Due,
    Endpoint,
    Endpoints,
)
from pipeline.repeats import Delivery, Repeat, Wanted
from pipeline.webhooks import (
    SCHEDULE,
    Attempt,
    Next,
)
from schemas.ids import Actor, EndpointId, TenantId
from schemas.webhooks import Kind
from tests.support.installation import Installation, known_tenant, new_tenant
from tests.support.webhooks import bare, holder, message

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
TOOK = timedelta(milliseconds=12)
PAST_PAUSES = timedelta(minutes=11)
LATER = timedelta(hours=2)
OK = Attempt(status=204)
BAD = Attempt(status=500)
OPERATOR = Actor("user:made-up")


class Acts(Protocol):
    """What the tenant's log will be told."""

    async def __call__(self, tenant: TenantId) -> Sequence[str]: ...


@dataclass(frozen=True)
class House:
    """All ports over the same rows.

    Attributes:
        now: the clock of the rows: a fixed moment for the twin, now for Postgres.
    """

    endpoints: Endpoints
    deliveries: Deliveries
    repeats: Repeats
    acts: Acts
    now: datetime

    async def endpoint(
        self, tenant: TenantId, *kinds: Kind, environment: str = "live"
    ) -> Endpoint:
        made, secret = bare(tenant, *kinds, made=self.now)
        made = replace(made, environment=environment)  # type: ignore[arg-type]  # a word
        assert await self.endpoints.create(made, secret, holder(tenant, environment))
        return made

    async def told(self, tenant: TenantId, cause: str = "one") -> Sequence[Due]:
        kept = replace(message(tenant, cause), created_at=self.now)
        return await self.deliveries.announce([kept])

    async def failed(self, due: Due, times: int) -> Due:
        """Attempts of one delivery that fail, each when it is due."""
        for _ in range(times):
            await self.tried(due, BAD)
            due = replace(due, attempt=due.attempt + 1)
        return due

    async def tried(self, due: Due, seen: Attempt, at: datetime | None = None) -> Next:
        now = at or self.now
        assert await self.deliveries.claim(due, now, LEASE)
        settled = await self.deliveries.settle(
            due, seen, took=TOOK, now=now, jitter=0.0
        )
        return settled.next

    async def exhausted(self, tenant: TenantId, cause: str = "one") -> Due:
        """A delivery whose last attempt failed; its end lies ``LATER``."""
        (due,) = await self.told(tenant, cause)
        for number in range(1, len(SCHEDULE) + 1):
            due, at = replace(due, attempt=number), self.now + number * PAST_PAUSES
            await self.tried(due, BAD, at)
        return due

    async def page(self, tenant: TenantId, **wanted: Any) -> list[Delivery]:
        found = await self.repeats.page(tenant, Wanted(**{"limit": 9, **wanted}))
        assert found is not None
        return [*found]

    async def retried(
        self, due: Due, at: datetime, endpoint: EndpointId | None = None
    ) -> Sequence[Repeat]:
        found = await self.repeats.retry(due.tenant_id, due.delivery, endpoint, at)
        return [each.became for each in found]

    async def swept(self, tenant: TenantId, now: datetime) -> list[Due]:
        found = await self.deliveries.sweep(now, 10)
        return [each for each in found if each.tenant_id == tenant]


class OnTwin:
    """The twin, for a contract's tests."""

    @pytest.fixture
    def house(self) -> House:
        twin = MemoryWebhooks()

        async def acts(tenant: TenantId) -> Sequence[str]:
            return [act for by, act in twin.acts if by.tenant_id == tenant]

        return House(twin, twin, twin, acts, datetime(2026, 1, 1, 12, tzinfo=UTC))

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()

    @pytest.fixture
    def other(self) -> TenantId:
        return new_tenant()


class OnPostgres:
    """Postgres, each tenant of its own, for a contract's tests."""

    @pytest.fixture
    async def pool(self, installation: Installation) -> AsyncIterator[asyncpg.Pool]:
        url = installation.urls["sluice_worker"]
        async with await open_pool(url, size=4) as opened:
            yield opened

    @pytest.fixture
    async def desk(self, installation: Installation) -> AsyncIterator[asyncpg.Pool]:
        url = installation.urls["sluice_operator"]
        async with await open_pool(url, size=1) as opened:
            yield opened

    @pytest.fixture
    def house(self, pool: asyncpg.Pool, desk: asyncpg.Pool) -> House:
        clock, entropy = SystemClock(), SystemEntropy()
        endpoints = PostgresEndpoints(pool=pool, clock=clock, entropy=entropy)
        repeats = PostgresRepeats(desk, Teller(clock, entropy, OPERATOR))

        async def acts(tenant: TenantId) -> Sequence[str]:
            async with as_tenant(pool, tenant) as connection:
                rows = await connection.fetch(
                    "select headers, value from sluice.outbox order by created_at"
                )
            return [orjson.loads(row["value"])["action"] for row in rows]

        deliveries = PostgresDeliveries(pool=pool)
        return House(endpoints, deliveries, repeats, acts, clock.now())

    @pytest.fixture
    async def tenant(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)

    @pytest.fixture
    async def other(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)


async def planned(connection: Connection, sql: str, *given: object) -> int:
    """How many rows a statement reads, at each place of its plan the most."""
    told = await connection.fetchval(f"explain (analyze, format json) {sql}", *given)
    (whole,) = orjson.loads(told)
    return most(whole["Plan"])


def most(node: Mapping[str, Any]) -> int:
    """Rows that the busiest place below here let through or threw away, in all."""
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    below = [most(each) for each in node.get("Plans", ())]
    return max(int(read * node["Actual Loops"]), *below, 0)
