"""What every answer has, whatever it says."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from infra.memory.tenants import MemoryCredentials
from infra.server import serving
from pipeline.ports.tenants import Principal
from producers.gateway.edge import SAFE
from tests.support.gateway import World

UUID7 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)


class Buggy(MemoryCredentials):
    """A bug, with content in its text."""

    @override
    async def api_key(self, presented: str) -> Principal | None:
        raise ValueError(f"zq-canary {presented}")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 401),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/requests/1", 401),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("POST", "/oauth/token", 400),
        ("GET", "/.well-known/jwks.json", 200),
        ("GET", "/livez", 200),
        ("OPTIONS", "/v1/chat/completions", 405),
    ],
)
async def test_every_answer_has_an_id_and_safe_headers(
    world: World, method: str, path: str, status: int
) -> None:
    async with world.client() as client:
        answer = await client.request(method, path)

    assert status == answer.status_code
    assert UUID7.fullmatch(answer.headers["x-request-id"])
    assert set(SAFE) <= set(answer.headers)
    assert "server" not in answer.headers


async def test_only_the_keys_may_be_cached_and_read_from_anywhere(world: World) -> None:
    async with world.client() as client:
        keys = await client.get("/.well-known/jwks.json")
        ready = await client.get("/readyz")

    assert "public, max-age=3600" == keys.headers["cache-control"]
    assert "*" == keys.headers["access-control-allow-origin"]
    assert "no-store" == ready.headers["cache-control"]
    assert "access-control-allow-origin" not in ready.headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1/requests/1", "GET, HEAD"),
        ("/ledger/log/checkpoint", "GET, HEAD"),
        ("/v1/responses/resp_1", "DELETE, GET, HEAD"),
        ("/v1/webhook_endpoints", "GET, HEAD, POST"),
        ("/v1/webhook_endpoints/1", "DELETE, GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    world: World, path: str, methods: str
) -> None:
    async with world.client() as client:
        answer = await client.put(path)

    told = ", ".join(sorted(answer.headers["allow"].split(", ")))
    assert (405, methods) == (answer.status_code, told)


async def test_a_bug_is_told_by_its_request_id_alone(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.credentials = Buggy()
    key = world.key()
    async with world.client(authorization=f"Bearer {key}") as client:
        sdk = await client.post("/v1/chat/completions")
        other = await client.get("/v1/requests/1")

    assert (500, "unexpected") == (sdk.status_code, sdk.json()["error"]["code"])
    assert (500, "unexpected") == (other.status_code, other.json()["code"])
    assert other.headers["x-request-id"] == other.json()["request_id"]
    logged = "".join(capsys.readouterr())
    assert 2 == logged.count("ValueError test_edge.py:26")
    assert "zq-canary" not in sdk.text + other.text + logged


async def test_health_says_what_it_waits_for(world: World) -> None:
    async with world.client() as client:
        ready = await client.get("/readyz")
        world.not_ready.append("replies:stopped")
        world.alive = False
        waiting, dead = await client.get("/readyz"), await client.get("/livez")
        metrics = await client.get("/metrics")

    assert (200, {"ok": True, "reasons": []}) == (ready.status_code, ready.json())
    assert (503, ["replies:stopped"]) == (
        waiting.status_code,
        waiting.json()["reasons"],
    )
    assert 503 == dead.status_code
    assert "sluice_requests_accepted_total" in metrics.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/nowhere", "application/problem+json"),
        ("/v1/requests/1/2", "application/problem+json"),
        ("/v1/webhook_nowhere", "application/problem+json"),
        ("/v1/nowhere", "application/json"),
        ("/v1", "application/problem+json"),
    ],
)
async def test_what_is_not_there_is_told_as_its_paths_clients_read_it(
    world: World, path: str, kind: str
) -> None:
    async with world.client() as client:
        answer = await client.get(path)

    assert (404, kind) == (answer.status_code, answer.headers["content-type"])


async def test_headers_are_bounded_and_the_answer_is_safe_all_the_same(
    world: World,
) -> None:
    async with world.client(authorization=f"Bearer {world.key()}") as client:
        within = await client.get("/v1/requests/1", headers={"x-pad": "x" * 15_000})
        beyond = await client.get("/v1/requests/1", headers={"x-pad": "x" * 16_384})

    assert (404, 431) == (within.status_code, beyond.status_code)
    assert set(SAFE) <= set(beyond.headers)
    assert beyond.headers["x-request-id"] == beyond.json()["request_id"]


async def _pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1_000):
        yield b" " * 1_000


@pytest.mark.parametrize(
    ("size", "key", "kept"),
    [(1_000_000, False, True), (1_200_000, False, False), (1_200_000, True, True)],
)
async def test_a_body_that_is_not_read_to_its_end_ends_the_connection(
    world: World, size: int, *, key: bool, kept: bool
) -> None:
    credential = {"authorization": f"Bearer {world.key()}"} if key else {}
    kind = {"content-type": "application/json"}
    async with world.client(**credential, **kind) as client:
        answer = await client.post("/v1/chat/completions", content=_pieces(size))

    assert answer.status_code == (400 if key else 401)
    assert kept == ("close" != answer.headers.get("connection"))


@pytest.mark.parametrize("size", [12, 1_200_000])
@pytest.mark.parametrize("key", [False, True])
async def test_who_asks_first_is_told_to_send_a_body_or_is_refused(
    world: World, size: int, *, key: bool
) -> None:
    credential = f"authorization: Bearer {world.key()}\r\n" if key else ""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
        f"content-type: application/json\r\n{credential}"
        f"content-length: {size}\r\nexpect: 100-continue\r\n\r\n"
    )
    async with serving(world.gateway.app(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()

    status, *headers = said.decode().split("\r\n")
    assert status.startswith("HTTP/1.1 100 " if key else "HTTP/1.1 401 ")
    assert key or "connection: close" in headers
