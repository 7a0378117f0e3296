"""An HTTP server inside a process whose root has the signals."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from infra.heads import BoundedHeads
from pipeline.errors import Misconfigured

BACKLOG: Final = 2048
"""Connections that wait to be taken, as uvicorn has it."""


class _Server(uvicorn.Server):
    """uvicorn takes SIGTERM for itself; here the composition root has it."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve for the length of a block; logs nothing of requests.

    Yields:
        The port, also where 0 asked for any.

    Raises:
        Misconfigured: nobody can listen there.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        # It logs unhandled errors with their text, which may hold values.
        log_level="critical",
        server_header=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=10,
        # Longer than clients' pools and balancers keep an idle connection (5 to 60 s):
        # one that is closed just as it is used again costs its request.
        timeout_keep_alive=75,
        http=BoundedHeads,
    )
    server = _Server(config)
    with _listening(host, port) as listener:
        served = asyncio.create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await served


def _listening(host: str, port: int) -> socket.socket:
    """Bound before uvicorn starts, which where it cannot ends without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise Misconfigured(
            f"expected to listen at {host}, port {port}: {why}"
        ) from None
