"""Ports for servers that restart."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.stack.ports import HIGHEST, LOWEST, free_port, promised_port


def test_a_port_lies_below_those_that_clients_get() -> None:
    ports = {free_port() for _ in range(50)}

    assert all(LOWEST <= port < HIGHEST for port in ports)


def test_the_wanted_port_is_given_while_it_is_free() -> None:
    wanted = free_port()

    assert wanted == free_port(wanted)


def test_a_taken_port_is_not_given() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]

        assert taken != free_port(taken)


def test_two_that_want_one_port_at_once_get_two(tmp_path: Path) -> None:
    wanted, lock = free_port(), tmp_path / "made" / "lock"

    def other() -> int:
        with promised_port(wanted, lock) as port:
            return port

    with socket.socket() as server, ThreadPoolExecutor(1) as threads:
        with promised_port(wanted, lock) as first:
            asked = threads.submit(other)
            with pytest.raises(TimeoutError):
                asked.result(0.2)
            server.bind(("127.0.0.1", first))
            server.listen()
        second = asked.result()

    assert first == wanted != second
