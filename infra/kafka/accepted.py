"""The topic of accepted requests, read without a group."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from typing_extensions import override

from infra.kafka.clients import KafkaClients
from pipeline.errors import RetryableError
from pipeline.ports.accepted import AcceptedRequests, Span
from schemas.events import Attributes
from schemas.ids import RequestId, TenantId
from schemas.requests import RequestAccepted
from schemas.topics import REQUESTS_ACCEPTED, Topic

Found = tuple[TenantId, RequestId]


@dataclass(frozen=True, slots=True)
class KafkaAccepted(AcceptedRequests):
    """Reads from given offsets up to a moment, ``limit`` records or so at once."""

    clients: KafkaClients
    limit: int = 10_000
    topic: Topic[RequestAccepted] = REQUESTS_ACCEPTED

    @override
    async def read(
        self, begin: Mapping[int, int], before: datetime, since: datetime | None = None
    ) -> Span:
        try:
            async with self._consumer() as consumer:
                reading = await self._opened(consumer, begin, before, since)
                return await reading.all(self.limit)
        except KafkaError:
            raise RetryableError("expected an answer from Kafka") from None

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = self.clients.reader()
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()

    async def _opened(
        self,
        consumer: AIOKafkaConsumer,
        begin: Mapping[int, int],
        before: datetime,
        since: datetime | None,
    ) -> "_Reading":
        """A reading of all partitions, each at what is still kept of it."""
        name, count = self.topic.name, self.topic.partitions
        parts = [TopicPartition(name, at) for at in range(count)]
        consumer.assign(parts)
        first = await consumer.beginning_offsets(parts)
        ends = await consumer.end_offsets(parts)
        found = [
            _Part(p, begin.get(p.partition), first[p], ends[p], before, since)
            for p in parts
        ]
        for part in found:
            consumer.seek(part.at, part.seen)
        return _Reading(consumer, found, before)


class _Part:
    """One partition, and how far it was read.

    Reading begins one record early: what was read last must still be there, and be
    older than ``since``. Else this is a topic of the same name that was made anew.
    """

    def __init__(  # noqa: PLR0917 - all that is known of a partition
        self,
        at: TopicPartition,
        stored: int | None,
        first: int,
        end: int,
        before: datetime,
        since: datetime | None,
    ) -> None:
        self.at, self._first, self.end = at, first, end
        self._before = before.timestamp() * 1000
        self._last = self._since = since.timestamp() * 1000 if since else 0.0
        self.young = self.anew = False
        self.expired = range(0)
        self.begin = self.next = first
        if stored is not None and stored > end:
            self._is_another()
        elif stored is not None:
            self.begin = self.next = max(stored, first)
            self.expired = range(stored, self.next)
        self.seen = max(self.next - 1, first) if since else self.next

    def _is_another(self) -> None:
        """From the start, where nothing of it was read."""
        self.anew, self.expired = True, range(self._first)
        self.begin = self.next = self.seen = self._first

    def took(self, raw: Any) -> bool:
        """Is this record one to count? Where it is not, reading may go elsewhere."""
        if self.young:
            return False
        if self.seen < self.begin:
            self.seen = self.begin
            if raw.offset >= self.begin or raw.timestamp >= self._since:
                self._is_another()
            return False
        self.young = raw.timestamp >= self._before
        if self.young or raw.offset < self.next:
            return False
        self.next, self._last = raw.offset + 1, raw.timestamp
        return True

    @property
    def until(self) -> datetime:
        """What is older was read."""
        return datetime.fromtimestamp(self._last / 1000, UTC)


@dataclass(frozen=True, slots=True)
class _Reading:
    consumer: AIOKafkaConsumer
    parts: Sequence[_Part]
    before: datetime

    async def all(self, limit: int) -> Span:
        """Record after record, until each partition is young or ends, or ``limit``."""
        found, left = list[Found](), {part.at: part for part in self.parts}
        while left and len(found) < limit:
            polled = await self.consumer.getmany(*left, timeout_ms=500)
            for at, part in list(left.items()):
                found += self._counted(part, polled.get(at, ()))
                if part.young or await self.consumer.position(at) >= part.end:
                    del left[at]
        return Span(
            requests=tuple(found),
            begins={part.at.partition: part.begin for part in self.parts},
            ends={part.at.partition: part.next for part in self.parts},
            until=min([self.before, *(part.until for part in left.values())]),
            expired={p.at.partition: p.expired for p in self.parts if p.expired},
            anew=frozenset(part.at.partition for part in self.parts if part.anew),
        )

    def _counted(self, part: _Part, polled: Sequence[Any]) -> Iterator[Found]:
        for raw in polled:
            was = part.anew
            if part.took(raw):
                yield from _identity(raw)
            if part.anew and not was:
                # What was polled lies behind what is to be read now.
                self.consumer.seek(part.at, part.next)
                return


def _identity(raw: Any) -> list[Found]:
    """Whose request it is; nothing where the headers say nothing that can be read."""
    try:
        attributes = Attributes.from_headers(raw.headers)
    except ValueError:
        return []
    return [(attributes.tenant, RequestId(attributes.subject))]
