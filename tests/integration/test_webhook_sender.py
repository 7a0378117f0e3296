"""One attempt over real sockets: where it may go, and what it does not do."""

import asyncio
import gzip
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.system import SystemClock
from infra.webhooks import sender as module
from infra.webhooks.sender import HttpSender
from pipeline.egress import EgressRules
from pipeline.webhooks import Attempt
from tests.support.outside import Listener, Names, serving

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
LOOPBACK = EgressRules(loopback=True)
HOST = "hooks.example.com"


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    async with serving(made):
        yield made


async def attempt(
    url: str,
    rules: EgressRules = LOOPBACK,
) -> Attempt:
    async with HttpSender(rules, CLOCK) as made:
        return await made.send(url, {"webhook-id": "msg_1"}, b"{}")


async def public(
    listener: Listener, url: str = f"http://{HOST}/", tls: ssl.SSLContext | None = None
) -> Attempt:
    """An attempt at a public host, which the listener plays."""
    async with HttpSender(
        EgressRules(),
        CLOCK,
        resolver=Names(["8.8.8.8"]),
        open_socket=listener.open_socket,
        tls=tls,
    ) as made:
        return await made.send(url, {"webhook-id": "msg_1"}, b"{}")


def error(seen: Attempt) -> str | None:
    return seen.error


async def test_a_delivery_arrives_as_it_was_signed(listener: Listener) -> None:
    seen = await attempt(f"http://127.0.0.1:{listener.port}/in?a=%2f")

    (request,) = listener.seen
    assert 204 == seen.status
    assert ("POST", "/in?a=%2f") == (request.method, request.path_qs)
    assert "msg_1" == request.headers["webhook-id"]
    assert "cookie" not in request.headers


async def test_a_connection_is_not_used_twice(listener: Listener) -> None:
    url = f"http://127.0.0.1:{listener.port}/"
    async with HttpSender(LOOPBACK, CLOCK) as made:
        for _ in range(3):
            await made.send(url, {}, b"{}")

    assert 3 == listener.accepted


async def test_a_cookie_is_not_given_back(listener: Listener) -> None:
    """Endpoints of many tenants share a host."""

    async def sets_one(_: web.Request) -> web.StreamResponse:
        return web.Response(headers={"set-cookie": "session=another-tenants"})

    listener.answer = sets_one
    async with HttpSender(
        EgressRules(),
        CLOCK,
        resolver=Names(["8.8.8.8"]),
        open_socket=listener.open_socket,
    ) as made:
        for _ in range(2):
            await made.send(f"http://{HOST}/", {}, b"{}")

    assert [None, None] == [each.headers.get("cookie") for each in listener.seen]


async def test_who_hangs_holds_up_no_other(listener: Listener) -> None:
    """However many they are: each has a lane of its own, and a connection."""
    full, let_go = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/hangs":
            if 100 == len(listener.seen):
                full.set()
            await let_go.wait()
        return web.Response(status=204)

    listener.answer = answer
    url = f"http://127.0.0.1:{listener.port}"
    async with HttpSender(LOOPBACK, CLOCK) as made:
        hanging = [
            asyncio.create_task(made.send(f"{url}/hangs", {}, b"{}"))
            for _ in range(120)
        ]
        await full.wait()
        began = CLOCK.monotonic()
        seen = await made.send(f"{url}/", {}, b"{}")
        took = CLOCK.monotonic() - began
        let_go.set()
        await asyncio.gather(*hanging)

    assert (Attempt(status=204), True) == (seen, took < 5)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "/elsewhere",
        "http://127.0.0.1:{port}/elsewhere",
        "http://169.254.169.254/latest/meta-data/",
        "http://hooks.example.com/",
        "https://hooks.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "file:///etc/passwd",
        "http://[::1]:{port}/",
    ],
)
async def test_a_redirect_is_a_failure_and_is_not_followed(
    listener: Listener, status: int, location: str
) -> None:
    async def moved(_: web.Request) -> web.StreamResponse:
        where = location.format(port=listener.port)
        return web.Response(status=status, headers={"location": where})

    listener.answer = moved
    seen = await public(listener)

    assert Attempt(status=status) == seen
    assert (["8.8.8.8"], 1, 1) == (
        listener.dialled, listener.accepted, len(listener.seen),
    )  # fmt: skip


