"""Whatever is sent, the gateway answers; and it never answers that it broke."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.gateway import World, dumped

PATHS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/responses/resp_018f3c1a7c00700080000000000000ff",
    "/v1/responses/resp_018f3c1a7c00700080000000000000ff/cancel",
    "/v1/requests",
    "/v1/requests/018f3c1a-7c00-7000-8000-0000000000ff",
    "/oauth/token",
    "/.well-known/jwks.json",
    "/readyz",
    "/v1/webhook_endpoints",
    "/ledger/",
)
PATH = st.sampled_from(PATHS) | st.text(max_size=20).map(lambda text: "/" + text)
LEDGER = st.sampled_from(["proof", "tile/0", "tile/entries", "records", "root"])
PATH |= st.builds("/ledger/x/{}/{}".format, LEDGER, st.text(max_size=9))
ASKED = st.sampled_from(
    ["", "?limit=1&after=" + "9" * 5_000, "?limit=000" + "9" * 5_000, "?actor=%00"]
)
VALUE = st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if b >= 0x20))
NAMES = (
    "authorization content-encoding content-length content-type host "
    "idempotency-key traceparent x-api-key x-forwarded-for"
).split()
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
ITEMS = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "role", "content", "output", "text", "file_id"]),
        st.sampled_from(["message", "user", "function_call_output"]) | JSON,
        max_size=4,
    ),
    max_size=3,
)
RESPONSES = st.fixed_dictionaries(
    {"model": st.just("echo"), "input": st.text(max_size=10) | ITEMS | JSON},
    optional=dict.fromkeys(
        ("background", "tools", "include", "text", "metadata"), JSON
    ),
).map(lambda body: json.dumps(body).encode())
BODIES = (
    st.binary(max_size=60)
    | st.builds(dumped, messages=JSON, tools=JSON, user=JSON, stop=JSON, extra=JSON)
    | RESPONSES
)


async def status(
    world: World,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> int:
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("sluice.test", 80),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await world.gateway.app()(scope, receive, send)
    found: int = sent[0]["status"]
    return found


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"]),
    path=st.builds("{}{}".format, PATH, ASKED),
    headers=HEADERS,
    body=BODIES,
    known=st.booleans(),
)
def test_no_request_breaks_it(
    tmp_path: Path,
    *,
    method: str,
    path: str,
    headers: list[tuple[str, bytes]],
    body: bytes,
    known: bool,
) -> None:
    async def answered() -> int:
        world = await World(tmp_path).begin()
        raw = [(name.encode(), value) for name, value in headers]
        if known:
            given = [("x-api-key", world.key()), ("content-type", "application/json")]
            raw = [(name.encode(), value.encode()) for name, value in given]
        return await status(world, method, path, raw, body)

    assert asyncio.run(answered()) in {200, 400, 401, 403, 404, 405, 413, 415, 422}


@pytest.mark.parametrize("length", ["-1", "1e9", "٣", "9" * 5000])
async def test_a_length_that_is_none_is_not_believed(
    tmp_path: Path, length: str
) -> None:
    world = await World(tmp_path).begin()
    headers = [
        (b"x-api-key", world.key().encode()),
        (b"content-type", b"application/json"),
        (b"content-length", length.encode()),
    ]

    found = await status(world, "POST", PATHS[0], headers, dumped())

    assert found in {200, 413}


async def test_a_place_beyond_all_numbers_is_not_there(tmp_path: Path) -> None:
    world = await World(tmp_path).begin()
    path = "/ledger/x/proof/" + "9" * 4_301

    for headers, answer in ([], 401), ([(b"x-api-key", world.key().encode())], 404):
        assert answer == await status(world, "GET", path, headers, b"")


@pytest.mark.parametrize("path", [PATHS[0], "/v1/requests", "/ledger/x/root"])
async def test_nobody_is_led_elsewhere(tmp_path: Path, path: str) -> None:
    world = await World(tmp_path).begin()

    assert 404 == await status(world, "GET", path + "/", [], b"")
