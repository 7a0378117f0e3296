"""Jobs of forgetting: what every keeper of them must do."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import pytest
from joserfc.jwk import ECKey
from typing_extensions import override

from demo.stack import Stack
from infra.memory.retention import MemoryPurges
from infra.postgres import retention
from infra.postgres.pool import as_tenant, open_pool
from infra.postgres.retention import TABLES, Holds, PostgresPurges
from infra.system import SystemClock, SystemEntropy
from pipeline.keystore import KeyId
from pipeline.ports.keys import KeyRef
from pipeline.ports.retention import Plan, Purges
from pipeline.receipts import Destruction, receipt, sign
from schemas.ids import EventId, RequestId, TenantId, derived
from schemas.requests import Arrival
from schemas.retention import Forgotten, Target
from tests.support.installation import insert_tenant, terms
from tests.support.ledger import Database, database

ENTROPY = SystemEntropy()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class World(Protocol):
    """A keeper of jobs, and requests that left rows."""

    @property
    def purges(self) -> Purges: ...

    async def tenant(self) -> TenantId: ...

    async def leave(
        self, tenant: TenantId, arrival: Arrival | None = None, at: datetime = NOON
    ) -> RequestId:
        """A request that left content in every table that can hold some."""
        ...

    async def left(self, tenant: TenantId, request: RequestId) -> bool: ...


def plan_of(tenant: TenantId, requests: list[RequestId], job: str = "job") -> Plan:
    return Plan(
        job=EventId(derived(tenant, job)),
        tenant=tenant,
        scope=Forgotten(kind="subject", ref="ab" * 32),
        requested_at=NOON,
        as_of=NOON + timedelta(microseconds=1),
        keys=tuple(KeyRef(tenant, each, new_key_id()) for each in requests),
        probe=b"sealed",
    )


def new_key_id() -> KeyId:
    return KeyId("512b03" + ENTROPY.bytes(13).hex())


def signed(plan: Plan, at: datetime) -> str:
    done = Destruction(
        job=plan.job,
        tenant=plan.tenant,
        scope=plan.scope,
        requested_at=plan.requested_at,
        as_of=plan.as_of,
        completed_at=at,
        keys=[ref.key_id for ref in plan.keys],
        rows=[],
        exceptions=[],
        probe=None,
        record=plan.job,
    )
    return sign(receipt(done), ECKey.generate_key("P-256"))


def counts(targets: Sequence[Target]) -> dict[str, tuple[int, int]]:
    """Deleted and left, by table."""
    return {each.object: (each.deleted, each.remaining) for each in targets}


class PurgesContract:
    @pytest.fixture
    async def world(self) -> World:
        raise NotImplementedError

    async def test_a_plan_is_kept_as_it_was(self, world: World) -> None:
        tenant = await world.tenant()
        plan = plan_of(tenant, [await world.leave(tenant) for _ in range(2)])

        assert plan == await world.purges.begin(plan)

    async def test_an_empty_plan_is_kept_as_it_was(self, world: World) -> None:
        tenant = await world.tenant()
        nothing = replace(plan_of(tenant, []), probe=None)

        assert nothing == await world.purges.begin(nothing)
        targets = await world.purges.delete_rows(nothing)
        assert {(0, 0)} == {(each.deleted, each.remaining) for each in targets}

    async def test_the_first_plan_of_a_job_stands(self, world: World) -> None:
        tenant = await world.tenant()
        first = await world.purges.begin(plan_of(tenant, [await world.leave(tenant)]))
        later = replace(first, keys=(), probe=None, as_of=NOON + timedelta(hours=1))

        assert first == await world.purges.begin(later)

    async def test_rows_of_the_plans_requests_are_deleted_and_no_others(
        self, world: World
    ) -> None:
        tenant = await world.tenant()
        gone = [await world.leave(tenant) for _ in range(3)]
        stays = await world.leave(tenant)
        plan = await world.purges.begin(plan_of(tenant, gone))

        targets = await world.purges.delete_rows(plan)

        assert {(3, 0)} == {(each.deleted, each.remaining) for each in targets}
        assert [False] * 3 == [await world.left(tenant, each) for each in gone]
        assert await world.left(tenant, stays)

    async def test_another_tenants_rows_are_out_of_reach(self, world: World) -> None:
        tenant, other = await world.tenant(), await world.tenant()
        request = await world.leave(other)
        plan = await world.purges.begin(plan_of(tenant, [request]))

        targets = await world.purges.delete_rows(plan)

        assert {0} == {each.deleted for each in targets}
        assert await world.left(other, request)

    async def test_a_repeat_counts_what_was_deleted_before(self, world: World) -> None:
        tenant = await world.tenant()
        plan = await world.purges.begin(plan_of(tenant, [await world.leave(tenant)]))

        first = await world.purges.delete_rows(plan)

        assert first == await world.purges.delete_rows(plan)
        assert {1} == {each.deleted for each in first}

    async def test_late_receipts_are_known(self, world: World) -> None:
        tenant = await world.tenant()
        plan = await world.purges.begin(plan_of(tenant, [await world.leave(tenant)]))
        now = SystemClock().now()
        token = await world.purges.finish(plan, signed(plan, now))

        hour = timedelta(hours=1)
        late = await world.purges.receipts_since(tenant, now - hour)
        later = await world.purges.receipts_since(tenant, now + hour)

        assert [token] == list(late)
        assert [] == list(later)

    async def test_what_came_by_the_inbox_is_known_with_the_last_of_its_kind(
        self, world: World
    ) -> None:
        tenant = await world.tenant()
        hour = timedelta(hours=1)
        requests = [
            await world.leave(tenant),
            await world.leave(tenant, Arrival.LETTER, NOON),
            await world.leave(tenant, Arrival.LETTER, NOON - hour),
            await world.leave(tenant, Arrival.PLAIN, NOON - 2 * hour),
        ]
        await world.leave(tenant, Arrival.PLAIN, NOON + hour)

        found = await world.purges.arrivals(plan_of(tenant, requests))
        none = await world.purges.arrivals(plan_of(tenant, requests[:1]))
        others = await world.purges.arrivals(plan_of(await world.tenant(), requests))

        assert {Arrival.LETTER: NOON, Arrival.PLAIN: NOON - 2 * hour} == found
        assert {} == none
        assert {} == others

    async def test_the_first_receipt_of_a_job_stands(self, world: World) -> None:
        tenant = await world.tenant()
        one, two = (plan_of(tenant, [], job) for job in ("one", "two"))
        for plan in (one, two):
            await world.purges.begin(plan)

        before = await world.purges.receipts(tenant)
        kept = [
            await world.purges.finish(one, "first"),
            await world.purges.finish(one, "second"),
            await world.purges.finish(two, "other"),
        ]

        assert [] == before
        assert ["first", "first", "other"] == kept
        assert ["first", "other"] == await world.purges.receipts(tenant)
        assert [] == await world.purges.receipts(await world.tenant())


@dataclass(frozen=True, slots=True)
class MemoryWorld:
    purges: MemoryPurges

    async def tenant(self) -> TenantId:
        return TenantId(ENTROPY.uuid7())

    async def leave(
        self, tenant: TenantId, arrival: Arrival | None = None, at: datetime = NOON
    ) -> RequestId:
        request = RequestId(ENTROPY.uuid7())
        self.purges.rows.add((tenant, request))
        if arrival is not None:
            self.purges.arrived[tenant, request] = arrival, at
        return request

    async def left(self, tenant: TenantId, request: RequestId) -> bool:
        return (tenant, request) in self.purges.rows


class TestMemoryPurges(PurgesContract):
    @pytest.fixture
    @override
    async def world(self) -> World:
        return MemoryWorld(MemoryPurges())


REQUEST = """
insert into sluice.request
  (id, terms, fingerprint, accepted_at, deadline, finished_at, finished_by, finished)
