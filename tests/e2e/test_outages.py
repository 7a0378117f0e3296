"""Kafka and Postgres go away under load and come back: nothing accepted is lost."""

import asyncio
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import aiohttp
import pytest

from demo import stack as local
from demo.launch import Access, Sluice
from demo.stack.part import Part
from tests.e2e.test_kills import ANSWERED_WITHIN_S, all_ended

pytestmark = pytest.mark.e2e

AWAY_S = 3.0


async def attempt(
    session: aiohttp.ClientSession, access: Access, number: int
) -> tuple[int, str]:
    """Status and request id; the key makes a repeat the same request."""
    body = {"model": "echo", "messages": [{"role": "user", "content": f"no. {number}"}]}
    headers = {
        "authorization": f"Bearer {access.api_key}",
        "idempotency-key": f"outage-{number}",
    }
    url = access.gateway + "/v1/chat/completions"
    async with session.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status, answer.headers["x-request-id"]


async def persistent(
    session: aiohttp.ClientSession, access: Access, number: int
) -> str:
    """As a careful client: a 503 is tried again under the same key."""
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        while True:
            status, request = await attempt(session, access, number)
            if status != 503:
                assert status == 200
                return request
            await asyncio.sleep(0.5)  # noqa: TID251 - as retry-after says


async def outage(
    part: Part, session: aiohttp.ClientSession, access: Access, numbers: range
) -> set[str]:
    sending = [
        asyncio.create_task(persistent(session, access, number)) for number in numbers
    ]
    await asyncio.sleep(0.05)  # noqa: TID251 - so that some are under way
    await asyncio.to_thread(part.kill)
    await asyncio.sleep(AWAY_S)  # noqa: TID251 - the outage
    await asyncio.to_thread(part.start)
    return set(await asyncio.gather(*sending))


def alive(sluice: Sluice, name: str) -> bool:
    try:
        with urlopen(sluice.processes[name].health + "/livez", timeout=5) as answer:
            return bool(answer.status == 200)
    except HTTPError:
        return False


@pytest.mark.timeout(300)
async def test_kafka_and_postgres_go_away_and_come_back(tmp_path: Path) -> None:
    with local.temporary(durable=True, local=True) as services:
        sluice = Sluice(tmp_path / "sluice", services)
        await sluice.provide()
        try:
            await sluice.start()
            access = await asyncio.to_thread(sluice.onboard, "Acme", ("echo",))
            timeout = aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                first = await outage(services.postgres, session, access, range(12))
                second = await outage(services.kafka, session, access, range(12, 24))
            still = [alive(sluice, name) for name in ("gateway", "workers", "timed")]
            ends = await all_ended(sluice, access, first | second, tmp_path)
            verified = sluice.run("audit", "verify", "--tenant", access.tenant_id)
        finally:
            sluice.stop()

    assert 24 == len(first | second)
    assert [True] * 3 == still
    assert {1} == {ends[request] for request in first | second}
    assert 0 == verified.returncode, verified.stdout
