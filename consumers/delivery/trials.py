"""Trying a record in place, and remembering how often it failed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumers.delivery.attempts import (
    QUICK_S,
    Again,
    Bury,
    Halt,
    Handled,
    Later,
    Verdict,
    judge,
    translated,
)
from consumers.delivery.dead import Corpse
from consumers.delivery.means import Means
from consumers.delivery.subscriptions import Subscription
from pipeline.errors import place
from pipeline.ports.bus import Record
from schemas.topics import Outgoing

Call = Callable[[], Awaitable[Sequence[Outgoing[Any]]]]


@dataclass(slots=True)
class Tried:
    """How a record fared so far.

    Attributes:
        attempts: how often it was tried.
        failed: how often with an error that nobody translated.
    """

    first_at: datetime
    attempts: int = 0
    failed: int = 0


class Trials:
    """The attempts of one member's records."""

    def __init__(self, subscription: Subscription, means: Means) -> None:
        self._subscription = subscription
        self._group = subscription.group
        self._means = means
        self._tried: dict[tuple[int, int], Tried] = {}

    async def run(self, record: Record, call: Call) -> Verdict:
        """Try once, and three times more where that may help."""
        for pause in (*QUICK_S, None):
            try:
                outgoing = await call()
            except Exception as error:  # noqa: BLE001 - the loop that must go on
                verdict = self._judged(record, error)
            else:
                return Handled(outgoing)
            if pause is None or not isinstance(verdict, Again):
                return verdict
            await self._means.clock.sleep(pause)
        return Again()

    async def bury(self, record: Record, verdict: Bury) -> None:
        """Put it with the dead, and say so."""
        tried = self._fared(record)
        corpse = Corpse(
            topic=self._subscription.topic,
            group=self._group,
            record=record,
            verdict=verdict,
            attempts=tried.attempts,
            first_at=tried.first_at,
            stranger=self._subscription.stranger,
        )
        await self._means.burial.bury(corpse)
        self._means.signals.buried(self._group, verdict.reason)

    def _fared(self, record: Record) -> Tried:
        key = (record.partition, record.offset)
        return self._tried.setdefault(key, Tried(self._means.clock.now()))

    def forget(self, record: Record) -> None:
        """It came to an end."""
        self._tried.pop((record.partition, record.offset), None)

    def clear(self) -> None:
        """The partitions were taken away."""
        self._tried.clear()

    def _judged(self, record: Record, error: Exception) -> Bury | Again | Later | Halt:
        tried = self._fared(record)
        tried.attempts += 1
        if not translated(error):
            tried.failed += 1
            self._means.signals.unexpected(self._group, place(error))
        verdict = judge(error, tried.failed)
        if isinstance(verdict, Again):
            self._means.signals.retried(self._group, type(error).__name__)
        return verdict


def raising(error: Exception) -> Call:
    """A call that only says why its record cannot be handled."""

    async def call() -> Sequence[Outgoing[Any]]:
        raise error

    return call
