"""Endpoints: the twin and Postgres keep one contract."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from infra.postgres.pool import as_tenant
from infra.system import SystemEntropy
from pipeline.ports.webhooks import (
    MAX_ENDPOINTS,
    Change,
    SealedSecret,
)
from schemas.audit import AuditRecorded
from schemas.ids import EndpointId, TenantId
from schemas.webhooks import Kind
from tests.support.webhook_house import (
    LEASE,
    SECOND,
    House,
    OnPostgres,
    OnTwin,
)
from tests.support.webhooks import bare, holder


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


class TestMemoryEndpoints(OnTwin, EndpointsContract):
    pass


@pytest.mark.integration
class TestPostgresEndpoints(OnPostgres, EndpointsContract):
    async def test_the_record_of_a_change_names_the_endpoint_and_who_made_it(
        self, pool: asyncpg.Pool, house: House, tenant: TenantId
    ) -> None:
        made = await house.endpoint(tenant)
        async with as_tenant(pool, tenant) as connection:
            value = await connection.fetchval("select value from sluice.outbox")
        told = AuditRecorded.model_validate_json(value)

        assert ("endpoint.created", holder(tenant).actor) == (told.action, told.actor)
        assert [made.id] == [each.rule for each in told.decision or ()]
