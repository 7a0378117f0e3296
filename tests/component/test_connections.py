"""A connection under TLS ends although its broker says no goodbye."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvloop

from demo.stack.ports import HOST
from infra.kafka.connections import Connection
from tests.support.certificates import signed


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of one that reads all and says nothing, and its authority."""
    folder, made = tmp_path_factory.mktemp("silent"), signed(HOST)
    authority, chain = folder / "authority.pem", folder / "server.pem"
    authority.write_text(made.authority)
    chain.write_text(made.certificate + made.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with socket.create_server((HOST, 0)) as listening:
        reads = Thread(target=_reads, args=(listening, context), daemon=True)
        reads.start()
        yield listening.getsockname()[1], authority
        listening.shutdown(socket.SHUT_RDWR)
        reads.join(10)


def _reads(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        with context.wrap_socket(plain, server_side=True) as spoken:
            try:
                while spoken.recv(4096):
                    """Says nothing, whatever it is."""
                # It heard a goodbye; a broker that hangs answers none.
                while socket.socket.recv(spoken, 4096):
                    """Nor to this."""
            except OSError:
                continue


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_close_waits_for_nobody(
    broker: tuple[int, Path], run: Callable[[Any], None]
) -> None:
    port, authority = broker

    async def closed() -> None:
        made = Connection(
            HOST,
            port,
            request_timeout_ms=200,
            security_protocol="SSL",
            ssl_context=ssl.create_default_context(cafile=authority),
        )
        with pytest.raises(asyncio.TimeoutError):
            await made.connect()
        await asyncio.wait_for(made.close(), 10)

    run(closed())
