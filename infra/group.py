"""Group commit: many callers, one round trip."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Coalesces concurrent calls: what arrives during one round trip rides the next.

    There is no timer: alone, a caller pays one round trip; in a crowd, two at most.

    An error of a round trip is every rider's error. So what one tenant can cause must
    be a result, never an exception, else one fails its neighbours.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        limit: int = 500,
    ) -> None:
        """``flush`` takes 1 to ``limit`` items and answers each, in order."""
        self._flush = flush
        self._limit = limit
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Wait until the round trip with ``item`` is done; its answer.

        A caller that is cancelled leaves its item behind: it may be committed still.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            # In a context of its own: the trace of one rider is not the others'.
            self._running = asyncio.create_task(self._run(), context=Context())
        return await future

    async def close(self) -> None:
        """Wait for all that was added."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(self._limit, len(self._waiting))
                await self._ride([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _ride(self, riders: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        trip = self._flush([item for item, _ in riders])
        try:
            (answers,) = await asyncio.gather(trip, return_exceptions=True)
            for place, (_, future) in enumerate(riders):
                _settle(future, answers, place)
        finally:
            for _, future in riders:
                future.cancel()


def _settle(
    future: asyncio.Future[R], answers: Sequence[R] | BaseException, place: int
) -> None:
    if future.done():
        return
    if isinstance(answers, BaseException):
        future.set_exception(answers)
    else:
        future.set_result(answers[place])
