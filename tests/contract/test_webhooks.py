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
from infra.postgres.repeats import PAGE, PostgresRepeats
from infra.postgres.telling import Teller
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import SluiceError
from pipeline.ports.repeats import Repeats
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
from pipeline.repeats import MOST_ATTEMPTS, STATES, Delivery, Repeat, Repeated, Wanted
from pipeline.webhooks import (
    FAILURES_IN_A_ROW,
    KEPT,
    SCHEDULE,
    Again,
    Attempt,
    Delivered,
    Exhausted,
    Gone,
    Next,
)
from schemas.audit import AuditRecorded
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
        """Of one moment the larger id: else a page might repeat what another showed."""
        for seconds in (1, 0, 2, 2):
            created, secret = bare(tenant, made=house.now + seconds * SECOND)
            assert await house.endpoints.create(created, secret, holder(tenant))

        found = await house.endpoints.all(holder(tenant))

        ages = [(each.created_at - house.now) / SECOND for each in found]
        assert [2, 2, 1, 0] == ages
        assert found[0].id > found[1].id

    async def test_what_was_deleted_is_told_of_nothing(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        (due,) = await house.told(tenant)

        assert await house.endpoints.delete(made.id, holder(tenant))
        assert await house.endpoints.get(made.id, holder(tenant)) is None
        assert await house.deliveries.claim(due, house.now, LEASE) is None
        assert [] == list(await house.told(tenant))
        acts = ["endpoint.created", "endpoint.deleted"]
        assert acts == list(await house.acts(tenant))

    async def test_there_are_only_so_many(self, house: House, tenant: TenantId) -> None:
        """In one environment: those for trying things out take no other's place."""
        await house.endpoint(tenant, environment="test")
        for _ in range(MAX_ENDPOINTS - 1):
            await house.endpoint(tenant)
        create, by = house.endpoints.create, holder(tenant)
        await asyncio.gather(*(house.endpoints.all(by) for _ in range(4)))  # warm
        created = await asyncio.gather(*(create(*bare(tenant), by) for _ in range(4)))

        assert 1 == sum(created)
        assert not await create(*bare(tenant), by)
        assert MAX_ENDPOINTS == len(await house.endpoints.all(by))

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
        acts = ["endpoint.created", "endpoint.rotated"]
        assert acts == list(await house.acts(tenant))

    async def test_a_rotation_leaves_the_secrets_of_other_endpoints(
        self, house: House, tenant: TenantId
    ) -> None:
        """Else all but one would be sent what their subscribers refuse as forged."""
        made, other = [await house.endpoint(tenant) for _ in range(2)]
        for number in (1, 2):
            await house.endpoints.rotate(
                made.id,
                SealedSecret(SystemEntropy().uuid7(), b"new", "new="),
                now=house.now + number * SECOND,
                old_until=house.now + number * SECOND,
                by=holder(tenant),
            )

        seen = [
            await house.endpoints.secrets(tenant, each.id, house.now + 3 * SECOND)
            for each in (made, other)
        ]
        assert [[(b"new", None)], [(b"sealed", None)]] == [
            [(each.sealed, each.not_after) for each in found] for found in seen
        ]
        assert other == await house.endpoints.get(other.id, holder(tenant))

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


class RepeatsContract:
    async def test_what_became_of_each_is_listed_in_words_of_ours(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        due = await house.exhausted(tenant)

        (found,) = await house.page(tenant)

        told = message(tenant, "one")
        tried_at = house.now + len(SCHEDULE) * PAST_PAUSES - TOOK
        assert found == Delivery(
            id=due.delivery,
            message_id=told.id,
            kind=told.kind,
            endpoint_id=made.id,
            created_at=house.now,
            state="exhausted",
            attempts=len(SCHEDULE),
            last="500",
            last_at=tried_at,
            next_at=None,
        )

    async def test_what_nobody_tried_says_when_somebody_will(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        until = house.now + timedelta(minutes=5)
        await house.deliveries.park(due, until)

        (found,) = await house.page(tenant)

        assert ("due", 0, None, None, until) == (
            found.state,
            found.attempts,
            found.last,
            found.last_at,
            found.next_at,
        )

    async def test_who_gave_no_answer_is_told_by_a_word(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.tried(due, BAD)
        silent = Attempt(status=None, error="timeout")
        await house.tried(replace(due, attempt=2), silent, house.now + SECOND)

        (found,) = await house.page(tenant)

        assert (2, "timeout") == (found.attempts, found.last)

    async def test_pages_follow_each_other_newest_first(
        self, house: House, tenant: TenantId
    ) -> None:
        for _ in range(2):
            await house.endpoint(tenant)
        for seconds in (0, 2, 2, 1):
            cause = str(SystemEntropy().uuid7())
            at = house.now + seconds * SECOND
            told = replace(message(tenant, cause), created_at=at)
            await house.deliveries.announce([told])
        whole = await house.page(tenant)

        pages, after = list[Delivery](), None
        while page := await house.page(tenant, limit=3, after=after):
            assert 3 >= len(page)
            pages, after = [*pages, *page], page[-1].id

        assert 8 == len({each.id for each in whole})
        assert whole == pages
        ages = [(each.created_at - house.now) // SECOND for each in whole]
        assert [2, 2, 2, 2, 1, 1, 0, 0] == ages

    async def test_only_what_is_asked_for_is_listed(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        one, two = [await house.endpoint(tenant) for _ in range(2)]
        first, second = sorted(
            await house.told(tenant), key=lambda due: due.endpoint_id != one.id
        )
        await house.tried(first, OK)
        await house.deliveries.end(second, "erased")

        states = {each.id: each.state for each in await house.page(tenant)}
        (of_two,) = await house.page(tenant, endpoint=two.id)
        (erased,) = await house.page(tenant, states=("erased", "skipped"))

        assert {first.delivery: "delivered", second.delivery: "erased"} == states
        assert second.delivery == of_two.id == erased.id
        assert [] == await house.page(tenant, endpoint=one.id, states=("erased",))
        assert [] == await house.page(other)

    async def test_a_page_begins_behind_a_delivery_of_that_tenant(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        await house.endpoint(other)
        (theirs,) = await house.told(other)
        behind = Wanted(limit=9, after=theirs.delivery)

        assert await house.repeats.page(tenant, behind) is None

    async def test_what_failed_for_good_is_sent_once_more_under_its_id(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        due, now = await house.exhausted(tenant), house.now + LATER

        assert [Repeat.AGAIN] == await house.retried(due, now)

        (swept,) = await self.swept(house, tenant, now)
        claimed = await house.deliveries.claim(swept, now, LEASE)
        assert claimed is not None
        told = message(tenant, "one")
        assert (told.id, told.body) == (claimed.message_id, claimed.body)
        assert "webhook.retried" == [*await house.acts(tenant)][-1]

    async def test_behind_the_schedule_there_is_one_attempt(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        due, now = await house.exhausted(tenant), house.now + LATER
        await house.retried(due, now)
        (swept,) = await self.swept(house, tenant, now)

        assert Exhausted() == await house.tried(swept, BAD, now)

        (found,) = await house.page(tenant)
        assert ("exhausted", len(SCHEDULE) + 1) == (found.state, found.attempts)

    async def test_a_late_word_of_an_attempt_before_does_not_end_it(
        self, house: House, tenant: TenantId
    ) -> None:
        """Its lease ran out, another made the same attempt, and then it was over."""
        await house.endpoint(tenant)
        due, now = await house.exhausted(tenant), house.now + LATER
        await house.retried(due, now)

        await house.deliveries.settle(due, BAD, took=TOOK, now=now, jitter=0)

        (found,) = await house.page(tenant)
        assert "due" == found.state

    async def test_it_ends_somewhere(self, house: House, tenant: TenantId) -> None:
        """An event names no attempt beyond: the sweeper of all would fail by it."""
        await house.endpoint(tenant)
        due, now = await house.exhausted(tenant), house.now + LATER
        became = await house.retried(due, now)
        while Repeat.AGAIN in became:
            now += PAST_PAUSES
            (due,) = await self.swept(house, tenant, now)
            await house.tried(due, BAD, now)
            became = await house.retried(due, now)

        assert (MOST_ATTEMPTS, [Repeat.TOO_OFTEN]) == (due.attempt, became)

    async def test_what_waits_is_due_now_and_loses_no_attempt(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        due = await house.failed(due, 3)
        now = house.now + SECOND

        assert [Repeat.SOONER] == await house.retried(due, now)
        assert [due] == await self.swept(house, tenant, now)

    async def test_an_open_breaker_is_waited_for_all_the_same(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        due = await house.failed(due, FAILURES_IN_A_ROW)
        now = house.now + SECOND
        await house.retried(due, now)

        assert [due] == await self.swept(house, tenant, now)
        assert await house.deliveries.claim(due, now, LEASE) is None

    async def test_what_is_being_attempted_is_left_to_that(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.claim(due, house.now, LEASE)
        before = await house.acts(tenant)

        assert [Repeat.UNDER_WAY] == await house.retried(due, house.now + SECOND)
        assert [] == await self.swept(house, tenant, house.now + SECOND)
        assert before == await house.acts(tenant)

    async def test_what_was_delivered_or_cannot_be_stays(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (one,) = await house.told(tenant, "one")
        (two,) = await house.told(tenant, "two")
        await house.tried(one, OK)
        await house.deliveries.end(two, "erased")
        before, now = await house.acts(tenant), house.now + LATER

        assert [Repeat.DELIVERED] == await house.retried(one, now)
        assert [Repeat.ERASED] == await house.retried(two, now)
        assert [] == await self.swept(house, tenant, now)
        assert before == await house.acts(tenant)

    async def test_what_is_about_to_be_deleted_does_not_come_back(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        due, young = await house.exhausted(tenant), house.now + KEPT - SECOND

        assert [Repeat.OLD] == await house.retried(due, house.now + KEPT)
        assert [Repeat.AGAIN] == await house.retried(due, young)

    async def test_what_was_skipped_is_sent_once_the_endpoint_is_enabled(
        self, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant, Kind.REQUEST_COMPLETED)
        (gone,) = await house.told(tenant, "one")
        await house.tried(gone, Attempt(status=410))
        await house.told(tenant, "two")
        (skipped,) = await house.page(tenant, states=("skipped",))
        now = house.now + SECOND
        early = await house.repeats.retry(tenant, skipped.id, None, now)
        enables = Change(name="again")
        await house.endpoints.update(made.id, enables, now, holder(tenant))

        late = await house.repeats.retry(tenant, skipped.id, None, now)

        assert [Repeat.DISABLED] == [each.became for each in early]
        assert [Repeat.AGAIN] == [each.became for each in late]
        (due,) = await self.swept(house, tenant, now)
        assert Delivered() == await house.tried(due, OK, now)
        assert [Repeat.AGAIN] == await house.retried(gone, now)

    async def test_a_message_is_each_delivery_of_it_or_that_to_one_endpoint(
        self, house: House, tenant: TenantId
    ) -> None:
        one, two = [await house.endpoint(tenant) for _ in range(2)]
        dues = {each.endpoint_id: each for each in await house.told(tenant)}
        await house.told(tenant, "another")
        name, now = message(tenant, "one").id, house.now + SECOND

        of_two = await house.repeats.retry(tenant, name, two.id, now)
        of_all = await house.repeats.retry(tenant, name, None, now)

        assert [Repeated(dues[two.id].delivery, two.id, Repeat.SOONER)] == [*of_two]
        assert {one.id, two.id} == {each.endpoint_id for each in of_all}
        assert [] == await house.retried(dues[one.id], now, two.id)

    async def test_another_tenant_repeats_nothing(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        await house.endpoint(tenant)
        due, now = await house.exhausted(tenant), house.now + LATER
        for name in (due.delivery, message(tenant, "one").id):
            assert [] == [*await house.repeats.retry(other, name, None, now)]

        assert [] == await self.swept(house, tenant, now)

    async def swept(self, house: House, tenant: TenantId, now: datetime) -> list[Due]:
        found = await house.deliveries.sweep(now, 10)
        return [each for each in found if each.tenant_id == tenant]


class TestMemoryWebhooks(EndpointsContract, DeliveriesContract, RepeatsContract):
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


OPERATOR = Actor("user:made-up")
LAST_ACT = "select value from sluice.outbox order by created_at desc limit 1"
CLOSED = "update sluice.tenant set state = 'closed' where tenant_id = $1"
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
HISTORY = """
with kept as (
  insert into sluice.webhook_message
  select tenant_id, 'msg_' || n, environment, kind, body,
         created_at - n * interval '1 second'
    from sluice.webhook_message, generate_series(1, $4) n where tenant_id = $1
  returning tenant_id, id)
insert into sluice.webhook_delivery
  (tenant_id, message_id, endpoint_id, state, next_attempt_at)
select tenant_id, id, $2, 'delivered', $3::timestamptz from kept
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
class TestPostgresWebhooks(EndpointsContract, DeliveriesContract, RepeatsContract):
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
    async def tenant(self, pool: asyncpg.Pool) -> TenantId:
        return await known_tenant(pool)

    @pytest.fixture
    async def other(self, pool: asyncpg.Pool) -> TenantId:
        return await known_tenant(pool)

    async def test_the_record_of_a_change_names_the_endpoint_and_who_made_it(
        self, pool: asyncpg.Pool, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        async with as_tenant(pool, tenant) as connection:
            value = await connection.fetchval("select value from sluice.outbox")
        told = AuditRecorded.model_validate_json(value)

        assert ("endpoint.created", holder(tenant).actor) == (told.action, told.actor)
        assert [made.id] == [each.rule for each in told.decision or ()]

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

    async def test_a_retry_is_told_with_who_did_it_and_to_what(
        self, house: House, tenant: TenantId, pool: asyncpg.Pool
    ) -> None:
        made = await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.retried(due, house.now)

        async with as_tenant(pool, tenant) as connection:
            raw = await connection.fetchval(LAST_ACT)

        told = orjson.loads(raw)
        (decision,) = told["decision"]
        assert ("webhook.retried", OPERATOR) == (told["action"], told["actor"])
        assert f"{made.id}:{due.delivery}" == decision["rule"]

    async def test_a_closed_tenant_is_told_of_nothing_more(
        self, house: House, tenant: TenantId, installation: Installation
    ) -> None:
        await house.endpoint(tenant)
        due = await house.exhausted(tenant)
        owner = await asyncpg.connect(installation.superuser)
        try:
            await owner.execute(CLOSED, UUID(tenant))
        finally:
            await owner.close()

        with pytest.raises(SluiceError, match="not closed"):
            await house.retried(due, house.now + LATER)
        (found,) = await house.page(tenant)
        assert "exhausted" == found.state

    async def test_a_page_of_few_that_failed_reads_those_alone(
        self,
        house: House,
        tenant: TenantId,
        pool: asyncpg.Pool,
        installation: Installation,
    ) -> None:
        made = await house.endpoint(tenant)
        await house.exhausted(tenant)
        owner = await asyncpg.connect(installation.superuser)
        try:
            await owner.execute(HISTORY, UUID(tenant), UUID(made.id), house.now, MANY)
            await owner.execute("analyze sluice.webhook_delivery")
            await owner.execute("analyze sluice.webhook_message")
        finally:
            await owner.close()
        async with as_tenant(pool, tenant) as connection:
            failed = await planned(connection, PAGE.format(""), ["exhausted"], 9)
            newest = await planned(connection, PAGE.format(""), [*STATES], 9)

        assert (True, True) == (failed < MANY / 10, newest < MANY / 10)

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
