"""The tour's subscriber: one that keeps what it got, and the example as a process."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
from aiohttp import web
from openai import AsyncOpenAI
from standardwebhooks import Webhook

from demo.launch import Sluice
from demo.stack.ports import free_port

KINDS: Final[Any] = ["request.completed", "request.blocked", "request.failed"]
WITHIN_S: Final = 30.0
Named = Literal["genuine", "again", "forged", "stale"]


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery, exactly as it came.

    Attributes:
        headers: all of them, by name in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def about(self) -> str:
        """The request that it is about."""
        found: dict[str, Any] = json.loads(self.body)
        return str(found["data"]["request_id"])


@dataclass(slots=True)
class Keeper:
    """A subscriber that answers 204 to whatever comes, and keeps it."""

    url: str = ""
    secret: str = field(default="", repr=False)
    received: list[Received] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Keep one delivery."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(
            Received(request.method, request.path_qs, headers, await request.read())
        )
        return web.Response(status=204)

    async def told_of(self, request: str) -> Received | None:
        """The delivery about a request; None: none came in time."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    for each in self.received:
                        if each.about == request:
                            return each
                    await asyncio.sleep(0.1)  # noqa: TID251 - polls other processes
        except TimeoutError:
            return None

    def verified(self, delivery: Received) -> dict[str, Any]:
        """Its event, checked by a package that is not ours.

        Raises:
            WebhookVerificationError: it was not signed by the secret.
        """
        sent = dict(delivery.headers)
        found: dict[str, Any] = Webhook(self.secret).verify(delivery.body, sent)
        return found

    def written(self, folder: Path) -> None:
        """Put every delivery, and the secret, where an auditor finds them."""
        folder.mkdir(parents=True)
        (folder / "secret").write_text(self.secret)
        for number, each in enumerate(self.received, 1):
            kept = {
                "method": each.method, "path": each.path, "headers": {**each.headers},
            }  # fmt: skip
            (folder / f"{number:02}.body").write_bytes(each.body)
            (folder / f"{number:02}.request.json").write_text(
                json.dumps(kept, indent=1) + "\n"
            )


@asynccontextmanager
async def keeping(sdk: AsyncOpenAI) -> AsyncIterator[Keeper]:
    """A keeper, registered by OpenAI's SDK."""
    keeper = Keeper()
    app = web.Application()
    app.router.add_post("/webhooks", keeper.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        (address,) = runner.addresses
        keeper.url = f"http://127.0.0.1:{address[1]}/webhooks"
        made = await sdk.webhooks.create(
            name="the tour", url=keeper.url, event_types=KINDS
        )
        keeper.secret = made.signing_secret
        yield keeper
    finally:
        await runner.cleanup()


@dataclass(frozen=True, slots=True)
class Example:
    """``examples/subscriber.py`` as a process, with a secret of its own."""

    url: str
    secret: str = field(repr=False)
    database: Path

    async def answers(self, session: aiohttp.ClientSession) -> dict[Named, int]:
        """What it says to a genuine delivery, a duplicate, a forgery, a stale one."""
        body, now = b'{"type":"request.completed","data":{}}', datetime.now(UTC)  # noqa: TID251
        genuine = self._signed("msg_tour", now, body)
        stale = self._signed("msg_old", now - timedelta(minutes=6), body)
        sent: dict[Named, tuple[dict[str, str], bytes]] = {
            "genuine": (genuine, body),
            "again": (genuine, body),
            "forged": (genuine, body.replace(b"completed", b"blocked")),
            "stale": (stale, body),
        }
        found: dict[Named, int] = {}
        for name, (headers, raw) in sent.items():
            async with session.post(self.url, data=raw, headers=headers) as answer:
                found[name] = answer.status
        return found

    def _signed(self, name: str, at: datetime, body: bytes) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(name, at, body.decode()),
        }

    def handled(self) -> list[str]:
        """The ids that it took, each once."""
        with sqlite3.connect(self.database) as database:
            return [row[0] for row in database.execute("select id from seen")]


async def example(sluice: Sluice, sdk: AsyncOpenAI) -> Example:
    """Register the example with OpenAI's SDK, then start it with its secret."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks"
    made = await sdk.webhooks.create(name="the example", url=url, event_types=KINDS)
    database = sluice.root / "subscriber.db"
    sluice.subscriber(port, made.signing_secret, database)
    await _listening(port)
    return Example(url, made.signing_secret, database)


async def _listening(port: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                _, out = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)  # noqa: TID251 - polls another process
            else:
                out.close()
                return
