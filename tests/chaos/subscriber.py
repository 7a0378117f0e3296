"""A subscriber that keeps what it got, and does not take everything at the first go."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from aiohttp import web
from openai import AsyncOpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from demo.launch import Access

KINDS: Final[Any] = ["request.completed", "request.blocked", "request.failed"]
REFUSED_ONCE: Final = 16
"""Of 256 messages, so many are refused at their first attempt; they come again."""
REFUSED_TWICE: Final = 4
"""Of 256, so many are refused twice where that is wanted: five minutes between."""


@dataclass
class Subscriber:
    """Deliveries as they came.

    Attributes:
        patient: some are refused twice.
        attempts: by webhook id, how often it came.
        taken: by request, the webhook ids that we took.
        bodies: by webhook id, the different bodies.
        forged: deliveries that did not verify.
    """

    url: str = ""
    secret: str = field(default="", repr=False)
    patient: bool = False
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    taken: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    forged: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Keep one delivery; refuse some."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw, name = await request.read(), headers["webhook-id"]
        self.attempts[name] += 1
        self.bodies[name].add(raw)
        if not self._genuine(raw, headers):
            self.forged += 1
        if self.attempts[name] <= self._refusals(name):
            return web.Response(status=503)
        self.taken[json.loads(raw)["data"]["request_id"]].add(name)
        return web.Response(status=204)

    def _genuine(self, raw: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self.secret).verify(raw, headers)
        except WebhookVerificationError:
            return False
        return True

    def _refusals(self, name: str) -> int:
        lot = sha256(name.encode()).digest()[0]
        if self.patient and lot < REFUSED_TWICE:
            return 2
        return 1 if lot < REFUSED_ONCE else 0


@asynccontextmanager
async def subscribed(access: Access, *, patient: bool) -> AsyncIterator[Subscriber]:
    """A subscriber that the tenant registered."""
    made = Subscriber(patient=patient)
    app = web.Application()
    app.router.add_post("/hooks", made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        (address,) = runner.addresses
        made.url = f"http://127.0.0.1:{address[1]}/hooks"
        made.secret = await _registered(access, made.url)
        yield made
    finally:
        await runner.cleanup()


async def _registered(access: Access, url: str) -> str:
    base = access.gateway + "/v1"
    async with AsyncOpenAI(api_key=access.api_key, base_url=base) as sdk:
        made = await sdk.webhooks.create(name="chaos", url=url, event_types=KINDS)
        return made.signing_secret
