"""``make up`` and ``make down``: Sluice for one's own requests, left running."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console

from demo import stack
from demo.launch import Access, Sluice
from demo.left import Left, code, digest
from demo.stack.files import locked
from demo.stack.jars import cache
from demo.stack.ports import promised_port

CHECKOUT: Final = Path(__file__).parents[1]
FOLDER: Final = CHECKOUT / ".sluice"
PORT: Final = 8080
OPENAI: Final = "openai"
OPENAI_MODELS: Final = ("gpt-4o-mini", "gpt-4o", "gpt-5-mini", "gpt-5")
UNAUTHORIZED: Final = 401


def up(console: Console, folder: Path = FOLDER) -> None:
    """Start what does not run; print how to use it.

    A second up finds the first. It starts everything anew where a process has ended
    or the provider that the environment names, or the code, is another.

    Raises:
        StackError: Kafka or Postgres cannot be had.
        NotReady: a process of ours ended, or took too long; nothing of ours runs.
    """
    left = Left(folder / "up")
    left.folder.mkdir(parents=True, exist_ok=True)
    console.print("Starting Kafka, Postgres and Sluice: a minute, the first time more.")
    with locked(left.folder / "lock"):
        services = stack.start(folder / "local", detached=True)
        console.print(services.chosen)
        access = asyncio.run(_up(console, left, Sluice(left.folder, services)))
    _told(console, access, left)


def down(console: Console, folder: Path = FOLDER) -> None:
    """Stop what :func:`up` started; the data, the tenant and its key stay."""
    left = Left(folder / "up")
    left.folder.mkdir(parents=True, exist_ok=True)
    with locked(left.folder / "lock"):
        left.stop()
        stack.stop(folder / "local")
    console.print("stopped")


async def _up(console: Console, left: Left, sluice: Sluice) -> Access:
    wanted = _own_provider(sluice)
    settings = digest(
        {"kafka": sluice.stack.kafka_bootstrap, "postgres": sluice.stack.postgres_url},
        wanted,
        code(CHECKOUT),
    )
    running, kept = left.running(), left.access()
    if running and kept and not running.ended and running.settings == settings:
        console.print("It runs already.")
        return kept
    if running:
        why = (
            f"ended: {', '.join(running.ended)}"
            if running.ended
            else "new settings or code"
        )
        console.print(f"Starting anew ({why}).")
        left.stop()
    await sluice.provide()
    # Another checkout's up may want it at the same time.
    with promised_port(PORT, cache() / "up.lock") as sluice.ports["gateway"]:
        access = await asyncio.to_thread(_access, sluice, kept)
        if wanted:
            await asyncio.to_thread(_routes, sluice, access)
        await _started(left, sluice, settings)
    access = await asyncio.to_thread(_with_a_key, sluice, access)
    left.keep_access(access)
    left.keep_environment(sluice.environment("workers", 0), access)
    return access


def _own_provider(sluice: Sluice) -> dict[str, str]:
    """The provider that the environment names, as its own SDK would read it."""
    key = os.environ.get("OPENAI_API_KEY")  # noqa: TID251 - the user's own provider
    base = os.environ.get("OPENAI_BASE_URL")  # noqa: TID251 - as above
    if not (key and base):
        return {}
    sluice.provider(OPENAI, base, key)
    return {"key": key, "base": base}


def _access(sluice: Sluice, kept: Access | None) -> Access:
    """The tenant of the last up, where the database still knows it; else a new one."""
    known = {each["tenant_id"] for each in sluice.ask("tenant", "list")}
    if kept is None or kept.tenant_id not in known:
        return sluice.onboard("local")
    return replace(kept, urls=sluice.urls, **sluice.addresses())


def _routes(sluice: Sluice, access: Access) -> None:
    for model in OPENAI_MODELS:
        sluice.ask(
            "route", "set", "--tenant", access.tenant_id, model, "--provider", OPENAI
        )


async def _started(left: Left, sluice: Sluice, settings: str) -> None:
    try:
        await sluice.start()
    except BaseException:
        sluice.stop()
        raise
    left.keep_running(sluice.processes, settings)


def _with_a_key(sluice: Sluice, access: Access) -> Access:
    """The key that was kept, unless somebody revoked it."""
    asked = Request(  # noqa: S310 - a loopback URL of ours
        f"{access.gateway}/v1/requests/{access.tenant_id}",
        headers={"authorization": f"Bearer {access.api_key}"},
    )
    try:
        urlopen(asked, timeout=10).close()  # noqa: S310 - as above
    except HTTPError as error:
        if error.code == UNAUTHORIZED:
            made = sluice.ask("key", "create", "--tenant", access.tenant_id)
            return replace(access, api_key=made["key"])
    return access


def _told(console: Console, access: Access, left: Left) -> None:
    url, key = access.gateway, access.api_key
    _line(console, f"\nSluice is up at {url}\nAPI key: {key}\n")
    _line(
        console,
        f"curl {url}/v1/chat/completions -H 'authorization: Bearer {key}'"
        " -H 'content-type: application/json' -d"
        ' \'{"model":"echo","messages":[{"role":"user","content":"Hello"}]}\'',
    )
    _line(
        console,
        f"{sys.executable} -c \"import openai; c = openai.OpenAI(base_url='{url}/v1',"
        f" api_key='{key}'); print(c.chat.completions.create(model='echo',"
        " messages=[{'role': 'user', 'content': 'Hello'}])"
        '.choices[0].message.content)"',
    )
    _line(console, f"\nFor the operator's commands:\n. {left.environment}")
    _line(console, "sluice tenant list\n\nStop it with: make down")


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
