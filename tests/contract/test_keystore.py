"""What every keystore must do: the twin's and Postgres's, with the file provider."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typing_extensions import override

from demo.stack import Stack
from infra.memory.keystore import MemoryKeys
from infra.memory.secrets import MemorySecrets, MemorySubjects
from infra.system import SystemClock
from pipeline.errors import IntegrityError, InvalidMessage, KeyDestroyed, RetryableError
from pipeline.keystore import TRANSIENT, KeyId, Partition, class_named
from pipeline.ports.keys import Destroyed, KeyRef, OfRequest, OfSubject
from pipeline.ports.kms import KeyState, Reason
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.ids import RequestId, TenantId
from tests.support.keystore import (
    MONTH,
    TODAY,
    Database,
    Keys,
    database,
    erase,
    kms,
    new_key,
    new_tenant,
    opened,
    ref,
)

WEEK = Partition(class_named("7d"), TODAY)
NOW = Partition(TRANSIENT, TODAY)
ANNA = b"a" * 32
BERT = b"b" * 32


class KeystoreContract:
    @pytest.fixture
    async def keys(self) -> Keys:
        raise NotImplementedError

    @pytest.fixture
    async def tenant(self, keys: Keys) -> TenantId:
        return await enrolled(keys)

    async def test_what_was_created_is_fetched(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        new = new_key(tenant)

        created = await keys.store.create([new])

        assert [True] == created
        assert {ref(new): new.key} == await keys.store.fetch([ref(new)])

    async def test_a_batch_holds_many_tenants_classes_and_days(
        self, keys: Keys
    ) -> None:
        tenants = [await enrolled(keys) for _ in range(4)]
        new = [new_key(each, part) for each in tenants for part in (MONTH, WEEK, NOW)]

        created = await keys.store.create(new[::-1])
        found = await keys.store.fetch([ref(each) for each in new])

        assert [True] * 12 == created
        assert {ref(each): each.key for each in new} == found

    async def test_nothing_is_wanted_and_nothing_found(self, keys: Keys) -> None:
        assert [] == await keys.store.create([])
        assert {} == await keys.store.fetch([])
        assert 0 == await keys.store.forget([])

    async def test_creating_again_keeps_the_first(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        new = new_key(tenant)

        answers = [await keys.store.create([new]) for _ in range(2)]

        assert [[True], [True]] == answers
        assert {ref(new): new.key} == await keys.store.fetch([ref(new)])

    async def test_a_key_that_never_was_is_destroyed(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        never = ref(new_key(tenant))

        assert {never: Destroyed()} == await keys.store.fetch([never])

    async def test_another_tenants_key_is_not_found(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        """Even beside the owner's own claim in one batch."""
        new = new_key(tenant)
        await keys.store.create([new])
        thief = KeyRef(await enrolled(keys), new.key.request_id, new.key.key_id)

        found = await keys.store.fetch([thief, ref(new)])

        assert {thief: Destroyed(), ref(new): new.key} == found

    async def test_a_key_is_given_for_the_request_that_was_claimed(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        """The seal judges the claim: it is bound to the request."""
        new = new_key(tenant)
        await keys.store.create([new])
        claim = KeyRef(tenant, new_key(tenant).key.request_id, new.key.key_id)

        found = (await keys.store.fetch([claim]))[claim]

        assert not isinstance(found, Destroyed)
        assert claim.request_id == found.request_id

    async def test_a_tenant_without_a_key_gets_none_kept(self, keys: Keys) -> None:
        """And does not fail its neighbours."""
        stranger, tenant = new_key(new_tenant()), new_key(await enrolled(keys))

        assert [False, True] == await keys.store.create([stranger, tenant])
        assert {ref(stranger): Destroyed()} == await keys.store.fetch([ref(stranger)])

    async def test_a_day_that_nobody_made_is_waited_for(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        other_day = Partition(class_named("7d"), date(2031, 1, 1))

        with pytest.raises(RetryableError):
            await keys.store.create([new_key(tenant, other_day)])

    @pytest.mark.parametrize(
        "change",
        [
            ("not-a-uuid", None, None),
            ("018F3C1A-7C00-7000-8000-000000000001", None, None),
            (None, None, "512b03"),
            (None, None, "zz" * 16),
        ],
    )
    async def test_a_claim_that_is_no_claim_is_an_invalid_message(
        self, keys: Keys, change: tuple[str | None, str | None, str | None]
    ) -> None:
        good = ref(new_key(new_tenant()))
        tenant, request, key_id = change
        bad = KeyRef(
            TenantId(tenant or good.tenant_id),
            RequestId(request or good.request_id),
            KeyId(key_id or good.key_id),
        )

        with pytest.raises(InvalidMessage):
            await keys.store.fetch([good, bad])

    async def test_a_forgotten_key_is_destroyed_and_its_neighbour_is_not(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        gone, stays = new_key(tenant, NOW), new_key(tenant, NOW)
        await keys.store.create([gone, stays])

        count = await keys.store.forget([ref(gone), ref(gone), ref(new_key(tenant))])

        assert 1 == count
        assert {
            ref(gone): Destroyed(),
            ref(stays): stays.key,
        } == await keys.store.fetch([ref(gone), ref(stays)])

    async def test_nobody_forgets_another_tenants_key(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        new = new_key(tenant, NOW)
        await keys.store.create([new])
        thief = KeyRef(await enrolled(keys), new.key.request_id, new.key.key_id)

        assert 0 == await keys.store.forget([thief])
        assert {ref(new): new.key} == await keys.store.fetch([ref(new)])

    async def test_a_request_is_erased_with_all_its_keys(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        first = new_key(tenant)
        second = new_key(tenant, WEEK, first.key.request_id)
        other = new_key(tenant)
        await keys.store.create([first, second, other])
        request = OfRequest(tenant, first.key.request_id)
        refs = sorted([ref(first), ref(second)], key=lambda each: each.key_id)
        before = await keys.keeper.of(request, 9)

        erased = await erase(keys.keeper, request)

        assert refs == before
        assert [each.key_id for each in refs] == sorted(erased)
        assert [] == await keys.keeper.of(request, 9)
        assert {
            ref(first): Destroyed(),
            ref(second): Destroyed(),
            ref(other): other.key,
        } == await keys.store.fetch([ref(first), ref(second), ref(other)])

    async def test_of_many_keys_the_first_are_named(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        annas = [new_key(tenant, subject=ANNA) for _ in range(3)]
        await keys.store.create(annas)
        first = sorted(new.key.key_id for new in annas)[:2]

        found = await keys.keeper.of(OfSubject(tenant, ANNA), 2)

        assert first == [each.key_id for each in found]

    async def test_a_person_is_erased_and_no_other(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        annas = [new_key(tenant, subject=ANNA) for _ in range(3)]
        others = [new_key(tenant, subject=BERT), new_key(tenant)]
        elsewhere = new_key(await enrolled(keys), subject=ANNA)
        await keys.store.create([*annas, *others, elsewhere])

        erased = await erase(keys.keeper, OfSubject(tenant, ANNA))

        assert {new.key.key_id for new in annas} == set(erased)
        found = await keys.store.fetch([ref(new) for new in (*others, elsewhere)])
        assert [new.key for new in (*others, elsewhere)] == list(found.values())

    async def test_erasing_what_is_not_there_is_no_success(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        nobody = OfSubject(tenant, ANNA)
        nothing = OfRequest(tenant, new_key(tenant).key.request_id)

        assert [] == [*await erase(keys.keeper, nobody)]
        assert [] == [*await erase(keys.keeper, nothing)]

    async def test_a_destroyed_id_is_never_taken_again(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        gone, fresh = new_key(tenant), new_key(tenant)
        await keys.store.create([gone])
        await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))

        assert [False, True] == await keys.store.create([gone, fresh])
        assert {ref(gone): Destroyed()} == await keys.store.fetch([ref(gone)])

    async def test_keys_that_came_back_are_destroyed_again_and_no_others(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        back, stays = new_key(tenant), new_key(tenant)
        never = new_key(tenant)
        elsewhere = new_key(await enrolled(keys))
        await keys.store.create([back, stays, elsewhere])
        ids = [new.key.key_id for new in (back, never, elsewhere)]

        destroyed = [await keys.keeper.destroy_keys(tenant, ids) for _ in range(2)]

        assert [[back.key.key_id], []] == [list(each) for each in destroyed]
        found = await keys.store.fetch([ref(back), ref(stays), ref(elsewhere)])
        assert [Destroyed(), stays.key, elsewhere.key] == list(found.values())
        assert [False] == await keys.store.create([back])

    async def test_after_an_erasure_the_tenant_goes_on(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        old = new_key(tenant)
        await keys.store.create([old])
        await erase(keys.keeper, OfSubject(tenant, ANNA))
        new = new_key(tenant)

        assert [True] == await keys.store.create([new])
        assert {ref(old): old.key, ref(new): new.key} == await keys.store.fetch(
            [ref(old), ref(new)]
        )

    async def test_after_a_rotation_old_and_new_keys_are_fetched(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        old, new = new_key(tenant), new_key(tenant)
        await keys.store.create([old])

        version = await keys.keeper.rotate(tenant)
        await keys.store.create([new])

        assert 2 == version
        assert {ref(old): old.key, ref(new): new.key} == await keys.store.fetch(
            [ref(old), ref(new)]
        )

    async def test_enrolling_twice_changes_nothing(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        new = new_key(tenant)
        await keys.store.create([new])

        await keys.keeper.enrol(tenant)

        assert {ref(new): new.key} == await keys.store.fetch([ref(new)])

    async def test_a_tenant_that_was_never_enrolled_has_nothing_to_rotate(
        self, keys: Keys
    ) -> None:
        with pytest.raises(KeyDestroyed):
            await keys.keeper.rotate(new_tenant())

    async def test_the_end_of_a_tenant_reaches_all_its_keys_and_no_other(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        gone = [new_key(tenant, part) for part in (MONTH, WEEK, NOW)]
        other = new_key(await enrolled(keys))
        await keys.store.create([*gone, other])
        await keys.keeper.rotate(tenant)

        ended = await keys.keeper.terminate(tenant)

        assert 3 == ended.deleted
        assert [1, 2] == [each.ref.version for each in ended.evidence]
        assert {KeyState.DESTROYED} == {each.state for each in ended.evidence}
        assert {Reason.TERMINATION} == {each.reason for each in ended.evidence}
        found = await keys.store.fetch([*map(ref, gone), ref(other)])
        assert [Destroyed()] * 3 + [other.key] == list(found.values())

    async def test_a_tenant_that_ended_gets_no_key_again(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        first = await keys.keeper.terminate(tenant)

        assert [False] == await keys.store.create([new_key(tenant)])
        with pytest.raises(KeyDestroyed):
            await keys.keeper.enrol(tenant)
        with pytest.raises(KeyDestroyed):
            await keys.keeper.rotate(tenant)
        assert first == await keys.keeper.terminate(tenant)

    async def test_a_dropped_day_takes_its_keys_and_no_others(self, keys: Keys) -> None:
        tenants = [await enrolled(keys) for _ in range(2)]
        day = Partition(class_named("1d"), date(2026, 11, 20))
        other_day = Partition(class_named("1d"), date(2026, 11, 21))
        await keys.partitions.prepare([day, other_day])
        gone = [new_key(tenant, day) for tenant in tenants]
        stays = new_key(tenants[0], other_day)
        await keys.store.create([*gone, stays])

        counts = [await keys.partitions.detach(day) for _ in range(2)]

        assert [dict.fromkeys(sorted(tenants), 1)] * 2 == counts
        found = await keys.store.fetch([*map(ref, gone), ref(stays)])
        assert [Destroyed(), Destroyed(), stays.key] == list(found.values())
        assert day in await keys.partitions.there()

        await keys.partitions.retire(day)

        assert day not in await keys.partitions.there()
        assert other_day in await keys.partitions.there()
        assert {} == await keys.partitions.detach(day)
        await keys.partitions.retire(day)

    async def test_a_day_is_not_retired_before_it_is_detached(self, keys: Keys) -> None:
        with pytest.raises(IntegrityError):
            await keys.partitions.retire(WEEK)

    async def test_nothing_is_created_in_a_detached_day(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        day = Partition(class_named("1d"), date(2026, 11, 19))
        await keys.partitions.prepare([day])
        await keys.partitions.detach(day)

        with pytest.raises(RetryableError):
            await keys.store.create([new_key(tenant, day)])
        await keys.partitions.retire(day)

    async def test_days_are_made_once(self, keys: Keys) -> None:
        day = Partition(class_named("365d"), TODAY)

        made = [await keys.partitions.prepare([day]) for _ in range(2)]

        assert [1, 0] == made
        there = await keys.partitions.there()
        assert 1 == there.count(day)
        assert sorted(there, key=lambda p: (p.retention_class.code, p.day)) == there
        await keys.partitions.detach(day)
        await keys.partitions.retire(day)

    async def test_days_with_destroyed_keys_are_rewritten_once(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        await keys.partitions.rewrite()
        stays, gone = new_key(tenant, WEEK), new_key(tenant, WEEK)
        passing = new_key(tenant, NOW)
        await keys.store.create([stays, gone, passing])
        await keys.store.forget([ref(passing)])
        await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))

        rewritten = [await keys.partitions.rewrite() for _ in range(2)]

        assert [1, 0] == rewritten
        assert {ref(stays): stays.key} == await keys.store.fetch([ref(stays)])

    async def test_a_secret_opens_in_its_place_alone(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        place = SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, "row-1")
        sealed = await keys.secrets.seal(place, b"whsec")
        other = await enrolled(keys)
        elsewhere = [
            replace(place, row="row-2"),
            replace(place, purpose=SecretPurpose.SUBJECT_KEY),
            replace(place, tenant_id=other),
        ]

        assert b"whsec" == await keys.secrets.open(place, sealed)
        assert b"whsec" not in sealed
        for each in elsewhere:
            with pytest.raises(IntegrityError):
                await keys.secrets.open(each, sealed)
        bent_end = sealed[:-1] + bytes([sealed[-1] ^ 1])
        for bent in (b"", sealed[:31], b"\xff" + sealed[1:], bent_end):
            with pytest.raises(IntegrityError):
                await keys.secrets.open(place, bent)

    async def test_a_secret_opens_after_a_rotation(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        place = SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, "row")
        old = await keys.secrets.seal(place, b"old")
        await keys.keeper.rotate(tenant)
        new = await keys.secrets.seal(place, b"new")

        assert b"old" == await keys.secrets.open(place, old)
        assert b"new" == await keys.secrets.open(place, new)

    async def test_who_has_no_key_has_no_secrets_and_no_people(
        self, keys: Keys
    ) -> None:
        stranger = new_tenant()
        place = SecretRef(stranger, SecretPurpose.WEBHOOK_SECRET, "row")

        with pytest.raises(KeyDestroyed):
            await keys.secrets.seal(place, b"whsec")
        with pytest.raises(KeyDestroyed):
            await keys.subjects.pseudonym(stranger, "anna")

    async def test_a_pseudonym_is_the_same_each_time_and_for_nobody_else(
        self, keys: Keys, tenant: TenantId
    ) -> None:
        other = await enrolled(keys)
        anna = await keys.subjects.pseudonym(tenant, "anna")
        await keys.keeper.rotate(tenant)

        assert 32 == len(anna)
        assert anna == await keys.subjects.pseudonym(tenant, "anna")
        assert anna != await keys.subjects.pseudonym(tenant, "bert")
        assert anna != await keys.subjects.pseudonym(other, "anna")


async def enrolled(keys: Keys) -> TenantId:
    tenant = new_tenant()
    await keys.keeper.enrol(tenant)
    return tenant


class TestMemoryKeystore(KeystoreContract):
    @pytest.fixture
    @override
    async def keys(self) -> Keys:
        memory = MemoryKeys(SystemClock())
        await memory.prepare([MONTH, WEEK, NOW])
        return Keys(
            store=memory,
            keeper=memory,
            partitions=memory,
            secrets=MemorySecrets(memory),
            subjects=MemorySubjects(memory),
        )


@pytest.fixture(scope="module")
def keystore(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def postgres(keystore: Database, tmp_path: Path) -> AsyncIterator[Keys]:
    async with opened(keystore, kms(tmp_path)) as keys:
        await keys.partitions.prepare([MONTH, WEEK, NOW])
        yield keys


@pytest.mark.integration
class TestPostgresKeystore(KeystoreContract):
    @pytest.fixture
    @override
    async def keys(self, postgres: Keys) -> Keys:
        return postgres
