"""Rows whose keys have expired: the twin and Postgres keep one contract."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from demo.stack import Stack
from infra.memory.expired import MemoryExpired
from infra.memory.requests import MemoryProviderCalls, MemoryRequests
from infra.postgres.admin import TENANT
from infra.postgres.expired import PostgresExpired
from infra.postgres.pool import as_tenant, open_pool
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.system import SystemClock
from pipeline.keystore import Partition, class_named, key_id
from pipeline.ports.requests import ProviderCalls, Requests
from pipeline.ports.retention import ExpiredRows
from pipeline.retention import last_expired
from schemas.events import Event
from schemas.ids import RequestId, TenantId
from schemas.requests import SealedContent
from tests.support.installation import (
    ENTROPY,
    Installation,
    ended,
    installed,
    new_request_id,
    new_tenant,
    terms,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
LONG_AGO = TODAY - timedelta(days=400)
ANSWER = SealedContent(sealed=b"sealed", commit="0" * 64)


@dataclass(frozen=True)
class World:
    """Requests and calls, and what deletes of them."""

    requests: Requests
    calls: ProviderCalls
    rows: ExpiredRows
    tenant: TenantId

    async def ended(
        self, name: str, day: date, answer: SealedContent | None = ANSWER
    ) -> RequestId:
        """A request whose answer lies under a key of this class and day."""
        request = new_request_id()
        key = key_id(Partition(class_named(name), day), ENTROPY.bytes(13))
        end = ended(self.tenant, request, known=terms(key_id=key))
        data = end.data.model_copy(update={"answer": answer})
        await self.requests.finish([Event(end.attributes, data)])
        return request

    async def answered(self, request: RequestId) -> bool:
        state = await self.requests.get(self.tenant, request)
        assert state is not None
        assert state.finished is not None
        return state.finished.answer is not None

    async def called(self, ago: timedelta) -> RequestId:
        """A call whose lease ended so long ago."""
        request = new_request_id()
        await self.calls.take(self.tenant, request, -ago)
        return request

    async def expire(self, limit: int = 1_000) -> int:
        return await self.rows.answers(self.tenant, last_expired(NOW), limit)


@pytest.fixture(scope="module")
def installation(stack: Stack) -> Iterator[Installation]:
    with installed(stack.postgres_url) as made:
        yield made


def a_day_ago() -> datetime:
    """By the clock that leases are on."""
    return SystemClock().now() - timedelta(days=1)


class ExpiredContract:
    async def test_answers_go_by_class_and_day_of_their_keys(
        self, world: World
    ) -> None:
        gone = [
            await world.ended("transient", TODAY - timedelta(days=1)),
            await world.ended("1d", TODAY - timedelta(days=2)),
            await world.ended("1d", LONG_AGO),
            await world.ended("7d", TODAY - timedelta(days=8)),
        ]
        stay = [
            await world.ended("transient", TODAY),
            await world.ended("1d", TODAY - timedelta(days=1)),
            await world.ended("7d", TODAY - timedelta(days=7)),
            await world.ended("30d", TODAY - timedelta(days=8)),
        ]

        deleted = await world.expire()

        assert len(gone) == deleted
        assert [False] * len(gone) == [await world.answered(each) for each in gone]
        assert [True] * len(stay) == [await world.answered(each) for each in stay]
        assert 0 == await world.expire()

    async def test_the_end_itself_stays(self, world: World) -> None:
        request = await world.ended("1d", LONG_AGO)
        before = await world.requests.get(world.tenant, request)

        await world.expire()

        after = await world.requests.get(world.tenant, request)
        assert before is not None
        assert after is not None
        assert before.outcome == after.outcome
        assert before.finished_by == after.finished_by

    async def test_what_never_had_an_answer_is_not_counted(self, world: World) -> None:
        await world.ended("1d", LONG_AGO, None)

        assert 0 == await world.expire()

    async def test_a_batch_is_bounded(self, world: World) -> None:
        for _ in range(5):
            await world.ended("1d", LONG_AGO)
        for _ in range(3):
            await world.called(timedelta(days=2))
        before = a_day_ago()

        answers = [await world.expire(2) for _ in range(4)]
        calls = [await world.rows.calls(world.tenant, before, 2) for _ in range(3)]

        assert [2, 2, 1, 0] == answers
        assert [2, 1, 0] == calls

    async def test_another_tenants_rows_are_out_of_reach(self, world: World) -> None:
        request = await world.ended("1d", LONG_AGO)
        call = await world.called(timedelta(days=2))
        other = new_tenant()

        assert 0 == await world.rows.answers(other, last_expired(NOW), 1_000)
        assert 0 == await world.rows.calls(other, a_day_ago(), 1_000)
        assert await world.answered(request)
        assert await world.calls.begun(world.tenant, call)

    async def test_results_go_by_age(self, world: World) -> None:
        gone = [await world.called(timedelta(hours=n)) for n in (25, 48)]
        stays = await world.called(timedelta(hours=23))

        deleted = await world.rows.calls(world.tenant, a_day_ago(), 1_000)

        begun = [await world.calls.begun(world.tenant, each) for each in gone]
        assert len(gone) == deleted
        assert [False, False] == begun
        assert await world.calls.begun(world.tenant, stays)


class TestMemoryExpired(ExpiredContract):
    @pytest.fixture
    def world(self) -> World:
        requests = MemoryRequests()
        calls = MemoryProviderCalls(SystemClock(), requests)
        return World(requests, calls, MemoryExpired(requests, calls), new_tenant())


@pytest.mark.integration
class TestPostgresExpired(ExpiredContract):
    @pytest.fixture
    async def world(self, installation: Installation) -> AsyncIterator[World]:
        url, tenant = installation.urls["sluice_worker"], new_tenant()
        async with await open_pool(url, size=2) as pool:
            async with as_tenant(pool, tenant) as connection:
                await connection.execute(TENANT, "test")
            yield World(
                PostgresRequests(pool),
                PostgresProviderCalls(pool),
                PostgresExpired(pool),
                tenant,
            )
