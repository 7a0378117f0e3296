"""Endpoints and deliveries: the twin and Postgres keep one contract."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import orjson
import pytest

from infra.memory.webhooks import MemoryWebhooks
from infra.postgres.deliveries import SWEEP, WHO_DUE, PostgresDeliveries
from infra.postgres.endpoints import PostgresEndpoints
from infra.postgres.logs import AS_FINDER
from infra.postgres.pool import Connection, as_tenant, open_pool
from infra.system import SystemClock, SystemEntropy
from pipeline.ports.webhooks import (
    MAX_ENDPOINTS,
    PROBE,
    SWEPT_AFTER,
    Change,
    Deliveries,
    Due,
    Endpoint,
    Endpoints,
    SealedSecret,
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
from schemas.ids import EndpointId, TenantId
from schemas.webhooks import Kind
from tests.support.installation import Installation, known_tenant, new_tenant
from tests.support.webhooks import bare, holder, message

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
TOOK = timedelta(milliseconds=12)
OK = Attempt(status=204)
BAD = Attempt(status=500)


class Acts(Protocol):
    """What the tenant's log will be told."""

    async def __call__(self, tenant: TenantId) -> Sequence[str]: ...


@dataclass(frozen=True)
class House:
    """Both ports over the same rows.

    Attributes:
        now: the clock of the rows: a fixed moment for the twin, now for Postgres.
    """

    endpoints: Endpoints
    deliveries: Deliveries
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