values ($1, $2, sha256(''), $3, now(), now(), $1,
        '{"outcome": "completed", "answer": {"sealed": "AA==", "commit": "x"},
          "findings": [{"sealed": "AA==", "commit": "x"}]}')
"""
NO_ANSWER = """
update sluice.request set finished = jsonb_set(finished, '{answer}', 'null')
 where id = $1
"""
CALL = """
insert into sluice.provider_call (request_id, lease_until, result)
values ($1, now(), 'sealed')
"""
LEFT = """
select (select finished ? 'answer' or finished ? 'findings'
          from sluice.request where id = $1)
       or exists (select from sluice.provider_call where request_id = $1)
"""
NOTHING = "delete from sluice.provider_call where request_id = any ($1) and false"
OUTCOME = "select finished ->> 'outcome' from sluice.request where id = $1"
CATALOGUE = """
select relname::text from pg_class
 where relnamespace = 'sluice'::regnamespace and relkind in ('r', 'p')
"""
BYTES = """
select c.relname::text, a.attname::text from pg_attribute a
  join pg_class c on c.oid = a.attrelid
 where c.relnamespace = 'sluice'::regnamespace and c.relkind in ('r', 'p')
   and a.atttypid in ('bytea'::regtype, 'jsonb'::regtype) and a.attnum > 0
   and not a.attisdropped
