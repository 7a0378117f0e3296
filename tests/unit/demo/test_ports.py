"""Ports for servers that restart."""

import socket

from demo.stack.ports import HIGHEST, LOWEST, free_port


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
