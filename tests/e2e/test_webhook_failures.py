"""A worker that is killed, a database that goes away: no delivery is lost by it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from consumers.app import GROUPS
from demo import stack as local
from demo.launch import Access, Sluice
from demo.processes import ready
from tests.e2e.house.test_webhooks import KINDS, Subscriber, about, ask, serving

pytestmark = [pytest.mark.e2e, pytest.mark.long]

OTHERS = [name for name in GROUPS if name != "webhooks"]
WITHIN_S = 120
"""A lease of 60 s ends first, then the sweeper comes by."""
AWAY_S = 5.0


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[tuple[Sluice, Access]]:
    """The webhooks have a process of their own, which a test may kill."""
    with local.temporary(durable=True, local=True) as services:
        sluice = Sluice(folder, services)
        await sluice.provide()
        try:
            await sluice.start({"workers": OTHERS, "webhooks": ["webhooks"]})
            yield sluice, await asyncio.to_thread(sluice.onboard, "Acme", ("echo",))
        finally:
            sluice.stop()


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not found():  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # noqa: TID251 - polls other processes


def attempts(subscriber: Subscriber, request: str) -> list[str]:
    """The ids under which it was told of a request, attempt by attempt."""
    wanted = about(request)
    return [
        headers["webhook-id"]
        for headers, raw in subscriber.seen
        if wanted(json.loads(raw))
    ]


@pytest.mark.timeout(500)
async def test_a_kill_and_an_outage_in_mid_flight_lose_nothing(tmp_path: Path) -> None:
    """What was answered while nobody could write that down comes once more."""
    async with installation(tmp_path) as (sluice, access), serving() as subscriber:
        url = access.gateway + "/v1"
        with OpenAI(base_url=url, api_key=access.api_key) as sdk:
            await asyncio.to_thread(
                sdk.webhooks.create, name="one", url=subscriber.url, event_types=KINDS
            )
        killed = await inside(access, subscriber)
        sluice.processes["webhooks"].kill()
        released(subscriber)
        await ready(sluice.spawn("webhooks", "consumers", "webhooks"))
        later = [await ask(access, f"{n}") for n in range(4)]
        await until(lambda: len(attempts(subscriber, killed)) > 1)

        cut = await inside(access, subscriber)
        await asyncio.to_thread(sluice.stack.postgres.kill)
        released(subscriber)
        await asyncio.sleep(AWAY_S)  # noqa: TID251 - the outage
        await asyncio.to_thread(sluice.stack.postgres.start)
        last = await ask(access, "last")
        await until(lambda: len(attempts(subscriber, cut)) > 1)
        everything = [killed, *later, cut, last]
        await until(lambda: all(attempts(subscriber, each) for each in everything))

    for request in everything:
        assert 1 == len(set(attempts(subscriber, request)))


async def inside(access: Access, subscriber: Subscriber) -> str:
    """A request whose delivery the subscriber has, and has not answered."""
    subscriber.gate = asyncio.Event()
    request = await ask(access, "held")
    await until(lambda: subscriber.inside > 0)
    return request


def released(subscriber: Subscriber) -> None:
    gate, subscriber.gate = subscriber.gate, None
    assert gate is not None
    gate.set()
