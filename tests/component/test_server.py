"""An HTTP server inside a process: where it listens, and what is said if it cannot."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import closing, suppress

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.heads import TOO_LARGE
from infra.server import serving
from infra.system import SystemClock
from pipeline.errors import Misconfigured
from producers.faults import HEADERS_TOO_LARGE
from schemas.problems import problem

LOOPBACK = "127.0.0.1"


async def test_a_port_that_is_taken_is_told_and_never_waited_for() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            Misconfigured, match=f"{LOOPBACK}, port {port}: Address already in use$"
        ):
            async with asyncio.timeout(5), serving(Starlette(), LOOPBACK, port):
                await asyncio.Event().wait()


async def test_any_free_port_is_told_and_given_back() -> None:
    async with serving(Starlette(), LOOPBACK, 0) as port, httpx2.AsyncClient() as asker:
        answer = await asker.get(f"http://{LOOPBACK}:{port}/")

    assert 404 == answer.status_code
    socket.create_server((LOOPBACK, port)).close()


async def everything(app: ASGIApp, *parts: bytes) -> bytes:
    """What the server says to a client that sends these and then waits."""
    async with asyncio.timeout(20), serving(app, LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        said = b""
        with suppress(ConnectionError):
            while more := await reader.read(65_536):
                said += more
        writer.close()
        return said


def told(said: bytes) -> tuple[int, str]:
    """Status and code of the one answer, a problem document with the id of its head."""
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    found = json.loads(body)
    assert f"x-request-id: {found['request_id']}" in lines
    assert f"content-length: {len(body)}" in lines
    assert {"content-type: application/problem+json", "connection: close"} < set(lines)
    assert found["status"] == int(lines[0].split()[1])
    return found["status"], found["code"]


BEGUN = b"GET / HTTP/1.1\r\nHost: a\r\n"
ENDLESS = {
    "one header": [BEGUN + b"x: ", *[b"a" * 8_192] * 40],
    "many headers": [BEGUN, *[b"x: y\r\n" * 1_024] * 40],
    "a path": [b"GET /", *[b"a" * 8_192] * 40],
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=ENDLESS)
async def test_a_head_without_end_is_refused(parts: list[bytes]) -> None:
    said = await everything(Starlette(), *parts)

    assert not said or (431, "headers-too-large") == told(said)


def test_a_head_is_too_large_in_one_vocabulary() -> None:
    told = HEADERS_TOO_LARGE

    assert TOO_LARGE == problem(told.code, told.status, told.title, told.detail)


CHUNKED = BEGUN.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [CHUNKED + b"1;", *[b"a" * 8_192] * 40],
        [CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"a" * 8_192] * 40],
        [CHUNKED + b"1\r\na\r\n0\r\n", *[b"x: y\r\n" * 1_024] * 40],
    ],
    ids=["what follows a size", "a trailer", "trailers"],
)
async def test_nor_may_a_body_have_such(parts: list[bytes]) -> None:
    waiting = asyncio.Event()

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        waiting.set()

    said = await everything(app, *parts)

    await asyncio.wait_for(waiting.wait(), 5)
    assert not said or (431, "headers-too-large") == told(said)


@pytest.mark.parametrize(
    "raw",
    [b"hello\r\n\r\n", b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n"],
)
async def test_what_is_no_http_is_told_as_everything_else(raw: bytes) -> None:
    assert (400, "not-http") == told(await everything(Starlette(), raw))


@pytest.mark.parametrize("hosts", [[], ["a", "b"], ["a", "a"]])
async def test_a_head_names_one_host(hosts: list[str]) -> None:
    """Of two, one machine on the way believes the first and another the last."""
    lines = "".join(f"Host: {each}\r\n" for each in hosts)
    raw = f"POST / HTTP/1.1\r\n{lines}Content-Length: 2\r\n\r\n{{}}".encode()

    assert (400, "not-http") == told(await everything(Starlette(), raw))


async def test_http_of_before_there_was_a_host_needs_none() -> None:
    said = await everything(Starlette(), b"GET / HTTP/1.0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 404")


async def test_a_head_that_takes_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.heads.HEAD_S", 0.3)

    assert (408, "headers-too-slow") == told(await everything(Starlette(), BEGUN))


async def test_nor_does_it_help_to_send_a_little_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.heads.HEAD_S", 0.3)
    async with serving(Starlette(), LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        answer = asyncio.create_task(reader.read())
        for _ in range(100):
            writer.write(b"\r\n")
            await asyncio.wait([answer], timeout=0.05)
            if answer.done():
                break

        assert answer.done()
        assert (408, "headers-too-slow") == told(await answer)
        writer.close()


async def test_a_body_that_is_none_is_told_while_nothing_is_answered() -> None:
    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    assert (400, "not-http") == told(await everything(app, CHUNKED + b"no size\r\n"))


async def test_nothing_is_said_into_an_answer() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async with serving(app, LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(CHUNKED + b"1\r\na\r\n")
        begun = await reader.readuntil(b"x")
        writer.write(b"no size\r\n")
        rest = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert begun.startswith(b"HTTP/1.1 200 OK")
    assert b"not-http" not in rest


async def test_who_never_begins_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.heads.HEAD_S", 0.3)

    assert b"" == await everything(Starlette())


async def test_the_next_head_of_a_connection_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.heads.HEAD_S", 0.3)
    async with serving(Starlette(), LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(BEGUN + b"\r\n")
        first = await reader.readuntil(b"\r\n\r\nNot Found")
        await SystemClock().sleep(0.6)  # between two requests nobody is hurried
        writer.write(BEGUN)
        second = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert b" 404 " in first
    assert (408, "headers-too-slow") == told(second)


async def test_a_slow_answer_and_a_slow_body_are_no_slow_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.heads.HEAD_S", 0.2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        await SystemClock().sleep(0.5)
        answer = PlainTextResponse(body + message["body"])
        await answer(scope, receive, send)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await SystemClock().sleep(0.2)
            yield b"x" * 100_000

    async with serving(app, LOOPBACK, 0) as port, httpx2.AsyncClient() as asker:
        answer = await asker.post(f"http://{LOOPBACK}:{port}/", content=slowly())

    assert (200, 300_000) == (answer.status_code, len(answer.content))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("reads", [False, True])
async def test_who_does_not_read_an_answer_is_left(
    monkeypatch: pytest.MonkeyPatch, connection: str, *, reads: bool
) -> None:
    monkeypatch.setattr("infra.heads.READ_S", 0.5)
    size, whole = 32 * 1024 * 1024, False  # more than the kernels keep of it

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(b"x" * size)(scope, receive, send)

    async with serving(app, LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(BEGUN + f"Connection: {connection}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not reads:
            await SystemClock().sleep(1)
        async with asyncio.timeout(10):
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readexactly(size)
                whole = True
        writer.close()

    assert b" 200 " in head
    assert reads == whole


MEGABYTE = 1024 * 1024


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """More than the kernels keep of it."""
    await PlainTextResponse(b"x" * 32 * MEGABYTE)(scope, receive, send)


async def got_of_large(at_once: int, pause_s: float, times: int) -> int:
    """Bytes that a client gets that reads so many so often, and then all that comes."""
    got = 0
    async with serving(large, LOOPBACK, 0) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(BEGUN + b"Connection: close\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(times):
                got += len(await reader.readexactly(at_once))
                await SystemClock().sleep(pause_s)
            while more := await reader.read(MEGABYTE):
                got += len(more)
    return got


async def test_who_reads_slowly_gets_the_whole_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes longer than for how long nothing may be read."""
    monkeypatch.setattr("infra.heads.READ_S", 0.5)

    assert 32 * MEGABYTE == await got_of_large(MEGABYTE, 0.06, 31)


