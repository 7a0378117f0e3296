"""kill -9 of each worker under load: every accepted request ends exactly once."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from demo import stack as local
from demo.launch import Access, Sluice
from demo.processes import ready

pytestmark = pytest.mark.e2e

GROUPS = ("admission", "screening", "redaction", "provider", "outcomes", "audit")
TERMINAL = {"request.completed", "request.blocked", "request.failed"}
REQUESTS = 20
ANSWERED_WITHIN_S = 100


async def send(session: aiohttp.ClientSession, access: Access, number: int) -> str:
    """The request's id; it was accepted, whatever became of it."""
    body = {
        "model": "echo",
        "messages": [{"role": "user", "content": f"Request number {number}"}],
    }
    headers = {"authorization": f"Bearer {access.api_key}"}
    url = access.gateway + "/v1/chat/completions"
    async with session.post(url, json=body, headers=headers) as answer:
        await answer.read()

        assert answer.status == 200
        return answer.headers["x-request-id"]


def records(sluice: Sluice, access: Access, folder: Path) -> list[dict[str, str]]:
    done = sluice.run("audit", "export", str(folder), "--tenant", access.tenant_id)

    assert 0 == done.returncode, done.stderr
    lines = next(folder.rglob("*.jsonl")).read_text().splitlines()
    return [json.loads(line) for line in lines]


async def all_ended(
    sluice: Sluice, access: Access, wanted: set[str], folder: Path
) -> Counter[str]:
    """Terminal records by request, once each of ``wanted`` has one."""
    for attempt in range(40):
        found = await asyncio.to_thread(records, sluice, access, folder / str(attempt))
        ends = Counter(r["request_id"] for r in found if r["action"] in TERMINAL)
        if wanted <= set(ends):
            return ends
        await asyncio.sleep(0.5)  # noqa: TID251 - polls other processes
    raise AssertionError("some requests have no end on the ledger")


@pytest.mark.timeout(400)
async def test_each_worker_is_killed_in_mid_flight_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with local.temporary(durable=True, local=True) as services:
        sluice = Sluice(tmp_path / "sluice", services)
        await sluice.provide()
        try:
            await sluice.start({name: [name] for name in GROUPS})
            access = await asyncio.to_thread(sluice.onboard, "Acme")
            timeout = aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S)
            accepted: set[str] = set()
            async with aiohttp.ClientSession(timeout=timeout) as session:
                for group in GROUPS:
                    accepted |= await killed(sluice, access, session, group)
            ends = await all_ended(sluice, access, accepted, tmp_path)
            verified = sluice.run("audit", "verify", "--tenant", access.tenant_id)
        finally:
            sluice.stop()

    assert len(GROUPS) * REQUESTS == len(accepted)
    assert dict.fromkeys(accepted, 1) == {r: ends[r] for r in accepted}
    assert 0 == verified.returncode, verified.stdout


async def killed(
    sluice: Sluice, access: Access, session: aiohttp.ClientSession, group: str
) -> set[str]:
    """Send requests, kill the group's only worker among them, start it again."""
    sending = [
        asyncio.create_task(send(session, access, number)) for number in range(REQUESTS)
    ]
    await asyncio.sleep(0.05)  # noqa: TID251 - so that some are under way
    sluice.processes[group].kill()
    await ready(sluice.spawn(group, "consumers", group))
    return set(await asyncio.gather(*sending))
