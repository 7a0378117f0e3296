"""Waiting for a request's end."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipeline.errors import RetryableError
from pipeline.ports.bus import Publisher
from pipeline.ports.replies import Replies, Waiting
from pipeline.ports.requests import Requests
from pipeline.ports.system import Clock
from schemas.events import Event
from schemas.ids import RequestId, TenantId
from schemas.requests import RequestAccepted, RequestFinished, RequestReplied
from schemas.topics import Outgoing

End = RequestReplied | RequestFinished
GRACE: Final = timedelta(seconds=1)
"""After the deadline: the stage that ends the request then must still be heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A request that was published. What waits for long holds none of its content."""

    tenant: TenantId
    request: RequestId
    until: datetime
    reply: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Publishes what was accepted, and waits for its end.

    Attributes:
        look_s: how often the row is read while no reply comes, in seconds. A reply can
            be lost; a request's end cannot.
    """

    publisher: Publisher
    replies: Replies
    requests: Requests
    clock: Clock
    look_s: float = 5.0

    async def begun(self, outgoing: Outgoing[RequestAccepted]) -> Awaited:
        """Publish it, and listen for its end.

        Raises:
            RetryableError: not acknowledged: whether it was accepted is unknown.
        """
        attributes = outgoing.event.attributes
        request = RequestId(attributes.subject)
        reply = self.replies.expect(request)
        with ExitStack() as undone:
            undone.callback(reply.cancel)
            await self.publisher.publish([outgoing])
            undone.pop_all()
        until = outgoing.event.data.terms.deadline + GRACE
        return Awaited(
            tenant=attributes.tenant, request=request, until=until, reply=reply
        )

    async def of(self, awaited: Awaited) -> End | None:
        """The end; None: the deadline passed without one."""
        try:
            return await self._wait(awaited, asyncio.ensure_future(awaited.reply))
        finally:
            awaited.reply.cancel()

    async def _wait(
        self, awaited: Awaited, reply: asyncio.Future[Event[RequestReplied]]
    ) -> End | None:
        while True:
            left = max(0.0, (awaited.until - self.clock.now()).total_seconds())
            done, _ = await asyncio.wait({reply}, timeout=min(left, self.look_s))
            if done:
                return reply.result().data
            end = await self._in_row(awaited)
            if end is not None or left == 0:
                return end

    async def _in_row(self, awaited: Awaited) -> End | None:
        try:
            state = await self.requests.get(awaited.tenant, awaited.request)
        except RetryableError:
            return None  # it was accepted, and its reply may still come
        return state.finished if state else None