async def test_who_reads_less_than_a_kernel_takes_at_once_reads_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A megabyte or so is gone before the kernel takes more of the answer."""
    monkeypatch.setattr("infra.heads.READ_S", 0.5)

    assert 32 * MEGABYTE == await got_of_large(MEGABYTE // 8, 0.1, 25)


async def test_a_little_now_and_then_is_no_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies there would lie there for days."""
    monkeypatch.setattr("infra.heads.READ_S", 0.3)
    monkeypatch.setattr("infra.heads.READ_BYTES", 8 * MEGABYTE)

    assert 32 * MEGABYTE > await got_of_large(MEGABYTE // 4, 0.1, 20)


UPGRADE = (
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
)
"""What a JDK's client sends first to a server without TLS."""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it got."""
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


@pytest.mark.parametrize(
    "parts",
    [
        [UPGRADE + b"Content-Length: 4\r\n\r\nbody"],
        [UPGRADE, b"Content-Length: 4\r\n\r\n", b"bo", b"dy"],
        [UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n4\r\n", b"body\r\n0\r\n\r\n"],
        [UPGRADE + b"Content-Length: 4\r\n\r\nbody" + BEGUN + b"\r\n"],
    ],
    ids=["with its head", "in pieces", "chunked", "before another"],
)
async def test_a_body_is_read_whatever_protocol_its_head_would_rather_have(
    parts: list[bytes],
) -> None:
    said = await everything(echo, *parts)

    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\n\r\nbody")


async def test_such_a_head_may_say_that_its_body_is_empty() -> None:
    said = await everything(echo, UPGRADE + b"Content-Length: 0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\n\r\n")


async def test_of_such_a_head_too_a_length_that_nobody_can_tell_is_no_http() -> None:
    said = await everything(echo, UPGRADE + b"Transfer-Encoding: gzip\r\n\r\n")

    assert (400, "not-http") == told(said)


async def test_a_body_that_looks_like_a_request_is_none() -> None:
    inner = BEGUN + b"\r\n"
    head = UPGRADE + b"Content-Length: %d\r\n\r\n" % len(inner)
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        await echo(scope, receive, send)

    said = await everything(app, head, inner)

    assert ["POST"] == seen
    assert said.endswith(inner)


async def test_without_a_body_a_head_that_would_upgrade_is_answered() -> None:
    begun = UPGRADE.replace(b"POST", b"GET") + b"\r\n"
    async with serving(echo, LOOPBACK, 0) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for _ in range(2):
            writer.write(begun)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
