"""Deliveries: the twin and Postgres keep one contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import orjson
import pytest

from infra.postgres.deliveries import SWEEP, WHO_DUE
from infra.postgres.logs import AS_FINDER
from infra.postgres.pool import as_tenant
from pipeline.ports.webhooks import (
    PROBE,
    SWEPT_AFTER,
    Change,
    Due,
)
from pipeline.webhooks import (
    FAILURES_IN_A_ROW,
    SCHEDULE,
    Again,
    Attempt,
    Delivered,
    Exhausted,
    Gone,
    Next,
)
from schemas.ids import TenantId
from schemas.webhooks import Kind
from tests.support.installation import Installation
from tests.support.webhook_house import (
    BAD,
    LEASE,
    OK,
    SECOND,
    TOOK,
    House,
    OnPostgres,
    OnTwin,
    planned,
)
from tests.support.webhooks import holder, message

MANY = 3_000
BACKLOG = """
with kept as (
  insert into sluice.webhook_message
  select tenant_id, 'msg_' || n, environment, kind, body, created_at
    from sluice.webhook_message, generate_series(1, $4) n where tenant_id = $1
  returning tenant_id, id)
insert into sluice.webhook_delivery
  (tenant_id, message_id, endpoint_id, state, next_attempt_at)
select tenant_id, id, $2, 'due', $3::timestamptz from kept
"""


class DeliveriesContract:
    async def test_each_endpoint_that_wants_it_is_told_once(
        self, house: House, tenant: TenantId
    ) -> None:
        wanting = [await house.endpoint(tenant) for _ in range(2)]
        await house.endpoint(tenant, Kind.REQUEST_FAILED)
        await house.endpoint(tenant, environment="test")

        first, again = await house.told(tenant), await house.told(tenant)

        assert {each.id for each in wanting} == {each.endpoint_id for each in first}
        assert set(first) == set(again)

    async def test_who_came_later_is_not_told_of_before(
        self, house: House, tenant: TenantId
    ) -> None:
        early = replace(message(tenant, "x"), created_at=house.now - SECOND)
        await house.endpoint(tenant)

        assert [] == list(await house.deliveries.announce([early]))

    async def test_of_what_is_told_together_each_tenant_gets_its_own(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        made = {each: await house.endpoint(each) for each in (tenant, other)}
        messages = [
            replace(message(each, f"{each} {cause}"), created_at=house.now)
            for cause in ("one", "two")
            for each in made
        ]

        told = await house.deliveries.announce(messages)

        got = []
        for due in told:
            claimed = await house.deliveries.claim(due, house.now, LEASE)
            assert claimed is not None
            got.append((due.endpoint_id, claimed.message_id, claimed.body))
        assert sorted(got) == sorted(
            (made[each.tenant_id].id, each.id, each.body) for each in messages
        )

    async def test_a_claim_has_all_that_an_attempt_needs(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)

        claimed = await house.deliveries.claim(due, house.now, LEASE)

        assert claimed is not None
        told = message(tenant, "one")
        assert (told.id, told.body, b"sealed") == (
            claimed.message_id,
            claimed.body,
            claimed.url_sealed,
        )
        assert [b"sealed"] == [each.sealed for each in claimed.secrets]

    async def test_a_delivery_is_leased_to_one(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        claims = house.deliveries.claim

        assert await claims(due, house.now, LEASE) is not None
        assert await claims(due, house.now + LEASE - SECOND, LEASE) is None
        assert await claims(due, house.now + LEASE, LEASE) is not None

    async def test_of_several_who_claim_at_once_one_may(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        told = [due for each in "abcd" for due in await house.told(tenant, each)]
        for due in told:
            claims = (house.deliveries.claim(due, house.now, LEASE) for _ in range(4))
            made = await asyncio.gather(*claims)

            assert 1 == sum(each is not None for each in made)

    async def test_another_tenant_claims_nothing(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        theirs = replace(due, tenant_id=other)

        assert await house.deliveries.claim(theirs, house.now, LEASE) is None

    async def test_what_was_delivered_is_over(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)

        assert Delivered() == await house.tried(due, OK)
        assert await house.deliveries.claim(due, house.now + LEASE, LEASE) is None
        assert [] == list(await house.told(tenant))

    async def test_a_failed_attempt_is_over_and_the_next_is_due(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)

        follows = await house.tried(due, BAD)

        assert Again(2, SCHEDULE[1]) == follows
        assert await house.deliveries.claim(due, house.now + LEASE, LEASE) is None
        second = replace(due, attempt=2)
        assert await house.deliveries.claim(second, house.now, LEASE) is not None

    async def test_what_a_topic_lost_is_swept_a_minute_later(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.tried(due, BAD)
        lost = house.now + SCHEDULE[1] + SWEPT_AFTER

        assert [] == await house.swept(tenant, lost - SECOND)
        assert [replace(due, attempt=2)] == await house.swept(tenant, lost)
        assert [] == await house.swept(tenant, lost)

    async def test_what_no_topic_delays_is_swept_when_it_is_due(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        due = await house.failed(due, 3)
        at = house.now + SCHEDULE[3]

        assert [] == await house.swept(tenant, at - SECOND)
        assert [due] == await house.swept(tenant, at)

    async def test_what_was_parked_is_swept_and_loses_no_attempt(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        until = house.now + 3 * SECOND
        await house.deliveries.park(due, until)

        assert [due] == await house.swept(tenant, until)
        assert await house.deliveries.claim(due, until, LEASE) is not None

    async def test_what_is_being_attempted_is_not_parked(
        self, house: House, tenant: TenantId
    ) -> None:
        """A second event of the same attempt found no room, and takes no lease away."""
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.claim(due, house.now, LEASE)
        until = house.now + 3 * SECOND
        await house.deliveries.park(due, until)

        assert [] == await house.swept(tenant, until)
        assert await house.deliveries.claim(due, until, LEASE) is None
        assert [due] == await house.swept(tenant, house.now + LEASE)

    async def test_a_delivery_that_ended_otherwise_is_over(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.end(due, "erased")

        assert await house.deliveries.claim(due, house.now, LEASE) is None
        assert [] == await house.swept(tenant, house.now + LEASE)

    async def test_what_was_delivered_ends_no_other_way(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.tried(due, OK)
        await house.deliveries.end(due, "erased")

        (kept,) = await house.page(tenant, states=("delivered", "erased"))
        assert "delivered" == kept.state

    async def test_after_five_failures_the_breaker_lets_one_through_at_a_time(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        one = await house.failed(one, 5)
        claim, opens = house.deliveries.claim, house.now + timedelta(seconds=30)

        assert await claim(two, house.now + SECOND, LEASE) is None
        assert await claim(two, opens, LEASE) is not None
        assert await claim(one, opens, LEASE) is None
        await house.deliveries.settle(two, OK, took=TOOK, now=opens, jitter=0)
        assert await claim(one, opens, LEASE) is not None

    async def test_of_several_who_would_probe_at_once_one_may(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        others = [due for each in "abcd" for due in await house.told(tenant, each)]
        await house.failed(one, FAILURES_IN_A_ROW)
        opens = house.now + timedelta(seconds=30)

        claims = (house.deliveries.claim(due, opens, LEASE) for due in others)
        made = await asyncio.gather(*claims)

        assert 1 == sum(each is not None for each in made)

    async def test_failures_at_once_all_count(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        causes = ["one", "two", "three", "four", "five"]
        told = [due for each in causes for due in await house.told(tenant, each)]
        (last,) = await house.told(tenant, "last")

        await asyncio.gather(*(house.tried(due, BAD) for due in told))

        assert await house.deliveries.claim(last, house.now + SECOND, LEASE) is None

    async def test_a_probe_that_never_ended_is_followed_by_another(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        one = await house.failed(one, 5)
        claim, opens = house.deliveries.claim, house.now + timedelta(seconds=30)

        assert await claim(two, opens, LEASE) is not None
        assert await claim(one, opens + PROBE - SECOND, LEASE) is None
        assert await claim(one, opens + PROBE, LEASE) is not None

    async def test_410_disables_and_what_is_left_is_skipped(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        await house.deliveries.claim(one, house.now, LEASE)
        gone = Attempt(status=410)

        settled = await house.deliveries.settle(
            one, gone, took=TOOK, now=house.now, jitter=0
        )

        assert (Gone(), "gone") == (settled.next, settled.disabled)
        found = await house.endpoints.get(made.id, holder(tenant))
        assert found is not None
        assert "gone" == found.disabled_reason
        assert await house.deliveries.claim(two, house.now, LEASE) is None
        assert [] == list(await house.told(tenant, "three"))

    @pytest.mark.parametrize(
        "late", [OK, BAD, Attempt(status=410)], ids=["taken", "refused", "gone"]
    )
    async def test_who_is_disabled_stays_so_whatever_else_was_under_way(
        self, house: House, tenant: TenantId, late: Attempt
    ) -> None:
        made = await house.endpoint(tenant)
        await house.endpoint(tenant, Kind.ENDPOINT_DISABLED)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        for due in (one, two):
            await house.deliveries.claim(due, house.now, LEASE)

        settled = [
            await house.deliveries.settle(due, seen, took=TOOK, now=house.now, jitter=0)
            for due, seen in ((one, Attempt(status=410)), (two, late))
        ]

        assert ["gone", None] == [each.disabled for each in settled]
        assert [1, 0] == [len(each.told) for each in settled]
        found = await house.endpoints.get(made.id, holder(tenant))
        assert found is not None
        assert "gone" == found.disabled_reason

    async def test_what_the_old_place_answers_says_nothing_of_the_new_one(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        dues = [due for n in range(5) for due in await house.told(tenant, str(n))]
        asked = [await house.deliveries.claim(due, house.now, LEASE) for due in dues]
        moved = Change(url_sealed=b"moved")
        await house.endpoints.update(made.id, moved, house.now, holder(tenant))

        settled = [
            await house.deliveries.settle(
                due,
                Attempt(status=410),
                took=TOOK,
                now=house.now,
                jitter=0,
                asked=claimed.url_sealed,
            )
            for due, claimed in zip(dues, asked, strict=True)
            if claimed is not None
        ]

        assert [(Again(2, SCHEDULE[1]), None)] * 5 == [
            (each.next, each.disabled) for each in settled
        ]
        found = await house.endpoints.get(made.id, holder(tenant))
        assert found is not None
        assert found.disabled_reason is None
        again = await house.deliveries.claim(
            replace(dues[0], attempt=2), house.now, LEASE
        )
        assert again is not None
        assert b"moved" == again.url_sealed

    async def test_who_is_disabled_is_told_to_the_others_with_it(
        self, house: House, tenant: TenantId
    ) -> None:
        """Not behind it: who dies between the two would have told nobody."""
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        other = await house.endpoint(tenant)
        await house.deliveries.claim(one, house.now, LEASE)

        settled = await house.deliveries.settle(
            one, Attempt(status=410), took=TOOK, now=house.now, jitter=0
        )

        (told,) = settled.told
        assert (other.id, 1) == (told.endpoint_id, told.attempt)
        claimed = await house.deliveries.claim(told, house.now, LEASE)
        assert claimed is not None
        assert "endpoint.disabled" == orjson.loads(claimed.body)["type"]

    async def test_a_change_enables_again(self, house: House, tenant: TenantId) -> None:
        made = await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        await house.deliveries.claim(one, house.now, LEASE)
        await house.deliveries.settle(
            one, Attempt(status=410), took=TOOK, now=house.now, jitter=0
        )

        changed = await house.endpoints.update(
            made.id, Change(name="again"), house.now, holder(tenant)
        )

        assert changed is not None
        assert changed.disabled_reason is None
        assert 1 == len(await house.told(tenant, "two"))

    async def test_what_is_enabled_again_begins_anew(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        one = await house.failed(one, 4)
        await house.tried(one, Attempt(status=410))
        await house.endpoints.update(
            made.id, Change(name="again"), house.now, holder(tenant)
        )
        (two,) = await house.told(tenant, "two")

        assert await house.deliveries.claim(two, house.now, LEASE) is not None

    @pytest.mark.parametrize(
        ("change", "anew"),
        [(Change(url_sealed=b"moved"), True), (Change(name="other"), False)],
        ids=["url", "name"],
    )
    async def test_only_where_it_moved_its_failures_count_no_more(
        self, house: House, tenant: TenantId, change: Change, *, anew: bool
    ) -> None:
        made = await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        await house.failed(one, FAILURES_IN_A_ROW)
        (two,) = await house.told(tenant, "two")
        await house.endpoints.update(made.id, change, house.now, holder(tenant))

        claimed = await house.deliveries.claim(two, house.now + SECOND, LEASE)

        assert anew == (claimed is not None)

    async def test_five_days_without_success_disable(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        await house.tried(one, BAD, house.now + timedelta(days=1))
        await house.deliveries.claim(two, house.now + timedelta(days=5), LEASE)

        settled = await house.deliveries.settle(
            two, BAD, took=TOOK, now=house.now + timedelta(days=5), jitter=0
        )

        assert "failing" == settled.disabled

    async def test_who_settles_late_tells_of_the_endpoint_all_the_same(
        self, house: House, tenant: TenantId
    ) -> None:
        """Its lease ran out, and another made the same attempt and was taken."""
        await house.endpoint(tenant)
        causes = map(str, range(FAILURES_IN_A_ROW))
        dues = [due for cause in causes for due in await house.told(tenant, cause)]
        (next_one,) = await house.told(tenant, "next")
        after = house.now + LEASE + SECOND
        for due in dues:
            assert await house.deliveries.claim(due, house.now, LEASE)
            assert Delivered() == await house.tried(due, OK, after)
        for due in dues:
            await house.deliveries.settle(due, BAD, took=TOOK, now=after, jitter=0.0)

        assert await house.deliveries.claim(next_one, after, LEASE) is None

    @pytest.mark.parametrize("first", [OK, BAD], ids=["taken", "refused"])
    async def test_who_settles_late_begins_no_attempt_that_is_over(
        self, house: House, tenant: TenantId, first: Attempt
    ) -> None:
        """Its lease ran out, and another made the same attempt meanwhile."""
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        after = house.now + LEASE + SECOND
        assert await house.deliveries.claim(due, house.now, LEASE)
        await house.tried(due, first, after)
        await house.deliveries.settle(due, BAD, took=TOOK, now=after, jitter=0.0)
        second = replace(due, attempt=2)

        claims = [
            await house.deliveries.claim(second, after, LEASE) is not None
            for _ in range(2)
        ]

        assert [first is BAD, False] == claims

    async def test_the_last_attempt_exhausts(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        at, follows = house.now, list[Next]()
        for number in range(1, len(SCHEDULE) + 1):
            at += timedelta(minutes=11)  # past any pause of the breaker
            follows.append(await house.tried(replace(due, attempt=number), BAD, at))

        assert Exhausted() == follows[-1]
        assert all(isinstance(each, Again) for each in follows[:-1])

    async def test_an_endpoint_is_deleted_in_the_middle_of_an_attempt(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        assert await house.deliveries.claim(due, house.now, LEASE)
        assert await house.endpoints.delete(made.id, holder(tenant))
        later = house.now + LEASE + SECOND

        for seen in (OK, BAD, Attempt(status=410)):
            settled = await house.deliveries.settle(
                due, seen, took=TOOK, now=house.now, jitter=0.0
            )
            assert settled.disabled is None
            assert [] == list(settled.told)
        assert await house.deliveries.claim(due, later, LEASE) is None
        assert [] == await house.swept(tenant, later)

    async def test_what_is_old_is_forgotten(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.forget(house.now)
        kept = await house.deliveries.claim(due, house.now, LEASE)
        await house.deliveries.forget(house.now + SECOND)

        assert kept is not None
        assert await house.deliveries.claim(due, house.now + LEASE, LEASE) is None


class TestMemoryDeliveries(OnTwin, DeliveriesContract):
    pass


@pytest.mark.integration
class TestPostgresDeliveries(OnPostgres, DeliveriesContract):
    async def test_of_several_sweepers_each_takes_what_no_other_has(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        kept = [each for n in range(60) for each in await house.told(tenant, f"{n}")]
        found: list[Due] = []
        while took := await self.swept_at_once(house, tenant):
            found += took

        assert sorted(each.delivery for each in kept) == sorted(
            each.delivery for each in found
        )

    async def test_a_backlog_of_one_tenant_is_read_for_no_other(
        self,
        house: House,
        tenant: TenantId,
        other: TenantId,
        pool: asyncpg.Pool,
        installation: Installation,
    ) -> None:
        """All are swept each second: what one has due costs the others nothing."""
        made = await house.endpoint(tenant)
        for each in (tenant, other):
            await house.endpoint(each)
            await house.told(each)
        owner = await asyncpg.connect(installation.superuser)
        try:
            await owner.execute(BACKLOG, UUID(tenant), UUID(made.id), house.now, MANY)
            await owner.execute("analyze sluice.webhook_delivery")
        finally:
            await owner.close()
        later = house.now + 2 * SWEPT_AFTER
        async with as_tenant(pool, other) as connection:
            sweep = await planned(connection, SWEEP, later, 10, SWEPT_AFTER)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(AS_FINDER)
            who = await planned(connection, WHO_DUE, later)

        assert (True, True) == (sweep < MANY / 10, who < MANY / 10)

    async def swept_at_once(self, house: House, tenant: TenantId) -> list[Due]:
        later = house.now + 2 * SWEPT_AFTER
        rounds = await asyncio.gather(
            *(house.deliveries.sweep(later, 7) for _ in range(4))
        )
        return [each for one in rounds for each in one if each.tenant_id == tenant]

    async def test_what_no_endpoint_wants_is_not_kept(
        self, house: House, tenant: TenantId, pool: asyncpg.Pool
    ) -> None:
        await house.endpoint(tenant, Kind.REQUEST_FAILED)
        await house.endpoint(tenant, environment="test")
        told = await house.told(tenant)
        async with as_tenant(pool, tenant) as connection:
            kept = await connection.fetchval(
                "select count(*) from sluice.webhook_message"
            )

        assert (0, 0) == (len(told), kept)

    async def test_an_endpoint_that_is_being_deleted_holds_up_no_announcement(
        self, house: House, tenant: TenantId, other: TenantId, pool: asyncpg.Pool
    ) -> None:
        made, there = await house.endpoint(tenant), await house.endpoint(other)
        ends = [
            replace(message(each, "one"), created_at=house.now)
            for each in (tenant, other)
        ]
        async with as_tenant(pool, tenant) as deleting:
            await deleting.execute(
                "delete from sluice.webhook_endpoint where id = $1", UUID(made.id)
            )
            told = asyncio.create_task(house.deliveries.announce(ends))
            await asyncio.wait({told}, timeout=0.3)

        assert [there.id] == [due.endpoint_id for due in await told]

    async def test_who_is_deleted_while_an_attempt_is_settled_is_deleted(
        self, house: House, tenant: TenantId, pool: asyncpg.Pool
    ) -> None:
        """Both wait for the endpoint, and neither holds what the other needs."""
        made = await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        assert await house.deliveries.claim(due, house.now, LEASE)
        async with as_tenant(pool, tenant) as holding:
            await holding.execute(
                "select from sluice.webhook_endpoint where id = $1 for update",
                UUID(made.id),
            )
            deleted = asyncio.create_task(
                house.endpoints.delete(made.id, holder(tenant))
            )
            await asyncio.wait({deleted}, timeout=0.3)
            settled = asyncio.create_task(
                house.deliveries.settle(due, OK, took=TOOK, now=house.now, jitter=0.0)
            )
            await asyncio.wait({settled}, timeout=0.3)

        assert await deleted
        assert (await settled).disabled is None

    async def test_an_attempt_is_kept_with_what_follows_or_not_at_all(
        self,
        house: House,
        tenant: TenantId,
        pool: asyncpg.Pool,
        installation: Installation,
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        assert await house.deliveries.claim(due, house.now, LEASE)
        async with failing_last(installation):
            with pytest.raises(asyncpg.RaiseError):
                await self.settled(house, due)
        between = await self.attempts(pool, tenant)
        after = await self.settled(house, due)

        assert (0, 1) == (between, await self.attempts(pool, tenant))
        assert Delivered() == after

    async def settled(self, house: House, due: Due) -> Next:
        found = await house.deliveries.settle(
            due, OK, took=TOOK, now=house.now, jitter=0.0
        )
        return found.next

    async def attempts(self, pool: asyncpg.Pool, tenant: TenantId) -> int:
        async with as_tenant(pool, tenant) as connection:
            count: int = await connection.fetchval(
                "select count(*) from sluice.webhook_attempt"
            )
        return count


@asynccontextmanager
async def failing_last(installation: Installation) -> AsyncIterator[None]:
    """The endpoint's row, which is written last, cannot be."""
    admin = await asyncpg.connect(installation.superuser)
    await admin.execute(FAILING)
    try:
        yield
    finally:
        await admin.execute("drop function sluice.fails cascade")
        await admin.close()


FAILING = """
create function sluice.fails() returns trigger language plpgsql
  as $$ begin raise exception 'this row cannot be written'; end $$;
create trigger fails before update on sluice.webhook_endpoint
  for each row execute function sluice.fails();
"""