"""


@dataclass(frozen=True, slots=True)
class PostgresWorld:
    pool: asyncpg.Pool
    purges: PostgresPurges
    superuser: str

    async def tenant(self) -> TenantId:
        tenant = TenantId(ENTROPY.uuid7())
        await insert_tenant(self.superuser, tenant)
        return tenant

    async def leave(
        self, tenant: TenantId, arrival: Arrival | None = None, at: datetime = NOON
    ) -> RequestId:
        request = RequestId(ENTROPY.uuid7())
        known = terms(arrival=arrival).model_dump_json().encode()
        async with as_tenant(self.pool, tenant) as connection:
            await connection.execute(REQUEST, UUID(request), known, at)
            await connection.execute(CALL, UUID(request))
        return request

    async def left(self, tenant: TenantId, request: RequestId) -> bool:
        async with as_tenant(self.pool, tenant) as connection:
            outcome = await connection.fetchval(OUTCOME, UUID(request))
            left: bool = await connection.fetchval(LEFT, UUID(request))
        assert "completed" == outcome, "what is no content stays"
        return left


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def postgres(made: Database) -> AsyncIterator[PostgresWorld]:
    pool = await open_pool(made.worker, size=2)
    try:
        yield PostgresWorld(pool, PostgresPurges(pool), made.admin)
    finally:
        await pool.close()


@pytest.mark.integration
class TestPostgresPurges(PurgesContract):
    @pytest.fixture
    @override
    async def world(self, postgres: PostgresWorld) -> World:
        return postgres

    async def test_findings_go_also_where_there_was_no_answer(
        self, postgres: PostgresWorld
    ) -> None:
        """They lie under the request's key in its row, as its answer does."""
        tenant = await postgres.tenant()
        request = await postgres.leave(tenant)
        async with as_tenant(postgres.pool, tenant) as connection:
            await connection.execute(NO_ANSWER, UUID(request))
        plan = await postgres.purges.begin(plan_of(tenant, [request]))

        targets = await postgres.purges.delete_rows(plan)

        assert {(1, 0)} == {(each.deleted, each.remaining) for each in targets}
        async with as_tenant(postgres.pool, tenant) as connection:
            assert await connection.fetchval(
                "select not finished ? 'findings' from sluice.request"
            )

    async def test_a_person_of_many_requests_is_forgotten_in_all_of_them(
        self, postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More than a transaction deletes; what is left of any is told."""
        monkeypatch.setattr(retention, "BATCH", 2)
        stays = replace(TABLES["provider_call"], erase=NOTHING)
        tenant = await postgres.tenant()
        requests = [await postgres.leave(tenant) for _ in range(5)]
        plan = await postgres.purges.begin(plan_of(tenant, requests))

        with monkeypatch.context() as patched:
            patched.setitem(TABLES, "provider_call", stays)
            before = await postgres.purges.delete_rows(plan)
        after = await postgres.purges.delete_rows(plan)

        assert {"provider_call": (0, 5), "request": (5, 0)} == counts(before)
        assert {"provider_call": (5, 0), "request": (5, 0)} == counts(after)
        assert [False] * 5 == [await postgres.left(tenant, each) for each in requests]

    async def test_every_table_is_on_the_map(self, made: Database) -> None:
        admin = await asyncpg.connect(made.admin)
        found = {row[0] for row in await admin.fetch(CATALOGUE)}
        await admin.close()

        assert found == set(TABLES)

    async def test_only_known_columns_could_hold_content_and_not_be_erased(
        self, made: Database
    ) -> None:
        """Sealed bytes fit into bytea and jsonb: each such column was thought about."""
        admin = await asyncpg.connect(made.admin)
        found = {f"{row[0]}.{row[1]}" for row in await admin.fetch(BYTES)}
        await admin.close()
        erased = {"request.finished", "provider_call.result"}
        without = {
            "api_key_secret.sha256",
            "client.sha256",
            "policy.document",
            "request.terms",
            "request.fingerprint",
            "outbox.headers",
            "outbox.key",
            "outbox.value",
            "purge_job.deleted",
            "purge_job.probe",
            "webhook_endpoint.health",
            "webhook_endpoint.url_sealed",
            "webhook_message.body",  # ids and words of ours, by its own tests
            "webhook_secret.key_sealed",
        }
        ledger = {each for each in found if each.startswith("ledger_")}

        assert found - ledger == erased | without
        assert {"request", "provider_call"} == {
            name for name, each in TABLES.items() if each.holds is Holds.CONTENT
        }
