"""Publishing into the log in memory."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from infra.memory.log import MemoryLog
from pipeline.errors import InvalidMessage
from pipeline.ports.bus import Publisher, RawOutgoing
from schemas.topics import DEAD_LETTER_MARGIN_BYTES, MAX_RECORD_BYTES, Outgoing


class MemoryPublisher(Publisher):
    """What is published is there at once."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        values = [out.event.data.model_dump_json().encode() for out in outgoing]
        for value in values:
            _check(value, MAX_RECORD_BYTES)
        for out, value in zip(outgoing, values, strict=True):
            attributes = out.event.attributes
            self._log.append(
                out.topic.name,
                key=out.topic.key(attributes),
                value=value,
                headers=tuple(attributes.headers()),
                partition=out.partition,
            )

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        _check(outgoing.value, MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES)
        self._log.append(
            outgoing.topic,
            key=outgoing.key,
            value=outgoing.value,
            headers=outgoing.headers,
            partition=outgoing.partition,
        )


def _check(value: bytes, limit: int) -> None:
    if len(value) > limit:
        raise InvalidMessage(f"expected a record of at most {limit} bytes")
