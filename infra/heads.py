"""Heads of HTTP requests, bounded before anybody asks whose they are."""

import asyncio
from typing import Final, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from infra.system import SystemEntropy
from schemas.problems import Problem, problem

HEAD_BYTES: Final = 65_536
"""Of a head that has not ended: with each piece the parser copies what it has of it."""
HEAD_S: Final = 30.0
_ENTROPY: Final = SystemEntropy()

NOT_HTTP: Final = problem(
    "not-http", 400, "Not HTTP", "Send a request as HTTP/1.1 has it (RFC 9112)."
)
TOO_LARGE: Final = problem(
    "headers-too-large",
    431,
    "The headers are too large",
    "All headers together have at most 16 KiB.",
)
TOO_SLOW: Final = problem(
    "headers-too-slow",
    408,
    "The headers took too long",
    "The headers must arrive within 30 seconds.",
)


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's connection, which takes heads of any size that come at any pace.

    What is refused here has no path yet, so it gets a problem document, and the
    connection ends.
    """

    _held = 0
    _went_on = False
    _limit: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_expect()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        self._went_on = False
        super().data_received(data)
        # Also trailers, and what follows a chunk's size: the parser keeps them too.
        self._held = 0 if self._went_on else self._held + len(data)
        if self.transport.is_closing():
            return
        if self._held > HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._answered():
            self._expect()

    @override
    def on_headers_complete(self) -> None:
        self._went_on = True
        self._no_longer_expect()
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._went_on = True
        super().on_body(body)

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(NOT_HTTP)

    def _answered(self) -> bool:
        """Whether nobody is at work on a request of this connection."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _expect(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(HEAD_S, self._late)

    def _no_longer_expect(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _late(self) -> None:
        if self.transport.is_closing():
            return
        if self._held:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, why: Problem) -> None:
        if self._answered() or not self.cycle.response_started:
            self._tell(why)
        self.transport.close()

    def _tell(self, why: Problem) -> None:
        request_id = _ENTROPY.uuid7()
        told = why.model_copy(update={"request_id": request_id})
        body = told.model_dump_json(exclude_none=True).encode()
        head = (
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            "cache-control: no-store\r\n"
            "connection: close\r\n"
            f"x-request-id: {request_id}\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[why.status] + head.encode() + body)
