"""An HTTP server inside a process whose root has the signals."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override


class _Server(uvicorn.Server):
    """uvicorn takes SIGTERM for itself; here the composition root has it."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[None]:
    """Serve for the length of a block; logs nothing of requests."""
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
    )
    server = _Server(config)
    served = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await served