async def test_an_https_endpoint_is_never_asked_without_tls(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def down(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": f"http://{HOST}/"})

    server, client = tls
    async with serving(Listener(answer=down), server) as listener:
        seen = await public(listener, f"https://{HOST}/", client)

    assert Attempt(status=307) == seen
    assert 1 == listener.accepted


async def test_another_service_that_is_offered_is_not_asked(listener: Listener) -> None:
    async def offered(_: web.Request) -> web.StreamResponse:
        inside = f'h2="127.0.0.1:{listener.port}"; ma=86400, h3=":1"'
        return web.Response(
            status=200,
            headers={"alt-svc": inside, "refresh": "0; url=http://127.0.0.1/"},
        )

    listener.answer = offered
    seen = [await public(listener) for _ in range(2)]

    assert [Attempt(status=200)] * 2 == seen
    assert ["8.8.8.8"] * 2 == listener.dialled


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7, 7),
        ("999999999", 86_400, 86_400),
        ("1" * 40, None, None),
        ("soon", None, None),
        ("-1", None, None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None, None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999", None, None),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0, 0),
        ("in an hour", 3500, 3600),
    ],
)
async def test_how_long_to_wait_is_read(
    listener: Listener, told: str, least: int | None, most: int | None
) -> None:
    if told == "in an hour":
        told = format_datetime(CLOCK.now() + timedelta(hours=1), usegmt=True)

    async def later(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"retry-after": told})

    listener.answer = later
    after = (await attempt(f"http://127.0.0.1:{listener.port}/")).retry_after

    if least is None or most is None:
        assert after is None
    else:
        assert after is not None
        assert least <= after.total_seconds() <= most


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits, but in tenths of a second."""
    monkeypatch.setattr(module, "TOTAL_S", 0.5)
    monkeypatch.setattr(module, "CONNECT_S", 0.3)


@dataclass
class Raw:
    """Writes what a test says, as no server library would, until nobody reads it."""

    first: bytes
    then: bytes = b""
    every_s: float = 0
    port: int = 0
    written: int = 0

    async def handle(
        self, source: asyncio.StreamReader, out: asyncio.StreamWriter
    ) -> None:
        try:
            await source.readuntil(b"\r\n\r\n")
            await self._write(out, self.first)
            while self.then:
                await asyncio.sleep(self.every_s)  # noqa: TID251 - the other side's clock
                await self._write(out, self.then)
        except (ConnectionError, asyncio.CancelledError):
            return  # the sender left, or the test is over
        finally:
            out.close()

    async def _write(self, out: asyncio.StreamWriter, data: bytes) -> None:
        out.write(data)
        await out.drain()
        self.written += len(data)


@asynccontextmanager
async def writing(raw: Raw) -> AsyncIterator[Raw]:
    server = await asyncio.start_server(raw.handle, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()


async def against(raw: Raw) -> tuple[Attempt, float]:
    """How an attempt at it went, and how long it took."""
    async with writing(raw):
        began = CLOCK.monotonic()
        seen = await attempt(f"http://127.0.0.1:{raw.port}/")
        return seen, CLOCK.monotonic() - began


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
BOMB = gzip.compress(bytes(16 << 20), 9)
GZIP = b"content-encoding: gzip\r\n\r\n"
LITTLE = 8 << 20
"""More than the buffers of two sockets, far less than without an end."""


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (CHUNKED + b"\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
        (CHUNKED + GZIP, b"%x\r\n" % len(BOMB) + BOMB + b"\r\n"),
        (OK + b"\r\n", b"a" * 65536),
        (OK + b"content-length: 999999999999\r\n\r\n", b"a" * 65536),
        (OK + b"content-length: 4000\r\n\r\n", b"a"),
        (CHUNKED + b"\r\n", b"1\r\na\r\n"),
    ],
    ids=["chunks", "bomb", "no end", "length", "drip", "dripping chunks"],
)
async def test_a_body_without_end_is_left_unread(first: bytes, then: bytes) -> None:
    raw = Raw(first, then)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen, took = await against(raw)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert (Attempt(status=200), True) == (seen, took < 5)
    assert raw.written < LITTLE
    assert grown * 1024 < 2 * LITTLE


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (OK, b"x"),
        (OK, b"x-more: " + b"a" * 4000 + b"\r\n"),
        (CHUNKED + b"\r\n1;", b"e"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids="header|headers|extension|continue".split("|"),
)
async def test_who_drips_is_left_in_time(first: bytes, then: bytes) -> None:
    """Byte after byte, each in good time, and all of them never."""
    seen, took = await against(Raw(first, then, every_s=0.02))

    assert seen.error in {"timeout", "connection"}
    assert took < 3


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("first", [b"", b"H", OK, OK + b"content-length: 9\r\n\r\n"])
async def test_who_hangs_is_left_in_time(first: bytes) -> None:
    seen, took = await against(Raw(first, b"a", every_s=30))

    assert ("timeout", True) == (seen.error, took < 3)


@pytest.mark.parametrize(
    "first",
    [
        OK + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        OK + b"x: a\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"a" * 70_000 + b"\r\n\r\n",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/9.9 999 No\r\n\r\n",
        b"220 smtp.example.com ESMTP\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids="header|headers|reason|length|lengths|version|smtp|tls".split("|"),
)
async def test_what_is_no_decent_answer_is_a_connection_error(first: bytes) -> None:
    seen, took = await against(Raw(first))

    assert (Attempt(status=None, error="connection"), True) == (seen, took < 5)


async def test_a_connection_is_not_handed_over() -> None:
    """101: nothing that was asked for, and nothing more is sent."""
    upgrade = (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    )
    seen, took = await against(Raw(upgrade))

    assert seen.status in {101, None}
    assert took < 5


@pytest.mark.usefixtures("impatient")
async def test_who_lets_nobody_in_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tarpit: the kernel's queue is full, so a connect is never answered."""
    monkeypatch.setattr(module, "TOTAL_S", 30.0)
    with socket.socket() as tarpit, ExitStack() as stack:
        tarpit.bind(("127.0.0.1", 0))
        tarpit.listen(0)
        port = tarpit.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        began = CLOCK.monotonic()
        seen = await attempt(f"http://127.0.0.1:{port}/")

    assert "timeout" == error(seen)
    assert CLOCK.monotonic() - began < 3


async def test_nobody_there_is_a_connection_error() -> None:
    assert "connection" == error(await attempt("http://127.0.0.1:1/"))


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for ``name``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = CLOCK.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cafile=str(pem))
    return server, client


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate("hooks.example.com", tmp_path)


async def test_the_certificate_is_the_names(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = tls
    async with serving(Listener(), server) as made:
        right = await public(made, f"https://{HOST}/", client)
        wrong = await public(made, "https://other.example.com/", client)
        unknown = await public(made, f"https://{HOST}/")

    assert 204 == right.status
    assert ("tls", "tls") == (error(wrong), error(unknown))
    assert 1 == len(made.seen)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_of_the_environment_is_asked(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    seen = await attempt(f"http://127.0.0.1:{listener.port}/")

    assert 204 == seen.status
