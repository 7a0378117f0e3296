"""A provider call that is called off, whenever that comes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from infra.memory.requests import MemoryProviderCalls
from pipeline.cancellation import CALLED_OFF, cancelled
from pipeline.errors import RetryableError
from pipeline.ports.providers import Answered, Refused, Unanswered
from pipeline.ports.requests import NewRequest
from pipeline.reasons import Reason
from pipeline.sealing import Purpose
from schemas.events import Event
from schemas.ids import Actor, RequestId, TenantId
from schemas.requests import (
    Dialect,
    Outcome,
    RequestFinished,
    RequestRedacted,
    RequestScreened,
    Route,
)
from tests.component.test_stages import House, Upstream, actions, completion, one
from tests.support.audit import NOON

SOURCE = "/sluice/test"


class Slow(Upstream):
    """Does something while it is called, and answers once it was renewed twice."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self.meanwhile = meanwhile
        self.answering = asyncio.Event()

    @override
    async def call(
        self, route: Route, dialect: Dialect, body: bytes, timeout_s: float
    ) -> Answered | Refused | Unanswered:
        self.sent.append(body)
        await self.meanwhile()
        await self.answering.wait()
        return Answered(completion("late"))


class Flaky(MemoryProviderCalls):
    """Away at the first renewal; at the second the provider may answer."""

    __slots__ = ("renewals", "upstream")
    renewals: int
    upstream: Slow

    @override
    async def renew(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> bool:
        object.__setattr__(self, "renewals", self.renewals + 1)
        if self.renewals == 1:
            raise RetryableError("away")
        self.upstream.answering.set()
        await asyncio.sleep(0)  # noqa: TID251 - the twin's clock does not wait
        return await MemoryProviderCalls.renew(self, tenant, request, lease)


async def redacted(house: House) -> Event[RequestRedacted]:
    screened = one(await house.screened(await house.accepted("Hello")), RequestScreened)
    return one(await house.redacted(screened), RequestRedacted)


async def called_off(house: House, event: Event[Any]) -> None:
    sealed = house.contents.seal(
        house.data_key, Purpose.PROVIDER_RESULT, CALLED_OFF.dump()
    )
    await house.provider.calls.done(
        house.tenant,
        RequestId(event.attributes.subject),
        sealed.model_dump_json().encode(),
    )


async def during(
    event: Event[Any], house: House, meanwhile: Callable[[], Awaitable[object]]
) -> RequestFinished:
    """The end of a call while which that happened."""
    object.__setattr__(house.provider, "providers", Slow(meanwhile))
    async with asyncio.timeout(5):
        found = await house.called(event)
    end: RequestFinished = one(found, RequestFinished).data
    return end


@pytest.fixture
def house() -> House:
    return House()


async def test_before_it_begins_it_is_not_made(house: House) -> None:
    event = await redacted(house)
    await called_off(house, event)

    found = await house.called(event)

    assert [] == house.upstream.sent
    assert [("request.called", "cancelled")] == actions(found)
    end = one(found, RequestFinished).data
    assert (Outcome.CANCELLED, Reason.CANCELLED) == (end.outcome, end.reason)


async def test_while_it_runs_nobody_waits_for_it_any_longer(house: House) -> None:
    event = await redacted(house)

    end = await during(event, house, lambda: called_off(house, event))

    assert (Outcome.CANCELLED, Reason.CANCELLED) == (end.outcome, end.reason)


async def test_a_claim_that_was_erased_meanwhile_is_no_cancel(house: House) -> None:
    event = await redacted(house)
    name = house.tenant, RequestId(event.attributes.subject)

    async def erased() -> None:
        house.provider.calls.taken.pop(name)  # type: ignore[attr-defined]

    end = await during(event, house, erased)

    assert (Outcome.FAILED, Reason.KEY_DESTROYED) == (end.outcome, end.reason)


async def test_after_its_result_it_changes_nothing(house: House) -> None:
    event = await redacted(house)
    await house.called(event)
    await called_off(house, event)

    end = one(await house.called(event), RequestFinished).data

    assert Outcome.COMPLETED == end.outcome


async def test_a_renewal_that_fails_loses_no_call(house: House) -> None:
    event = await redacted(house)
    calls = Flaky(house.clock)
    upstream = Slow(lambda: asyncio.sleep(0))  # noqa: TID251 - as above
    object.__setattr__(calls, "renewals", 0)
    object.__setattr__(calls, "upstream", upstream)
    object.__setattr__(house.provider, "calls", calls)
    object.__setattr__(house.provider, "providers", upstream)

    async with asyncio.timeout(5):
        end = one(await house.called(event), RequestFinished).data

    assert Outcome.COMPLETED == end.outcome


class Broken(MemoryProviderCalls):
    """Fails at the first renewal, as nobody expected; the provider answers then."""

    __slots__ = ("upstream",)
    upstream: Slow

    @override
    async def renew(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> bool:
        self.upstream.answering.set()
        raise ValueError


async def test_nor_does_one_that_fails_as_nobody_expected(house: House) -> None:
    event = await redacted(house)
    calls = Broken(house.clock)
    upstream = Slow(lambda: asyncio.sleep(0))  # noqa: TID251 - as above
    object.__setattr__(calls, "upstream", upstream)
    object.__setattr__(house.provider, "calls", calls)
    object.__setattr__(house.provider, "providers", upstream)

    async with asyncio.timeout(5):
        end = one(await house.called(event), RequestFinished).data

    assert Outcome.COMPLETED == end.outcome


async def test_an_end_by_wish_is_the_same_end_however_often(house: House) -> None:
    event = await house.accepted("Hello")
    request = RequestId(event.attributes.subject)
    await house.requests.admit(
        NewRequest(
            tenant_id=house.tenant,
            request_id=request,
            terms=event.data.terms,
            fingerprint=bytes(32),
            accepted_at=NOON,
        )
    )
    state = await house.requests.get(house.tenant, request)
    assert state is not None
    first, again = [
        cancelled(state, Actor(who), source=SOURCE, now=NOON + timedelta(seconds=at))
        for who, at in (("key:1", 0), ("key:2", 1))
    ]

    ends = [first[0].event, again[0].event]
    orders = [first[-1].event, again[-1].event]
    assert [True, True] == list(await house.requests.finish(ends))
    assert ends[0].attributes.id == ends[1].attributes.id
    assert ["key:1", "key:2"] == [order.data.actor for order in orders]
    assert orders[0].attributes.id != orders[1].attributes.id
