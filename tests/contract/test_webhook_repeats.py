"""Deliveries for the operator: the twin and Postgres keep one contract."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import orjson
import pytest

from infra.postgres.deliveries import CLAIM
from infra.postgres.deliveries import LEASE as LEASED
from infra.postgres.pool import as_tenant
from infra.postgres.repeats import PAGE
from infra.system import SystemEntropy
from pipeline.errors import SluiceError
from pipeline.ports.webhooks import (
    Change,
)
from pipeline.repeats import MOST_ATTEMPTS, STATES, Delivery, Repeat, Repeated, Wanted
from pipeline.webhooks import (
    FAILURES_IN_A_ROW,
    KEPT,
    SCHEDULE,
    Attempt,
    Delivered,
    Exhausted,
)
from schemas.ids import TenantId
from schemas.webhooks import Kind
from tests.support.installation import Installation
from tests.support.webhook_house import (
    BAD,
    LATER,
    LEASE,
    OK,
    OPERATOR,
    PAST_PAUSES,
    SECOND,
    TOOK,
    House,
    OnPostgres,
    OnTwin,
    planned,
)
from tests.support.webhooks import holder, message

LAST_ACT = "select value from sluice.outbox order by created_at desc limit 1"
CLOSED = "update sluice.tenant set state = 'closed' where tenant_id = $1"
MANY = 3_000
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

        (swept,) = await house.swept(tenant, now)
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
        (swept,) = await house.swept(tenant, now)

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
            (due,) = await house.swept(tenant, now)
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
        assert [due] == await house.swept(tenant, now)

    async def test_an_open_breaker_is_waited_for_all_the_same(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        due = await house.failed(due, FAILURES_IN_A_ROW)
        now = house.now + SECOND
        await house.retried(due, now)

        assert [due] == await house.swept(tenant, now)
        assert await house.deliveries.claim(due, now, LEASE) is None

    async def test_what_is_being_attempted_is_left_to_that(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        await house.deliveries.claim(due, house.now, LEASE)
        before = await house.acts(tenant)

        assert [Repeat.UNDER_WAY] == await house.retried(due, house.now + SECOND)
        assert [] == await house.swept(tenant, house.now + SECOND)
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
        assert [] == await house.swept(tenant, now)
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
        (due,) = await house.swept(tenant, now)
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

        assert [] == await house.swept(tenant, now)


class TestMemoryRepeats(OnTwin, RepeatsContract):
    pass


@pytest.mark.integration
class TestPostgresRepeats(OnPostgres, RepeatsContract):
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

    async def test_what_is_just_being_claimed_is_left_to_that(
        self, house: House, tenant: TenantId, pool: asyncpg.Pool
    ) -> None:
        """Without its lease it would be attempted twice at once."""
        await house.endpoint(tenant)
        (due,) = await house.told(tenant)
        async with as_tenant(pool, tenant) as claiming:
            until = house.now + LEASE
            await claiming.fetchrow(CLAIM, UUID(due.delivery))
            await claiming.execute(LEASED, UUID(due.delivery), until)
            retried = asyncio.create_task(house.retried(due, house.now + SECOND))
            await asyncio.wait({retried}, timeout=0.3)

        assert [Repeat.UNDER_WAY] == await retried
        assert await house.deliveries.claim(due, house.now + SECOND, LEASE) is None

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
