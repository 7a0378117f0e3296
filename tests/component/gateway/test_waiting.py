"""What a gateway keeps of a request while its caller waits."""

import asyncio
import gc
from collections import Counter
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest

from infra.memory.replies import MemoryReplies
from infra.memory.requests import MemoryRequests
from pipeline.acceptance import Accepted, Asked
from pipeline.admission import Draft
from pipeline.ports.replies import Waiting
from pipeline.ports.requests import RequestState
from schemas.ids import RequestId, TenantId
from schemas.requests import RequestAccepted, SealedContent
from schemas.topics import Outgoing
from tests.support.gateway import World, dumped

OF_A_BODY: Final = (Draft, Asked, Accepted, Outgoing, RequestAccepted, SealedContent)
BODIES: Final = {
    "/v1/chat/completions": dumped(),
    "/v1/responses": b'{"model":"echo","input":"hello"}',
}


def kept() -> Counter[str]:
    """How many objects there are that hold a body, sealed or not."""
    gc.collect()
    return Counter(
        type(each).__name__ for each in gc.get_objects() if isinstance(each, OF_A_BODY)
    )


async def posted(world: World, path: str) -> httpx2.Response:
    bearer = {"authorization": f"Bearer {world.key()}"}
    async with world.client(**bearer, **{"content-type": "application/json"}) as client:
        return await client.post(path, content=BODIES[path])


@pytest.mark.parametrize("path", BODIES)
async def test_nothing_of_a_body_is_kept_while_its_caller_waits(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    looked = asyncio.Event()

    async def told_nothing(*_: object) -> None:
        looked.set()

    monkeypatch.setattr(MemoryRequests, "get", told_nothing)
    world.pipeline.ending = lambda *_: None
    before = kept()
    asking = asyncio.create_task(posted(world, path))
    await looked.wait()
    accepted = len(world.pipeline.accepted)
    world.pipeline.accepted.clear()
    waiting = kept()
    world.clock.elapsed += timedelta(seconds=122)

    assert (1, before) == (accepted, waiting)
    assert 504 == (await asking).status_code


async def test_what_is_not_acknowledged_waits_for_no_reply(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect, waiting = MemoryReplies.expect, list[asyncio.Future[Any]]()

    def noted(self: MemoryReplies, request: RequestId) -> Waiting:
        waiting.append(asyncio.ensure_future(expect(self, request)))
        return waiting[-1]

    monkeypatch.setattr(MemoryReplies, "expect", noted)
    world.pipeline.away = True
    answer = await posted(world, "/v1/chat/completions")

    assert (503, [True]) == (answer.status_code, [each.cancelled() for each in waiting])


async def test_an_end_whose_reply_was_lost_is_found_at_the_deadline_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended just before is no timeout, though nobody looked since."""
    late = timedelta(hours=1)

    def lost(self: MemoryReplies, _: RequestId) -> Waiting:
        world.clock.elapsed += late
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(MemoryReplies, "expect", lost)
    answer = await posted(world, "/v1/chat/completions")

    assert 200 == answer.status_code


async def test_an_end_that_comes_at_the_deadline_is_heard_of_a_moment_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage that ends it then has still to publish that."""
    get, looks = MemoryRequests.get, list[RequestId]()

    async def late(
        self: MemoryRequests, tenant: TenantId, request: RequestId
    ) -> RequestState | None:
        looks.append(request)
        if len(looks) == 1:
            world.clock.elapsed += timedelta(seconds=120.9)
        return await get(self, tenant, request) if len(looks) > 2 else None

    def lost(self: MemoryReplies, _: RequestId) -> Waiting:
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(MemoryRequests, "get", late)
    monkeypatch.setattr(MemoryReplies, "expect", lost)
    answer = await posted(world, "/v1/chat/completions")

    assert (200, 3) == (answer.status_code, len(looks))
