"""Calls to a provider over real sockets: what one that went wrong is taken for."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from infra.providers import openai as module
from infra.providers.openai import OpenAIProviders, Upstream
from infra.system import SystemClock
from pipeline.ports.providers import Answered, Refused, Unanswered
from pipeline.reasons import Reason
from schemas.requests import Dialect, Route

ROUTE = Route(provider="own", model="m")
LOOPBACK = "127.0.0.1"
LIMITED, ERROR = Reason.UPSTREAM_RATE_LIMITED, Reason.UPSTREAM_ERROR
OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"choices":[{"message":{"content":"Danube"}}]}'


async def called(port: int) -> Answered | Refused | Unanswered:
    """How one call to a port of this machine went."""
    upstream = Upstream(base_url=f"http://{LOOPBACK}:{port}/v1")
    async with OpenAIProviders({"own": upstream}, SystemClock()) as providers:
        return await providers.call(ROUTE, Dialect.OPENAI_CHAT, b"{}", 10)


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """A provider that says this to whoever asks, and hangs up."""

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(asked, LOOPBACK, 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 500\r\n\r\n" + BODY,
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\n" + BODY[:5],
        OK + b"transfer-encoding: chunked\r\n\r\nfive\r\n" + BODY,
        OK + b"content-encoding: gzip\r\ncontent-length: 46\r\n\r\n" + BODY,
        OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + BODY,
        OK + b"x: " + b"x" * 100_000 + b"\r\n\r\n",
        b"220 smtp.example.com ESMTP\r\n",
    ],
    ids="length|chunk|chunked|gzip|lengths|header|smtp".split("|"),
)
async def test_an_answer_that_cannot_be_read_is_no_place_that_is_not_reached(
    answer: bytes,
) -> None:
    """Who answered may have done the work: its caller is not told to ask again."""
    async with saying(answer) as port:
        seen = await called(port)

    assert Unanswered(Reason.UPSTREAM_GARBAGE, retry=False) == seen


async def test_a_compressed_answer_is_read_and_not_further_than_it_may_be_long() -> (
    None
):
    for raw, expected in (
        (BODY, Answered(BODY)),
        (b" " * 64_000_000, Unanswered(Reason.UPSTREAM_GARBAGE, retry=False)),
    ):
        packed = gzip.compress(raw)
        head = b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
        async with saying(OK + head + packed) as port:
            assert expected == await called(port)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"429 x\r\nretry-after: 2", Unanswered(LIMITED, retry=True, after_s=2)),
        (b"429 x\r\nretry-after: soon", Unanswered(LIMITED, retry=True)),
        (b"503 x\r\nretry-after: 9", Unanswered(ERROR, retry=True, after_s=9)),
        (b"500 x", Unanswered(ERROR, retry=True)),
        (b"408 x", Unanswered(Reason.UPSTREAM_TIMEOUT, retry=True)),
        (b"400 x\r\nretry-after: 2", Refused(400)),
    ],
)
async def test_who_asks_for_time_is_heard(
    head: bytes, expected: Unanswered | Refused
) -> None:
    async with saying(b"HTTP/1.1 " + head + b"\r\ncontent-length: 0\r\n\r\n") as port:
        assert expected == await called(port)


async def test_who_lets_nobody_in_was_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tarpit: the kernel's queue is full, so a connect is never answered."""
    monkeypatch.setattr(module, "CONNECT_S", 0.2)
    with socket.socket() as tarpit, ExitStack() as stack:
        tarpit.bind((LOOPBACK, 0))
        tarpit.listen(0)
        port = tarpit.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex((LOOPBACK, port))
        seen = await called(port)

    assert Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=True) == seen


async def test_nobody_there_was_not_reached() -> None:
    seen = await called(1)

    assert Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=True) == seen
