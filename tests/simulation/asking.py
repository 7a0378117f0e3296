"""HTTP to a gateway: one request over a connection that may break at any moment."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import Owner

if TYPE_CHECKING:
    from tests.simulation.world import World

GATEWAYS = ("gateway-0", "gateway-1")
NOTICED_S = 2.0
"""Until it is noticed that a connection's other end is gone."""


@dataclass(slots=True)
class Answer:
    """What came back; no status: nothing did."""

    status: int | None = None
    body: bytes = b""

    @property
    def known(self) -> bool:
        """False: nothing is known, so the same request is sent again."""
        return self.status is not None and b'"not_ready"' not in self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked; ``key``: its Idempotency-Key."""

    method: str
    path: str
    token: str
    key: str | None = None
    body: bytes = b""

    @property
    def scope(self) -> dict[str, Any]:
        """As an ASGI server tells it."""
        headers = [(b"authorization", f"Bearer {self.token}".encode())]
        if self.body:
            headers.append((b"content-type", b"application/json"))
        if self.key is not None:
            headers.append((b"idempotency-key", self.key.encode()))
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


async def ask(world: "World", asked: Asked) -> Answer:
    """Ask a gateway, any of them."""
    owner, app = world.ports.get(world.chance.one(GATEWAYS), (None, None))
    await world.clock.sleep(world.chance.latency())
    if owner is None or owner.dead:
        return Answer()
    told: asyncio.Future[Answer] = world.loop.create_future()
    serving = world.loop.create_task(
        serve(app, asked, told), context=world.loop.context(owner)
    )
    broken = world.loop.create_task(_broken(world, owner))
    await asyncio.wait({told, broken}, return_when=asyncio.FIRST_COMPLETED)
    broken.cancel()
    if not told.done():
        serving.cancel()
        return Answer()
    await world.clock.sleep(world.chance.latency())
    return told.result()


async def _broken(world: "World", owner: Owner) -> None:
    """Returns when the connection breaks: with its process, or by the seed."""
    lasts = world.chance.uniform(1.0, 30.0) if world.chance.storm else 300.0
    until = world.clock.monotonic() + lasts
    while not owner.dead and (left := until - world.clock.monotonic()) > 0:
        await world.clock.sleep(min(left, NOTICED_S))


async def serve(app: Any, asked: Asked, told: "asyncio.Future[Answer]") -> None:
    """An ASGI server with one connection."""
    answer = Answer()
    sent = iter(({"type": "http.request", "body": asked.body, "more_body": False},))

    async def receive() -> Any:
        return next(sent, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
        else:
            answer.body += message.get("body", b"")
            if not message.get("more_body") and not told.done():
                told.set_result(answer)

    await app(asked.scope, receive, send)
