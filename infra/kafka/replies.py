"""The gateway's reply box: its own partition of the replies, from the end."""

import asyncio
from collections import defaultdict
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.system import Clock
from schemas.events import Attributes, Event
from schemas.ids import RequestId
from schemas.requests import RequestReplied
from schemas.topics import REPLIES

Reply = Event[RequestReplied]
Waiting = asyncio.Future[Reply]


class ReplyBox:
    """Use as an async context; inside it, what arrives reaches who expects it.

    It commits nothing: a reply that was lost is read from the request's row.
    """

    def __init__(self, clients: KafkaClients, partition: int, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._at = TopicPartition(REPLIES.name, partition)
        self._waiting: dict[RequestId, list[Waiting]] = defaultdict(list)
        self._consumer: AIOKafkaConsumer | None = None
        self._reading: asyncio.Task[None] | None = None

    def expect(self, request: RequestId) -> Waiting:
        """The reply, once it comes. Call before the request is published.

        Whoever stops waiting cancels it, as ``asyncio.wait_for`` does.
        """
        future: Waiting = asyncio.get_running_loop().create_future()
        self._waiting[request].append(future)
        future.add_done_callback(lambda done: self._forget(request, done))
        return future

    @property
    def expecting(self) -> int:
        """How many wait now."""
        return sum(map(len, self._waiting.values()))

    @property
    def alive(self) -> bool:
        """Is it reading?"""
        return self._reading is not None and not self._reading.done()

    async def __aenter__(self) -> Self:
        """Read from the partition's end as it is now."""
        consumer = self._clients.reader()
        try:
            await consumer.start()
            consumer.assign([self._at])
            await consumer.seek_to_end(self._at)
            await consumer.position(self._at)
        except KafkaError:
            await consumer.stop()
            raise RetryableError("expected an answer from Kafka") from None
        self._consumer = consumer
        self._reading = asyncio.create_task(self._read(consumer))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading; who still waits is cancelled."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._consumer is not None:
            await self._consumer.stop()
        for waiting in [w for found in self._waiting.values() for w in found]:
            waiting.cancel()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                found = await consumer.getmany(timeout_ms=1_000)
            except KafkaError:
                await self._clock.sleep(0.2)
                continue
            for raw in found.get(self._at, ()):
                self._hand_out(raw.headers, raw.value)

    def _hand_out(
        self, headers: list[tuple[str, bytes | None]], value: bytes | None
    ) -> None:
        try:
            attributes = Attributes.from_headers(headers)
            if attributes.subject not in self._waiting:
                return
            data = RequestReplied.model_validate_json(value or b"")
        except (ValueError, ValidationError):
            return  # what cannot be read is read from the row
        for waiting in list(self._waiting[RequestId(attributes.subject)]):
            if not waiting.done():
                waiting.set_result(Event(attributes, data))

    def _forget(self, request: RequestId, done: Waiting) -> None:
        waiting = self._waiting.get(request, [])
        if done in waiting:
            waiting.remove(done)
        if not waiting:
            self._waiting.pop(request, None)
