"""Connections that end whatever the broker does.

asyncio's transports take a write after their end and drop it; uvloop's raise
``RuntimeError``. aiokafka 0.14 expects ``OSError`` alone: the other ends the task by
which a member keeps its place in the group, and nothing starts that again. So a broker
that hung and then died left groups that stood still until their process was restarted.

Under TLS a close asks the broker to say goodbye and waits up to 30 s for it, beyond the
end of a command's loop. Records have their length, so a cut can truncate none unseen.
"""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from typing_extensions import override


def end_connections_well() -> None:
    """Make every aiokafka client of this process connect by :class:`Connection`."""
    conn.AIOKafkaConnection = Connection


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """One connection to a broker."""

    @override
    def send(self, request: Any, expect_response: bool = True) -> Any:
        try:
            return super().send(request, expect_response)
        except RuntimeError:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError("expected an open connection") from None

    @override
    def close(self, reason: Any = None, exc: Any = None) -> Any:
        if self._writer is not None and self._security_protocol.endswith("SSL"):
            self._writer.transport.abort()
        return super().close(reason, exc)
