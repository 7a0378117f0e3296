"""Whoever sends without end is not listened to without end, with a key or without."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from openai import APIStatusError, OpenAI

pytestmark = pytest.mark.e2e

PIECE = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
ENDLESS = 100_000_000
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n"
CHUNKED = "content-type: application/json\r\ntransfer-encoding: chunked\r\n"


async def poured(url: str, head: str) -> int:
    """Bytes that were taken of a body without end."""
    place, sent = urlsplit(url), 0
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    with suppress(ConnectionError):
        writer.write(f"{head}\r\n".encode())
        while sent < ENDLESS:
            writer.write(PIECE)
            await writer.drain()
            sent += len(PIECE)
    writer.transport.abort()
    return sent


@pytest.mark.parametrize("known", [False, True])
async def test_an_endless_body_ends_its_connection(
    gateway_url: str, api_key: str, *, known: bool
) -> None:
    credential = f"authorization: Bearer {api_key if known else 'sk-nobody'}\r\n"
    async with asyncio.timeout(30):
        sent = await poured(gateway_url, HEAD + credential + CHUNKED)

    assert sent < ENDLESS


@pytest.mark.parametrize(
    ("known", "size", "status"),
    [(False, 500_000, 401), (True, 2_500_000, 413), (True, 20_000_000, 413)],
)
def test_a_long_one_is_refused_with_an_answer_that_is_read(
    gateway_url: str, api_key: str, size: int, status: int, *, known: bool
) -> None:
    key = api_key if known else "sk-nobody"
    with (
        OpenAI(base_url=gateway_url + "/v1", api_key=key, max_retries=0) as sdk,
        pytest.raises(APIStatusError) as refused,
    ):
        sdk.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "x" * size}]
        )

    assert status == refused.value.status_code
