"""What is sent, and that it was handled as it should before it is measured."""

import json
from typing import Any, Final

import aiohttp

from demo.launch import Access
from infra.system import SystemClock

CLOCK: Final = SystemClock()
LOOKS: Final = 100
VALUES: Final = (
    "Marta Lindqvist",
    "4111 1111 1111 1111",
    "+1 202-555-0143",
    "marta.lindqvist@example.org",
    "DE89 3704 0044 0532 0130 00",
    "AKIAIOSFODNN7EXAMPLE",
    "192.0.2.44",
)
"""Seven findings; none is anybody's."""
FINDINGS: Final = (
    "My name is {}. Card {}, phone {}, mail {}, IBAN {}, key {}, host {}. "
).format(*VALUES)
FILLER: Final = (
    "The quarterly report is due and the garden needs water again. ",
    "Please compare both drafts, and say which of them reads better. ",
    "A long train ride gives time for three chapters of a good book. ",
    "Rain is expected towards the evening, with some wind from the west. ",
    "If the oven is too hot, the crust burns before the bread is done. ",
)


def prompt(text: str) -> bytes:
    """A chat request of about 1 KiB that begins with ``text``."""
    content = (text + "".join(FILLER) * 4)[:1024]
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "echo", "messages": messages}).encode()


DENSE, CLEAN = prompt(FINDINGS), prompt("")


async def checked(session: aiohttp.ClientSession, access: Access) -> int:
    """How many of the seven values did not reach the provider, with all controls on.

    Raises:
        RuntimeError: one did, or a guard that the policy requires did not run.
    """
    url, headers = access.gateway, {"authorization": f"Bearer {access.api_key}"}
    request = await _asked(session, url + "/v1/chat/completions", headers)
    guards = await _guards(session, f"{url}/v1/requests/{request}", headers)
    async with session.get(access.stand_in + "/seen") as seen:
        sent = (await seen.json())["bodies"][-1]["messages"][0]["content"]
    reached = [value for value in VALUES if value in sent]
    missing = {*guards["required"]} - {*guards["ran"]}
    if reached or missing or not guards["ran"]:
        raise RuntimeError(f"{len(reached)} values passed; not run: {sorted(missing)}")
    return len(VALUES)


async def _guards(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> dict[str, list[str]]:
    """What was required and what ran, once the request's end is written."""
    found: dict[str, list[str]] = {"required": [], "ran": []}
    for _ in range(LOOKS):
        async with session.get(url, headers=headers) as told:
            story: dict[str, Any] = await told.json()
        found = story["guards"]
        if found["ran"]:
            break
        await CLOCK.sleep(0.1)
    return found


async def _asked(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> str:
    json_too = {**headers, "content-type": "application/json"}
    async with session.post(url, data=DENSE, headers=json_too) as answer:
        await answer.read()
        return answer.headers["x-request-id"]
