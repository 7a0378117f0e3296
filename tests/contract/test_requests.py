"""Requests and claims: the twin and Postgres keep one contract."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from infra.memory.requests import MemoryProviderCalls, MemoryRequests
from infra.postgres.pool import open_pool
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.postgres.sweep import PostgresSweep
from infra.system import SystemClock
from pipeline.keystore import KeyId
from pipeline.ports.keys import KeyRef
from pipeline.ports.requests import (
    Done,
    Fresh,
    Held,
    Known,
    Overdue,
    ProviderCalls,
    Requests,
    Spent,
    Sweep,
    Taken,
)
from schemas.events import Event
from schemas.ids import TenantId
from schemas.requests import Outcome, RequestFinished, Retention
from tests.support.installation import (
    Installation,
    admitted,
    ended,
    known_tenant,
    new_request_id,
    new_tenant,
    terms,
)

LEASE = timedelta(seconds=60)
OVER = timedelta(milliseconds=-1)
PAST = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Swept:
    """Requests, and the sweep over the same rows."""

    requests: Requests
    sweep: Sweep


@pytest.fixture
async def pool(installation: Installation) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(installation.urls["sluice_worker"], size=4) as opened:
        yield opened


class RequestsContract:
    async def test_the_first_admission_is_fresh_and_the_next_learn_of_it(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request = new_request_id()
        first = await requests.admit(admitted(tenant, request, b"a" * 32))
        second = await requests.admit(admitted(tenant, request, b"b" * 32))

        assert Fresh() == first
        assert Known(terms(), b"a" * 32) == second

    async def test_of_many_at_once_one_is_fresh(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request = new_request_id()
        found = await asyncio.gather(
            *(requests.admit(admitted(tenant, request)) for _ in range(20))
        )

        assert [Fresh()] == [each for each in found if isinstance(each, Fresh)]

    async def test_the_first_end_wins_and_wins_again(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await requests.admit(admitted(tenant, request))
        first = ended(tenant, request, cause="a")
        late = ended(tenant, request, cause="b", outcome=Outcome.FAILED)

        assert [True, False] == list(await requests.finish([first, late]))
        assert [False, True] == list(await requests.finish([late, first]))
        state = await requests.get(tenant, request)
        assert state is not None
        assert (Outcome.COMPLETED, first.data) == (state.outcome, state.finished)

    async def test_of_two_ends_at_once_one_wins(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        """A cancel and a completion, each from a process of its own."""
        names = [new_request_id() for _ in range(20)]
        for name in names:
            await requests.admit(admitted(tenant, name))
        ends = [
            (
                ended(tenant, name, cause="a"),
                ended(tenant, name, cause="b", outcome=Outcome.CANCELLED),
            )
            for name in names
        ]

        said = await asyncio.gather(
            *(requests.finish([end]) for pair in ends for end in pair)
        )

        won = [first for (first,) in said]
        assert [1] * 20 == [sum(won[at : at + 2]) for at in range(0, 40, 2)]
        for (one, other), name in zip(ends, names, strict=True):
            state = await requests.get(tenant, name)
            assert state is not None
            first = won[2 * names.index(name)]
            assert (one if first else other).attributes.id == state.finished_by

    async def test_an_end_of_what_was_never_admitted_here_admits_it(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request = new_request_id()
        event = ended(tenant, request)

        assert [True] == list(await requests.finish([event]))
        state = await requests.get(tenant, request)
        assert state is not None
        assert event.attributes.id == state.finished_by

    async def test_an_end_without_terms_takes_those_of_the_row(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request, unknown = new_request_id(), new_request_id()
        await requests.admit(admitted(tenant, request))
        events = [
            _without_terms(ended(tenant, each, outcome=Outcome.FAILED))
            for each in (request, unknown)
        ]

        assert [True, True] == list(await requests.finish(events))
        state = await requests.get(tenant, request)
        assert state is not None
        assert (Outcome.FAILED, terms()) == (state.outcome, state.terms)
        assert await requests.get(tenant, unknown) is None

    async def test_another_tenants_request_is_none(
        self, requests: Requests, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await requests.admit(admitted(tenant, request))

        assert await requests.get(new_tenant(), request) is None


class SweepContract:
    async def test_open_requests_past_their_deadline_are_overdue(
        self, swept: Swept, tenant: TenantId
    ) -> None:
        late, done, early = (new_request_id() for _ in range(3))
        for request, deadline in ((late, PAST), (done, PAST), (early, AHEAD)):
            made = admitted(tenant, request)
            known = terms(deadline=deadline)
            await swept.requests.admit(replace(made, terms=known))
        await swept.requests.finish([ended(tenant, done)])

        found = [
            each
            for each in await swept.sweep.overdue(PAST + LEASE, 10)
            if each.tenant_id == tenant
        ]

        assert [Overdue(tenant, late, terms(deadline=PAST))] == found

    async def test_only_transient_keys_pass(
        self, swept: Swept, tenant: TenantId
    ) -> None:
        transient = Retention(retention_class="transient", day="2026-11-22")
        kept, before, passing = (new_request_id() for _ in range(3))
        for request, known in (
            (kept, terms(deadline=PAST)),
            (before, terms(deadline=PAST - LEASE, retention=transient)),
            (passing, terms(deadline=PAST, retention=transient)),
        ):
            await swept.requests.admit(replace(admitted(tenant, request), terms=known))

        found = [
            ref
            for ref in await swept.sweep.passing(PAST - LEASE, PAST)
            if ref.tenant_id == tenant
        ]

        assert [KeyRef(tenant, passing, KeyId(terms().key_id))] == found


class TestMemorySweep(SweepContract):
    @pytest.fixture
    def swept(self) -> Swept:
        rows = MemoryRequests()
        return Swept(rows, rows)

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()


@pytest.mark.integration
class TestPostgresSweep(SweepContract):
    @pytest.fixture
    def swept(self, pool: asyncpg.Pool) -> Swept:
        return Swept(PostgresRequests(pool), PostgresSweep(pool))

    @pytest.fixture
    async def tenant(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)


def _without_terms(event: Event[RequestFinished]) -> Event[RequestFinished]:
    return Event(event.attributes, event.data.model_copy(update={"terms": None}))


class TestMemoryRequests(RequestsContract):
    @pytest.fixture
    def requests(self) -> Requests:
        return MemoryRequests()

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()


@pytest.mark.integration
class TestPostgresRequests(RequestsContract):
    @pytest.fixture
    def requests(self, pool: asyncpg.Pool) -> Requests:
        return PostgresRequests(pool)

    @pytest.fixture
    async def tenant(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)

    async def test_one_round_trip_serves_many_tenants(
        self, requests: Requests, installation: Installation
    ) -> None:
        tenants = [await known_tenant(installation) for _ in range(5)]
        made = [admitted(t, new_request_id()) for t in tenants for _ in range(4)]
        found = await asyncio.gather(*(requests.admit(each) for each in made))

        assert [Fresh()] * 20 == found
        for each in made:
            assert await requests.get(each.tenant_id, each.request_id) is not None


class CallsContract:
    @pytest.mark.parametrize("claimed", [False, True])
    async def test_what_has_ended_is_called_for_no_more(
        self,
        calls: ProviderCalls,
        requests: Requests,
        tenant: TenantId,
        *,
        claimed: bool,
    ) -> None:
        """Its claim may be gone, with its content."""
        request = new_request_id()
        await requests.admit(admitted(tenant, request))
        if claimed:
            await calls.take(tenant, request, OVER)
        await requests.finish([ended(tenant, request, cause="a")])

        assert Spent() == await calls.take(tenant, request, LEASE)
        assert claimed == await calls.begun(tenant, request)

    async def test_the_second_taker_is_told_how_long_to_wait(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()

        assert Taken(again=False) == await calls.take(tenant, request, LEASE)
        assert isinstance(await calls.take(tenant, request, LEASE), Held)

    async def test_a_lease_that_ran_out_is_taken_once_more_and_then_spent(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await calls.take(tenant, request, OVER)

        assert Taken(again=True) == await calls.take(tenant, request, OVER)
        assert Spent() == await calls.take(tenant, request, LEASE)

    async def test_a_renewed_lease_is_held(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await calls.take(tenant, request, OVER)
        await calls.renew(tenant, request, LEASE)

        assert isinstance(await calls.take(tenant, request, LEASE), Held)

    async def test_a_claim_is_renewed_until_a_result_stands(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        before = await calls.renew(tenant, request, LEASE)
        await calls.take(tenant, request, LEASE)
        held = await calls.renew(tenant, request, LEASE)
        await calls.done(tenant, request, b"one")

        after = await calls.renew(tenant, request, LEASE)

        assert (False, True, False) == (before, held, after)

    async def test_a_call_has_begun_once_it_was_claimed(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        before = await calls.begun(tenant, request)
        await calls.take(tenant, request, LEASE)

        after = await calls.begun(tenant, request)
        of_another = await calls.begun(new_tenant(), request)

        assert (False, True, False) == (before, after, of_another)

    async def test_a_result_that_is_there_first_prevents_the_call(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await calls.done(tenant, request, b"cancelled")

        assert Done(b"cancelled") == await calls.take(tenant, request, LEASE)

    async def test_the_first_result_stands(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        request = new_request_id()
        await calls.take(tenant, request, LEASE)

        assert b"one" == await calls.done(tenant, request, b"one")
        assert b"one" == await calls.done(tenant, request, b"two")
        assert Done(b"one") == await calls.take(tenant, request, LEASE)

    async def test_of_many_takers_at_once_one_takes(
        self, calls: ProviderCalls, tenant: TenantId
    ) -> None:
        requests = [new_request_id() for _ in range(10)]
        found = await asyncio.gather(
            *(calls.take(tenant, r, LEASE) for r in requests for _ in range(2))
        )

        assert 10 == sum(isinstance(each, Taken) for each in found)


class TestMemoryCalls(CallsContract):
    @pytest.fixture
    def requests(self) -> MemoryRequests:
        return MemoryRequests()

    @pytest.fixture
    def calls(self, requests: MemoryRequests) -> ProviderCalls:
        return MemoryProviderCalls(SystemClock(), requests)

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()


@pytest.mark.integration
class TestPostgresCalls(CallsContract):
    @pytest.fixture
    def requests(self, pool: asyncpg.Pool) -> Requests:
        return PostgresRequests(pool)

    @pytest.fixture
    def calls(self, pool: asyncpg.Pool) -> ProviderCalls:
        return PostgresProviderCalls(pool)

    @pytest.fixture
    async def tenant(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)