class EndpointsContract:
    async def test_what_was_created_is_found_by_its_holder(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant, Kind.REQUEST_COMPLETED)

        assert made == await house.endpoints.get(made.id, holder(tenant))
        assert [made] == list(await house.endpoints.all(holder(tenant)))
        assert ["endpoint.created"] == list(await house.acts(tenant))

    async def test_another_tenant_and_another_environment_find_nothing(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        for stranger in (holder(other), holder(tenant, "test")):
            secret = SealedSecret(made.id, b"s", "h")

            assert await house.endpoints.get(made.id, stranger) is None
            assert [] == list(await house.endpoints.all(stranger))
            change = Change(name="mine")
            assert (
                await house.endpoints.update(made.id, change, house.now, stranger)
                is None
            )
            assert not await house.endpoints.delete(made.id, stranger)
            assert (
                await house.endpoints.rotate(
                    made.id, secret, now=house.now, old_until=house.now, by=stranger
                )
                is None
            )
        assert made == await house.endpoints.get(made.id, holder(tenant))

    async def test_a_change_leaves_the_rest(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        later = house.now + SECOND

        changed = await house.endpoints.update(
            made.id, Change(name="other"), later, holder(tenant)
        )
        fewer = Change(event_types=(Kind.REQUEST_COMPLETED,))
        again = await house.endpoints.update(made.id, fewer, later, holder(tenant))

        other = replace(made, name="other", updated_at=later)
        assert other == changed
        assert replace(other, event_types=fewer.event_types or ()) == again
        assert ["endpoint.created", "endpoint.updated", "endpoint.updated"] == list(
            await house.acts(tenant)
        )

    async def test_the_newest_comes_first(self, house: House, tenant: TenantId) -> None:
        for seconds in (1, 0, 2):
            created, secret = bare(tenant, made=house.now + seconds * SECOND)
            assert await house.endpoints.create(created, secret, holder(tenant))

        found = await house.endpoints.all(holder(tenant))

        ages = [(each.created_at - house.now) / SECOND for each in found]
        assert [2, 1, 0] == ages

    async def test_what_was_deleted_is_told_of_nothing(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        (due,) = await house.told(tenant)

        assert await house.endpoints.delete(made.id, holder(tenant))
        assert await house.endpoints.get(made.id, holder(tenant)) is None
        assert await house.deliveries.claim(due, house.now, LEASE) is None
        assert [] == list(await house.told(tenant))

    async def test_there_are_only_so_many(self, house: House, tenant: TenantId) -> None:
        for _ in range(MAX_ENDPOINTS):
            await house.endpoint(tenant)
        one_more, secret = bare(tenant)

        assert not await house.endpoints.create(one_more, secret, holder(tenant))
        assert MAX_ENDPOINTS == len(await house.endpoints.all(holder(tenant)))

    async def test_an_old_secret_signs_until_its_end(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        row = EndpointId(SystemEntropy().uuid7())
        until = house.now + timedelta(hours=24)

        changed = await house.endpoints.rotate(
            made.id,
            SealedSecret(row, b"new", "new="),
            now=house.now + SECOND,
            old_until=until,
            by=holder(tenant),
        )

        assert changed is not None
        assert "new=" == changed.hint
        seen = await house.endpoints.secrets(tenant, made.id, until - SECOND)
        assert [(b"new", None), (b"sealed", until)] == [
            (each.sealed, each.not_after) for each in seen
        ]
        seen = await house.endpoints.secrets(tenant, made.id, until)
        assert [b"new"] == [each.sealed for each in seen]

    async def test_without_grace_the_old_one_ends_at_once(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        now = house.now + SECOND

        await house.endpoints.rotate(
            made.id,
            SealedSecret(SystemEntropy().uuid7(), b"new", "new="),
            now=now,
            old_until=now,
            by=holder(tenant),
        )

        seen = await house.endpoints.secrets(tenant, made.id, now)
        assert [b"new"] == [each.sealed for each in seen]

    async def test_a_second_rotation_ends_the_oldest(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        for number in (1, 2):
            now = house.now + number * SECOND
            secret = SealedSecret(SystemEntropy().uuid7(), b"%d" % number, "h")
            await house.endpoints.rotate(
                made.id,
                secret,
                now=now,
                old_until=now + timedelta(hours=24),
                by=holder(tenant),
            )

        seen = await house.endpoints.secrets(tenant, made.id, house.now + 3 * SECOND)
        assert [b"2", b"1"] == [each.sealed for each in seen]


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

        assert [] == await self.swept(house, tenant, lost - SECOND)
        assert [replace(due, attempt=2)] == await self.swept(house, tenant, lost)
        assert [] == await self.swept(house, tenant, lost)

    async def test_what_no_topic_delays_is_swept_when_it_is_due(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        due = await house.failed(due, 3)
        at = house.now + SCHEDULE[3]

        assert [] == await self.swept(house, tenant, at - SECOND)
        assert [due] == await self.swept(house, tenant, at)

    async def test_what_was_parked_is_swept_and_loses_no_attempt(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        until = house.now + 3 * SECOND
        await house.deliveries.park(due, until)

        assert [due] == await self.swept(house, tenant, until)
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

        assert [] == await self.swept(house, tenant, until)
        assert await house.deliveries.claim(due, until, LEASE) is None
        assert [due] == await self.swept(house, tenant, house.now + LEASE)

    async def test_a_delivery_that_ended_otherwise_is_over(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.end(due, "erased")

        assert await house.deliveries.claim(due, house.now, LEASE) is None
        assert [] == await self.swept(house, tenant, house.now + LEASE)

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
        assert [] == await self.swept(house, tenant, later)

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

    async def swept(self, house: House, tenant: TenantId, now: datetime) -> list[Due]:
        found = await house.deliveries.sweep(now, 10)
        return [each for each in found if each.tenant_id == tenant]


class TestMemoryWebhooks(EndpointsContract, DeliveriesContract):
    @pytest.fixture
    def house(self) -> House:
        twin = MemoryWebhooks()

        async def acts(tenant: TenantId) -> Sequence[str]:
            return [act for by, act in twin.acts if by.tenant_id == tenant]

        return House(twin, twin, acts, datetime(2026, 1, 1, 12, tzinfo=UTC))

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()

    @pytest.fixture
    def other(self) -> TenantId:
        return new_tenant()


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


@pytest.mark.integration
class TestPostgresWebhooks(EndpointsContract, DeliveriesContract):
    @pytest.fixture
    async def pool(self, installation: Installation) -> AsyncIterator[asyncpg.Pool]:
        url = installation.urls["sluice_worker"]
        async with await open_pool(url, size=4) as opened:
            yield opened

    @pytest.fixture
    def house(self, pool: asyncpg.Pool) -> House:
        clock = SystemClock()
        endpoints = PostgresEndpoints(pool=pool, clock=clock, entropy=SystemEntropy())

        async def acts(tenant: TenantId) -> Sequence[str]:
            async with as_tenant(pool, tenant) as connection:
                rows = await connection.fetch(
                    "select headers, value from sluice.outbox order by created_at"
                )
            return [orjson.loads(row["value"])["action"] for row in rows]

        return House(endpoints, PostgresDeliveries(pool=pool), acts, clock.now())

    @pytest.fixture
    async def tenant(self, pool: asyncpg.Pool) -> TenantId:
        return await known_tenant(pool)

    @pytest.fixture
    async def other(self, pool: asyncpg.Pool) -> TenantId:
        return await known_tenant(pool)

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
            sweep = await planned(connection, SWEEP, later, 500, SWEPT_AFTER)
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
