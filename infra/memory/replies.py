"""Replies out of the log in memory."""

import asyncio
from dataclasses import dataclass, field

from typing_extensions import override

from infra.memory.log import MemoryLog
from pipeline.ports.replies import Replies, Waiting
from schemas.events import Attributes, Event
from schemas.ids import RequestId
from schemas.requests import RequestReplied
from schemas.topics import REPLIES

Reply = Event[RequestReplied]


@dataclass(frozen=True, slots=True)
class MemoryReplies(Replies):
    """Hands out what came since the last look at the partition."""

    log: MemoryLog
    partition: int
    _waiting: dict[RequestId, list[asyncio.Future[Reply]]] = field(default_factory=dict)

    @override
    def expect(self, request: RequestId) -> Waiting:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, []).append(future)
        return future

    def hand_out(self) -> None:
        """Give every reply in the partition to who waits for it."""
        for record in self.log.records(REPLIES.name):
            if record.partition != self.partition:
                continue
            attributes = Attributes.from_headers(record.headers)
            data = RequestReplied.model_validate_json(record.value or b"")
            for future in self._waiting.pop(RequestId(attributes.subject), []):
                if not future.done():
                    future.set_result(Event(attributes, data))
