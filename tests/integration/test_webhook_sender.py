"""One attempt over real sockets: where it may go, and what it does not do."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from infra.system import SystemClock
from infra.webhooks import sender as module
from infra.webhooks.sender import HttpSender
from pipeline.egress import EgressRules
from pipeline.webhooks import Attempt

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
LOOPBACK = EgressRules(loopback=True)
INSIDE = (
    "127.0.0.1 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 0.0.0.0"
    " 168.63.129.16 198.18.0.1 224.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1"
    " ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a9fe:a9fe 2002:7f00:1:: fe80::1%1 fc00::1"
    " fd00:ec2::254 fec0::1 ff02::1 100::1 5f00::1 3fff::1 2001:db8::1"
).split()
LITERALS = (
    "127.0.0.1 127.1 127.0.1 0 0.0.0.0 2130706433 017700000001 0x7f000001 0x7f.0.0.1"
    " 0x7f.1 0177.0.0.1 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]"
    " [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1]"
).split()


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
    """A server on loopback that counts who came."""

    port: int = 0
    accepted: int = 0
    seen: list[web.Request] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        await request.read()
        if self.answer is None:
            return web.Response(status=204)
        return await self.answer(request)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    async with serving(made):
        yield made


@asynccontextmanager
async def serving(
    made: Listener, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
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
        yield
    finally:
        listening.close()
        await runner.cleanup()


async def attempt(
    url: str,
    rules: EgressRules = LOOPBACK,
    names: AbstractResolver | None = None,
    tls: ssl.SSLContext | None = None,
) -> Attempt:
    async with HttpSender(rules, CLOCK, resolver=names, tls=tls) as made:
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


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_not_dialled(
    listener: Listener, address: str
) -> None:
    url = f"http://hooks.example.com:{listener.port}/"
    seen = await attempt(url, EgressRules(), Names([address]))

    assert "target_forbidden" == error(seen)
    assert 0 == listener.accepted


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_skips_the_resolver_and_is_not_dialled(
    listener: Listener, literal: str
) -> None:
    url = f"http://{literal}:{listener.port}/"
    seen = await attempt(url, EgressRules(), Names(["127.0.0.1"]))

    assert error(seen) in {"target_forbidden", "connection"}
    assert 0 == listener.accepted


@pytest.mark.parametrize(
    "mixed",
    [
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "::1"],
        ["8.8.8.8", "::ffff:10.0.0.1"],
    ],
)
async def test_one_inside_address_refuses_the_whole_answer(
    listener: Listener, mixed: list[str]
) -> None:
    url = f"http://hooks.example.com:{listener.port}/"
    seen = await attempt(url, EgressRules(), Names(mixed))

    assert "target_forbidden" == error(seen)
    assert 0 == listener.accepted


async def test_a_name_that_moves_inside_is_refused_at_the_next_attempt(
    listener: Listener,
) -> None:
    """Every attempt resolves anew, and dials only what that answer held."""
    url = f"http://hooks.example.com:{listener.port}/"
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with HttpSender(LOOPBACK, CLOCK, resolver=names) as made:
        first = await made.send(url, {}, b"{}")
        second = await made.send(url, {}, b"{}")

    assert (204, "target_forbidden") == (first.status, error(second))
    assert 1 == listener.accepted
    assert ["hooks.example.com."] * 2 == names.asked


async def test_a_connection_is_not_used_twice(listener: Listener) -> None:
    url = f"http://127.0.0.1:{listener.port}/"
    async with HttpSender(LOOPBACK, CLOCK) as made:
        for _ in range(3):
            await made.send(url, {}, b"{}")

    assert 3 == listener.accepted


async def test_a_search_domain_is_not_asked() -> None:
    names = Names(["127.0.0.1"])
    async with HttpSender(EgressRules(), CLOCK, resolver=names) as made:
        found = await made.reaches("kafka", 443)

    assert (False, ["kafka."]) == (found, names.asked)


@pytest.mark.parametrize("addresses", [[], ["not an address"], ["10.0.0.1"]])
async def test_what_leads_nowhere_or_inside_is_told_at_registration(
    addresses: list[str],
) -> None:
    async with HttpSender(EgressRules(), CLOCK, resolver=Names(addresses)) as made:
        assert not await made.reaches("hooks.example.com", 443)


async def test_a_public_name_is_taken_at_registration() -> None:
    names = Names(["8.8.8.8", "2001:4860:4860::8888"])
    async with HttpSender(EgressRules(), CLOCK, resolver=names) as made:
        assert await made.reaches("hooks.example.com", 443)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    listener: Listener, status: int
) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"location": "/elsewhere"})

    listener.answer = moved
    seen = await attempt(f"http://127.0.0.1:{listener.port}/")

    assert status == seen.status
    assert 1 == len(listener.seen)


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7, 7),
        ("999999999", 86_400, 86_400),
        ("1" * 40, None, None),
        ("soon", None, None),
        ("-1", None, None),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0, 0),
        (format_datetime(CLOCK.now() + timedelta(hours=1), usegmt=True), 3500, 3600),
    ],
)
async def test_how_long_to_wait_is_read(
    listener: Listener, told: str, least: int | None, most: int | None
) -> None:
    async def later(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"retry-after": told})

    listener.answer = later
    after = (await attempt(f"http://127.0.0.1:{listener.port}/")).retry_after

    if least is None or most is None:
        assert after is None
    else:
        assert after is not None
        assert least <= after.total_seconds() <= most


async def test_a_bomb_is_not_unpacked_and_an_endless_body_is_left(
    listener: Listener,
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-encoding": "gzip"})
        await answer.prepare(request)
        bomb = gzip.compress(bytes(1 << 20))
        while True:
            await answer.write(bomb)

    listener.answer = endless
    async with asyncio.timeout(5):
        seen = await attempt(f"http://127.0.0.1:{listener.port}/")

    assert 200 == seen.status


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOTAL_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_who_takes_too_long_is_left(listener: Listener, how: str) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        if how == "hangs":
            await asyncio.sleep(5)  # noqa: TID251 - the other side's clock
            return web.Response()
        answer = web.StreamResponse()
        await answer.prepare(request)
        await asyncio.sleep(5)  # noqa: TID251 - the other side's clock
        return answer

    listener.answer = slow
    seen = await attempt(f"http://127.0.0.1:{listener.port}/")

    assert "timeout" == error(seen)


@pytest.mark.usefixtures("impatient")
async def test_who_sends_header_after_header_is_left() -> None:
    async def tarpit(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n")
        while not out.is_closing():
            out.write(b"x-more: " + b"a" * 8000 + b"\r\n")
            await asyncio.sleep(0.01)  # noqa: TID251 - the other side's clock

    server = await asyncio.start_server(tarpit, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = await attempt(f"http://127.0.0.1:{port}/")
    server.close()

    assert error(seen) in {"connection", "timeout"}


async def test_nobody_there_is_a_connection_error() -> None:
    assert "connection" == error(await attempt("http://127.0.0.1:1/"))


async def test_what_is_no_http_is_a_connection_error() -> None:
    async def odd(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        out.write(b"220 smtp.example.com ESMTP\r\n")
        out.close()

    server = await asyncio.start_server(odd, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = await attempt(f"http://127.0.0.1:{port}/")
    server.close()

    assert "connection" == error(seen)


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
    made, names = Listener(), Names(["127.0.0.1"])
    async with serving(made, server):
        right = await attempt(
            f"https://hooks.example.com:{made.port}/", LOOPBACK, names, client
        )
        wrong = await attempt(
            f"https://other.example.com:{made.port}/", LOOPBACK, names, client
        )
        unknown = await attempt(
            f"https://hooks.example.com:{made.port}/", LOOPBACK, names
        )

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
