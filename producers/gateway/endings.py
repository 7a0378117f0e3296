"""Waiting for a request's end."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pipeline.acceptance import Accepted
from pipeline.errors import RetryableError
from pipeline.ports.bus import Publisher
from pipeline.ports.replies import Replies, Waiting
from pipeline.ports.requests import Requests
from pipeline.ports.system import Clock
from schemas.ids import RequestId
from schemas.requests import RequestAccepted, RequestFinished, RequestReplied
from schemas.topics import Outgoing

End = RequestReplied | RequestFinished
GRACE: Final = timedelta(seconds=1)
"""After the deadline: the stage that ends the request then must still be heard."""


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

    async def of(self, accepted: Accepted) -> End | None:
        """The end; None: the deadline passed without one.

        Raises:
            RetryableError: not acknowledged: whether it was accepted is unknown.
        """
        request = RequestId(accepted.outgoing.event.attributes.subject)
        waiting = self.replies.expect(request)
        try:
            await self.publisher.publish([accepted.outgoing])
            return await self._wait(accepted.outgoing, waiting)
        finally:
            waiting.cancel()

    async def _wait(
        self, outgoing: Outgoing[RequestAccepted], waiting: Waiting
    ) -> End | None:
        reply = asyncio.ensure_future(waiting)
        until = outgoing.event.data.terms.deadline + GRACE
        while True:
            left = max(0.0, (until - self.clock.now()).total_seconds())
            done, _ = await asyncio.wait({reply}, timeout=min(left, self.look_s))
            if done:
                return reply.result().data
            end = await self._in_row(outgoing)
            if end is not None or left == 0:
                return end

    async def _in_row(self, outgoing: Outgoing[RequestAccepted]) -> End | None:
        attributes = outgoing.event.attributes
        request = RequestId(attributes.subject)
        try:
            state = await self.requests.get(attributes.tenant, request)
        except RetryableError:
            return None  # it was accepted, and its reply may still come
        return state.finished if state else None
