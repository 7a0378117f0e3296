"""Admitting a request while one of the two stores is away: the retry succeeds."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from typing_extensions import override

from infra.admissions import GroupedAdmissions
from infra.memory.keystore import MemoryKeys
from infra.memory.requests import MemoryRequests
from pipeline.contents import Contents
from pipeline.errors import RetryableError
from pipeline.keystore import KeyId, Partition, class_named
from pipeline.ports.keys import Destroyed, KeyRef, NewKey
from pipeline.ports.requests import Fresh, Known
from producers.gateway.admitting import QUIET_S, Admitting
from tests.support.audit import NOON
from tests.support.gateway import HeldClock
from tests.support.installation import ENTROPY, admitted, new_request_id, new_tenant

DAY = Partition(class_named("1d"), NOON.date())


@dataclass(frozen=True, slots=True)
class Away(MemoryKeys):
    """A keystore that is away for its first caller."""

    calls: list[int] = field(default_factory=list)

    @override
    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        self.calls.append(len(keys))
        if len(self.calls) == 1:
            raise RetryableError("the keystore is away")
        return await MemoryKeys.create(self, keys)


async def test_a_keystore_that_was_away_costs_the_request_nothing() -> None:
    tenant, request = new_tenant(), new_request_id()
    keys, requests = Away(HeldClock()), MemoryRequests()
    await keys.prepare([DAY])
    await keys.enrol(tenant)
    admissions = GroupedAdmissions(keys, requests, HeldClock())
    new = NewKey(Contents(ENTROPY).new_key(tenant, request, DAY))
    row = admitted(tenant, request)

    with pytest.raises(RetryableError):
        await admissions.admit(new, row)

    assert Fresh() == await admissions.admit(new, row)


async def test_what_is_known_has_a_key_that_is_there() -> None:
    tenant, request = new_tenant(), new_request_id()
    keys, requests = MemoryKeys(HeldClock()), MemoryRequests()
    await keys.prepare([DAY])
    await keys.enrol(tenant)
    admissions = GroupedAdmissions(keys, requests, HeldClock())
    first, second = [Contents(ENTROPY).new_key(tenant, request, DAY) for _ in range(2)]
    row = admitted(tenant, request)
    terms = row.terms.model_copy(update={"key_id": first.key_id})
    row = replace(row, terms=terms)
    await admissions.admit(NewKey(first), row)
    known = await admissions.admit(NewKey(second), row)

    assert isinstance(known, Known)
    ref = KeyRef(tenant, request, KeyId(known.terms.key_id))
    assert Destroyed() != (await keys.fetch([ref]))[ref]


@dataclass(frozen=True, slots=True)
class Slow(MemoryKeys):
    """A keystore that has a key a minute after it was asked to keep it."""

    @override
    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        await self.clock.sleep(60)
        return await MemoryKeys.create(self, keys)


async def test_nothing_is_accepted_before_its_key_is_durable() -> None:
    """Or an order to forget says of content that it opens no more, and it does."""
    tenant, request = new_tenant(), new_request_id()
    clock, requests = HeldClock(), MemoryRequests()
    keys = Slow(clock)
    await keys.prepare([DAY])
    await keys.enrol(tenant)
    new = NewKey(Contents(ENTROPY).new_key(tenant, request, DAY))
    admissions = GroupedAdmissions(keys, requests, clock)
    await admissions.admit(new, admitted(tenant, request))
    row = await requests.get(tenant, request)

    assert row is not None
    assert NOON + timedelta(seconds=60) == row.accepted_at


async def test_a_tenant_without_a_key_leaves_no_row() -> None:
    tenant, request = new_tenant(), new_request_id()
    keys, requests = MemoryKeys(HeldClock()), MemoryRequests()
    await keys.prepare([DAY])
    new = NewKey(Contents(ENTROPY).new_key(tenant, request, DAY))
    answer = await GroupedAdmissions(keys, requests, HeldClock()).admit(
        new, admitted(tenant, request)
    )

    assert Destroyed() == answer
    assert await requests.get(tenant, request) is None


async def test_who_cannot_admit_says_so_until_it_can() -> None:
    clock = HeldClock()
    keys, requests = Away(clock), MemoryRequests()
    await keys.prepare([DAY])
    tenant = new_tenant()
    await keys.enrol(tenant)
    admitting = Admitting(GroupedAdmissions(keys, requests, clock), clock)
    said = [await admitting.answers()]

    async def attempt() -> None:
        request = new_request_id()
        new = NewKey(Contents(ENTROPY).new_key(tenant, request, DAY))
        with suppress(RetryableError):
            await admitting.admit(new, admitted(tenant, request))
        said.append(await admitting.answers())

    await attempt()
    await attempt()

    assert [True, False, True] == said


async def test_whoever_nobody_asks_any_more_is_asked_again() -> None:
    """A balancer that took it out sends nothing by which it could find out."""
    clock = HeldClock()
    keys, requests = Away(clock), MemoryRequests()
    tenant, request = new_tenant(), new_request_id()
    admitting = Admitting(GroupedAdmissions(keys, requests, clock), clock)
    new = NewKey(Contents(ENTROPY).new_key(tenant, request, DAY))
    with pytest.raises(RetryableError):
        await admitting.admit(new, admitted(tenant, request))
    clock.elapsed += timedelta(seconds=QUIET_S - 1)
    before = await admitting.answers()
    clock.elapsed += timedelta(seconds=1)

    assert (False, True) == (before, await admitting.answers())
