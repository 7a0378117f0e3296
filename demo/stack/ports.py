"""Free loopback ports that stay free while their owner restarts."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.stack.files import locked

LOWEST, HIGHEST = 20_000, 32_000
"""Below Linux's range of outgoing ports (32768 to 60999).

A client that keeps calling a dead broker on a port of that range sooner or later gets
the same port as its own, connects to itself, and the broker cannot come back.
"""
HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(wanted: int | None = None) -> int:
    """The wanted port where it is free, else some other one."""
    if wanted is not None and is_free(wanted):
        return wanted
    while not is_free(port := LOWEST + secrets.randbelow(HIGHEST - LOWEST)):
        pass
    return port


@contextmanager
def promised_port(wanted: int, lock: Path) -> Iterator[int]:
    """As :func:`free_port`, for who listens there before the block ends.

    Who asks meanwhile under the same lock waits: else two would get the same port.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock):
        yield free_port(wanted)
