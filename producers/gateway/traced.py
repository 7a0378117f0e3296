"""The span of an HTTP request: where a story begins, or goes on from its caller's."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.ports.tracing import Fact, Tracing

METHODS: Final = frozenset({"GET", "POST", "DELETE"})
TRACED: Final = ("/v1/", "/oauth/")
HEADER: Final = b"traceparent"
FAILED: Final = 500


@dataclass(frozen=True, slots=True)
class Traced:
    """Outside of everything else; what is inside reads the span as its caller's.

    Attributes:
        routes: paths without parameters; of others no span tells more than the method.
    """

    app: ASGIApp
    tracing: Tracing
    routes: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(TRACED):
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER, b"")
        name, facts = self._told(scope)
        span = self.tracing.begin(name, "server", given.decode("latin-1"), facts)
        kept = [pair for pair in scope["headers"] if pair[0] != HEADER]
        headers = [*kept, (HEADER, span.traceparent.encode())]
        inner = {**scope, "headers": headers, "state": scope.setdefault("state", {})}
        status = FAILED

        async def leaving(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(inner, receive, leaving)
        finally:
            span.tell("http.response.status_code", status)
            span.tell("sluice.request_id", inner["state"].get("request_id", ""))
            span.end(str(status) if status >= FAILED else None)

    def _told(self, scope: Scope) -> tuple[str, dict[str, Fact]]:
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        if scope["path"] not in self.routes:
            return method, {"http.request.method": method}
        path: str = scope["path"]
        return f"{method} {path}", {"http.request.method": method, "http.route": path}
