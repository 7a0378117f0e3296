"""The outermost layer: a request id and safe headers on everything that leaves."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.ports.system import Entropy

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

        async def leaving(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
                # Read now: a retry under an Idempotency-Key has its first one's id.
                headers["x-request-id"] = state["request_id"]
            await send(message)

        await self.app(scope, receive, leaving)
