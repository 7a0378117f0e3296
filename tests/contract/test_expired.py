"""Rows whose keys have expired: the twin and Postgres keep one contract."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from infra.memory.expired import MemoryExpired
from infra.memory.requests import MemoryProviderCalls, MemoryRequests
from infra.postgres.pool import open_pool
from infra.system import SystemClock
from pipeline.retention import last_expired
from tests.support.expired import (
    ANSWER,
    LONG_AGO,
    NOW,
    TODAY,
    World,
    a_day_ago,
    in_postgres,
)
from tests.support.installation import Installation, new_tenant


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

    async def test_findings_go_with_the_answer_and_without_one(
        self, world: World
    ) -> None:
        """They are sealed under the same key, in the same row."""
        gone = [
            await world.ended("1d", LONG_AGO, answer=answer, findings=(ANSWER,))
            for answer in (ANSWER, None)
        ]
        stays = await world.ended("1d", TODAY, answer=None, findings=(ANSWER,))

        assert len(gone) == await world.expire()

        assert [False, False] == [await world.answered(each) for each in gone]
        assert await world.answered(stays)

    async def test_what_never_had_an_answer_is_not_counted(self, world: World) -> None:
        await world.ended("1d", LONG_AGO, answer=None)

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
        rows = MemoryExpired(requests, calls)
        return World(requests=requests, calls=calls, rows=rows, tenant=new_tenant())


@pytest.mark.integration
class TestPostgresExpired(ExpiredContract):
    @pytest.fixture
    async def world(self, installation: Installation) -> AsyncIterator[World]:
        async with await open_pool(installation.urls["sluice_worker"], size=2) as pool:
            yield await in_postgres(pool, installation.superuser)
