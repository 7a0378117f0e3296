"""An HTTP server inside a process: where it listens, and what is said if it cannot."""

import asyncio
import socket

import httpx2
import pytest
from starlette.applications import Starlette

from infra.server import serving
from pipeline.errors import Misconfigured

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
