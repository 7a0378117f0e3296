"""An internet of a test's own: names, and a listener that every dial ends at."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override


class Names(AbstractResolver):
    """Answers what a test says, call after call; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    @override
    async def close(self) -> None: ...


@dataclass
class Listener:
    """A server on loopback that counts who came, and plays every address there is.

    Attributes:
        dialled: the addresses that somebody set out for, by :meth:`open_socket`.
    """

    port: int = 0
    accepted: int = 0
    seen: list[web.Request] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        await request.read()
        if self.answer is None:
            return web.Response(status=204)
        return await self.answer(request)

    def open_socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """A socket that ends here, whatever address it sets out for."""
        return _Diverted(self, family, kind, protocol)


class _Diverted(socket.socket):
    def __init__(self, to: Listener, *kind: int) -> None:
        super().__init__(*kind)
        self._to = to

    @override
    def connect(self, address: Any) -> None:
        self._to.dialled.append(address[0])
        here = "::ffff:127.0.0.1" if self.family == socket.AF_INET6 else "127.0.0.1"
        super().connect((here, self._to.port))


@asynccontextmanager
async def serving(
    made: Listener, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    server = runner.server
    assert server is not None

    def accepted() -> object:
        made.accepted += 1
        return server()

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        accepted,  # type: ignore[arg-type]  # the same protocol, counted
        "127.0.0.1",
        0,
        ssl=tls,
    )
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        await runner.cleanup()
