"""Heads of HTTP requests, and the reading of answers, bounded for whoever it is."""

import asyncio
from array import array
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
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
READ_S: Final = 60.0
"""For so long an answer waits for its reader: what is not read lies in the kernel's
buffers, megabytes of it, and needs no credential to be asked for."""
READ_BYTES: Final = 65_536
"""So much is gone in that time where somebody reads, down to four times of it: kernels
tell of what was read in pieces, of 128 KiB on the loopback device."""
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Headers that say where a body ends; without one of them there is none."""
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

    And which waits for ever for whoever does not read its answer.

    What is refused here has no path yet, so it gets a problem document, and the
    connection ends.

    Who would rather speak another protocol is answered in this one (RFC 9110, 7.8).
    The parser takes what follows such a head for that protocol: where a body does, it
    is read by a parser of its own, and then the connection ends.
    """

    _framing: bytes | None = None
    _held = 0
    _went_on = False
    _limit: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing is paused while anything waits: so closing waits no longer either.
        transport.set_write_buffer_limits(high=0)
        self._expect()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_expect()
        self._was_read()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(self._left())

    @override
    def resume_writing(self) -> None:
        self._was_read()
        super().resume_writing()

    def _wait(self, left: int) -> None:
        self._unread = self.loop.call_later(READ_S, self._look, left)

    def _look(self, before: int) -> None:
        left = self._left()
        if before - left < READ_BYTES:
            self.transport.abort()
        else:
            self._wait(left)

    def _left(self) -> int:
        """How many bytes the other side did not take: ours, and those of the kernel.

        The kernel takes nothing more of ours before a third of its own is gone.
        """
        unsent = array("i", [0])
        with suppress(OSError):
            ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, unsent)
        return self.transport.get_write_buffer_size() + unsent[0]

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    @override
    def data_received(self, data: bytes) -> None:
        self._went_on = False
        self._unset_keepalive_if_required()
        self._parsed(data)
        # Also trailers, and what follows a chunk's size: the parser keeps them too.
        self._held = 0 if self._went_on else self._held + len(data)
        if self.transport.is_closing():
            return
        if self._held > HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._answered():
            self._expect()

    def _parsed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserError:
                self._refuse(NOT_HTTP)
            except HttpParserUpgrade as upgrade:
                data = self._stay() + data[upgrade.args[0] :]
                continue
            return

    def _stay(self) -> bytes:
        """The body behind a head that would upgrade is to come, or nothing.

        What is to be parsed before it: how long it is, which may be wrong, or 0.
        """
        framing, self._framing = self._framing, None
        if framing is None:
            return b""
        self.parser = HttpRequestParser(_Body(self))
        return b"POST / HTTP/1.1\r\n" + framing + b"\r\n"

    @override
    def on_headers_complete(self) -> None:
        # RFC 9112, 3.2: two proxies may each believe another one.
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("expected one host")
        self._went_on = True
        self._no_longer_expect()
        framing = [pair for pair in self.headers if pair[0] in FRAMING]
        if not (framing and self.parser.should_upgrade()):
            super().on_headers_complete()
            return
        self._framing = b"".join(b"%s: %s\r\n" % pair for pair in framing)
        super().on_headers_complete()
        self.cycle.keep_alive = False

    @override
    def on_message_complete(self) -> None:
        if self._framing is None:
            super().on_message_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._went_on = True
        super().on_body(body)

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


class _Body:
    """Hands one body on, and nothing of its head or of what follows."""

    def __init__(self, to: BoundedHeads) -> None:
        self._to = to
        self._open = True

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        if self._open:
            self._to.on_body(body)

    def on_message_complete(self) -> None:
        """Its end."""
        if self._open:
            self._open = False
            self._to.on_message_complete()
