"""The outermost layer: a request id and safe headers on everything that leaves."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.ports.system import Entropy
from producers.faults import HEADERS_TOO_LARGE
from producers.gateway.errors import response

Headers = list[tuple[bytes, bytes]]

SAFE: Final = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), camera=()",
    "content-security-policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
}
"""Headers of every answer, unless it brings its own."""


MAX_HEADER_BYTES: Final = 16 * 1024
LEFT_UNREAD: Final = 64 * 1024
"""Bytes of a body that may come after its answer."""
LINGER_BYTES: Final = 1024 * 1024
LINGER_S: Final = 1.0
"""How much more of a longer one is read first: who is reset while sending may not see
its answer. Then its connection ends (RFC 9112 9.6): a server that keeps it reads on."""
_RAW: Final = [(name.encode(), value.encode()) for name, value in SAFE.items()]


@dataclass(frozen=True, slots=True)
class Edge:
    """Pure ASGI: context variables and streams pass through untouched."""

    app: ASGIApp
    entropy: Entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = self.entropy.uuid7()

        held = _waits(scope["headers"])
        body = _Body(receive, more=held or _long(scope["headers"]), held=held)

        async def leaving(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Read now: a retry under an Idempotency-Key has its first one's id.
                headers = _safe(message["headers"], state["request_id"])
                if body.more and await body.goes_on():
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        await self._chosen(scope)(scope, body if body.more else receive, leaving)

    def _chosen(self, scope: Scope) -> ASGIApp:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size <= MAX_HEADER_BYTES:
            return self.app
        return response(Request(scope), HEADERS_TOO_LARGE)


@dataclass(slots=True)
class _Body:
    """A body that is being received.

    Attributes:
        more: its end has not come.
        held: nothing of it comes before it is asked for.
    """

    receive: Receive
    more: bool
    held: bool

    async def __call__(self) -> Message:
        self.held = False
        message = await self.receive()
        self.more = bool(message.get("more_body", False))
        return message

    async def goes_on(self) -> bool:
        """Read a little further; whether the end has still not come.

        To read is to ask for it (RFC 9110, 10.1.1): who holds it back is in nobody's
        way, and need not send what was refused.
        """
        if self.held:
            return True
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while self.more and left > 0:
                    left -= len((await self()).get("body", b""))
        return self.more


def _long(headers: Headers) -> bool:
    known = dict(headers)
    length = known.get(b"content-length", b"0")
    told = length.isdigit() and b"transfer-encoding" not in known
    return not told or int(length[:18]) > LEFT_UNREAD  # 18 digits are too many too


def _waits(headers: Headers) -> bool:
    return dict(headers).get(b"expect", b"").lower() == b"100-continue"


def _safe(headers: Headers, request_id: str) -> Headers:
    own = {name for name, _ in headers}
    safe = [pair for pair in _RAW if pair[0] not in own]
    return [*headers, *safe, (b"x-request-id", request_id.encode())]
