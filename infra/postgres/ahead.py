"""One statement ahead: the server works at it while the caller works at another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Ahead(Generic[Answer]):
    """Statements of one connection, each on its way while its sender goes on.

    Attributes:
        ask: sends one and waits for its answer.
    """

    ask: Callable[..., Coroutine[Any, Any, Answer]]
    _sent: asyncio.Task[Answer] | None = None

    async def send(self, *statement: Any) -> Answer | None:
        """Send the next, once the one before was answered.

        Returns:
            that answer; None where none is outstanding.
        """
        answer = await self.answer()
        self._sent = asyncio.create_task(self.ask(*statement))
        await asyncio.wait([self._sent], timeout=0)  # now it is on its way
        return answer

    async def answer(self) -> Answer | None:
        """Wait for the answer to what was sent last; None where none is outstanding."""
        if self._sent is None:
            return None
        answer = await self._sent
        self._sent = None
        return answer

    async def drop(self) -> None:
        """Cancel what is on its way."""
        if self._sent is not None and not self._sent.done():
            self._sent.cancel()
            await asyncio.gather(self._sent, return_exceptions=True)


@asynccontextmanager
async def ahead(
    ask: Callable[..., Coroutine[Any, Any, Answer]],
) -> AsyncIterator[Ahead[Answer]]:
    """At the end all were answered; where something fails, the last is cancelled."""
    statements = Ahead(ask)
    try:
        yield statements
        await statements.answer()
    finally:
        await statements.drop()
