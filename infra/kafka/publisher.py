"""Publishing through one idempotent producer, which is replaced when it is stuck."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from typing_extensions import override

from infra.kafka.clients import KafkaClients
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.ports.bus import Publisher, RawOutgoing
from schemas.topics import DEAD_LETTER_MARGIN_BYTES, MAX_RECORD_BYTES, Outgoing

ACKNOWLEDGED_WITHIN_S = 30.0
TIMEOUTS_TO_REPLACE = 3
REPLACEMENTS_TO_FAIL = 3
OVERHEAD_BYTES = 128
"""What a record and its batch add to key, value and headers, at most, each header
adding ten bytes more (Kafka protocol, record batch version 2)."""

Send = Callable[[AIOKafkaProducer], Awaitable[Sequence["asyncio.Future[Any]"]]]


class KafkaPublisher(Publisher):
    """Use as an async context: it starts and flushes the producer."""

    def __init__(
        self, clients: KafkaClients, *, within_s: float = ACKNOWLEDGED_WITHIN_S
    ) -> None:
        self._clients = clients
        self._within_s = within_s
        self._producer: AIOKafkaProducer | None = None
        self._round = 0
        self._timeouts = 0
        self._replacing = asyncio.Lock()
        self.replaced = 0
        """Producers given up since the last acknowledgement."""

    async def __aenter__(self) -> Self:
        """Connect; RetryableError where nobody answers."""
        self._producer = await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for what was sent, and disconnect."""
        if self._producer is not None:
            await self._stopped(self._producer)

    @property
    def alive(self) -> bool:
        """False: producer after producer gets no acknowledgement from a live broker."""
        return self.replaced < REPLACEMENTS_TO_FAIL

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        if not outgoing:
            return
        records = [_record(out) for out in outgoing]

        async def send(producer: AIOKafkaProducer) -> Sequence["asyncio.Future[Any]"]:
            return [await producer.send(**record) for record in records]

        await self._acknowledged(send)

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        headers = list(outgoing.headers)
        limit = MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES
        _check(outgoing.topic, outgoing.key, outgoing.value, headers, limit)

        async def send(producer: AIOKafkaProducer) -> Sequence["asyncio.Future[Any]"]:
            sent = await producer.send(
                outgoing.topic,
                outgoing.value,
                outgoing.key,
                outgoing.partition,
                headers=headers,
            )
            return [sent]

        await self._acknowledged(send)

    async def _acknowledged(self, send: Send) -> None:
        producer, began_in = self._producer, self._round
        if producer is None:
            raise RetryableError("expected a started producer")
        try:
            async with asyncio.timeout(self._within_s):
                await asyncio.gather(*await send(producer))
        except TimeoutError:
            await self._timed_out(began_in)
            raise RetryableError("expected acknowledgements in time") from None
        except KafkaError as error:
            name = type(error).__name__
            raise RetryableError(f"expected acknowledgements, got {name}") from None
        self._timeouts = self.replaced = 0

    async def _timed_out(self, began_in: int) -> None:
        """Count it, and at the third replace the producer.

        Sends that wait together time out together: of a round, the first counts. With
        no broker at all there is nothing to count.
        """
        if began_in != self._round:
            return
        self._round += 1
        if await self._clients.answers():
            self._timeouts += 1
        if self._timeouts >= TIMEOUTS_TO_REPLACE and not self._replacing.locked():
            async with self._replacing:
                await self._replace()

    async def _replace(self) -> None:
        old = self._producer
        self._producer = await self._started()
        self._timeouts = 0
        self.replaced += 1
        if old is not None:
            await self._stopped(old)

    async def _started(self) -> AIOKafkaProducer:
        producer = self._clients.producer()
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise RetryableError("expected an answer from Kafka") from None
        return producer

    async def _stopped(self, producer: AIOKafkaProducer) -> None:
        try:
            await asyncio.wait_for(producer.stop(), self._within_s)
        except (KafkaError, TimeoutError):
            return


def _record(out: Outgoing[Any]) -> dict[str, Any]:
    attributes = out.event.attributes
    key = out.topic.key(attributes)
    value = out.event.data.model_dump_json().encode()
    headers = attributes.headers()
    _check(out.topic.name, key, value, headers, MAX_RECORD_BYTES)
    return {
        "topic": out.topic.name,
        "value": value,
        "key": key,
        "partition": out.partition,
        "headers": headers,
    }


def _check(
    topic: str,
    key: bytes | None,
    value: bytes,
    headers: Sequence[tuple[str, bytes]],
    limit: int,
) -> None:
    carried = sum(len(name) + len(text) + 10 for name, text in headers)
    if OVERHEAD_BYTES + len(key or b"") + len(value) + carried > limit:
        raise InvalidMessage(f"expected a record of at most {limit} bytes", topic)
