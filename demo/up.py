"""``make up`` and ``make down``: Sluice for one's own requests, left running."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from demo import stack
from demo.launch import Access, Sluice, remembered
from demo.stack.daemon import started

HOME: Final = Path(__file__).parents[1] / ".sluice" / "up"
STATE: Final = HOME / "up.json"
STOP_WITHIN_S: Final = 20.0
OPENAI: Final = "openai"
OPENAI_MODELS: Final = ("gpt-4o-mini", "gpt-4o", "gpt-5-mini", "gpt-5")


async def up(console: Console) -> None:
    """Start what does not run; print how to use it."""
    found = _running()
    if found is not None:
        _told(console, found["access"])
        return
    services = stack.start(detached=True)
    console.print(services.chosen)
    sluice = Sluice(HOME, services)
    await sluice.provide()
    provider = _own_provider(sluice)
    await sluice.start()
    access = await asyncio.to_thread(_access, sluice)
    if provider:
        await asyncio.to_thread(_route, sluice, access)
    remembered(HOME, access, sluice.processes)
    found = _running()
    if found is not None:
        _told(console, found["access"])


def _own_provider(sluice: Sluice) -> bool:
    """The provider that the environment names, as its own SDK would read it."""
    key = os.environ.get("OPENAI_API_KEY")  # noqa: TID251 - the user's own provider
    base = os.environ.get("OPENAI_BASE_URL")  # noqa: TID251 - as above
    if key and base:
        sluice.provider(OPENAI, base, key)
    return bool(key and base)


def _access(sluice: Sluice) -> Access:
    return sluice.onboard("local")


def _route(sluice: Sluice, access: Access) -> None:
    for model in OPENAI_MODELS:
        sluice.ask(
            "route", "set", "--tenant", access.tenant_id, model, "--provider", OPENAI
        )


def down(console: Console) -> None:
    """Stop what :func:`up` started; the data stays."""
    found = _running()
    if found is not None:
        for pid, _ in found["pids"].values():
            _signal(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_WITHIN_S
        while _running() is not None and time.monotonic() < until:
            time.sleep(0.1)
    STATE.unlink(missing_ok=True)
    stack.stop()
    console.print("stopped")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _running() -> dict[str, Any] | None:
    """What was written down, if any of it still runs."""
    try:
        found: dict[str, Any] = json.loads(STATE.read_text())
    except FileNotFoundError:
        return None
    alive = [started(pid) == since for pid, since in found["pids"].values()]
    return found if any(alive) else None


def _told(console: Console, access: dict[str, str]) -> None:
    url, key = access["gateway"], access["api_key"]
    console.print(f"\nSluice is up at {url}\nAPI key: {key}\n", highlight=False)
    console.print(
        f"curl {url}/v1/chat/completions -H 'authorization: Bearer {key}'"
        " -H 'content-type: application/json' -d"
        ' \'{"model":"echo","messages":[{"role":"user","content":"Hello"}]}\'',
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"python -c \"import openai; c = openai.OpenAI(base_url='{url}/v1',"
        f" api_key='{key}'); print(c.chat.completions.create(model='echo',"
        " messages=[{'role': 'user', 'content': 'Hello'}])"
        '.choices[0].message.content)"',
        highlight=False,
        soft_wrap=True,
    )
    console.print("\nStop it with: make down")
