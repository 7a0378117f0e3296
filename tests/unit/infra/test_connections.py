"""A closed transport is a lost connection, whatever the loop's own word for it."""

from typing import Any

import pytest
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError

from infra.kafka.clients import KafkaClients
from infra.kafka.connections import Connection


class Closed:
    """uvloop's stream, once its handle is closed."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    def close(self) -> None:
        """It is."""


class Request:
    """Any request."""

    def prepare(self, _: object) -> "Request":
        return self

    def build_request_header(self, **_: object) -> "Request":
        return self

    def encode(self) -> bytes:
        return b""


def connection() -> Any:
    made = Connection("127.0.0.1", 9)
    made._writer = Closed()
    return made


async def test_a_write_to_a_closed_transport_is_a_lost_connection() -> None:
    made = connection()
    with pytest.raises(KafkaConnectionError):
        made.send(Request())

    assert not made.connected()


async def test_every_client_of_ours_connects_by_it() -> None:
    KafkaClients("127.0.0.1:9")

    assert conn.AIOKafkaConnection is Connection
