"""Ends what nobody ended, and destroys the keys of answers that nobody took."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.ports.bus import Publisher
from pipeline.ports.keys import KeyStore
from pipeline.ports.requests import Overdue, Sweep
from pipeline.ports.system import Clock
from pipeline.reasons import Reason
from pipeline.trail import ended
from schemas.events import Attributes
from schemas.ids import RequestId, event_id
from schemas.requests import Outcome, RequestFinished
from schemas.topics import Outgoing

SOURCE: Final = "/sluice/sweeper"
KIND: Final = "request.overdue"
GRACE: Final = timedelta(seconds=60)
"""After the deadline: a stage that ends the request then should be the one."""
BATCH: Final = 500
TOLD_AGAIN: Final = timedelta(minutes=10)
"""What was told its end waits for the group that writes it; told at every look, a group
that is away or behind would find its topic full of that."""
LOOKS_BACK: Final = timedelta(hours=2)
"""Of a fresh process: no deadline is further away than an hour. What passed while no
sweeper ran for longer goes with its day of keys."""


@dataclass(slots=True, kw_only=True)
class Sweeper:
    """A timed worker, safe in several copies: the first end wins, and keys go once."""

    sweep: Sweep
    keystore: KeyStore
    publisher: Publisher
    clock: Clock
    _swept: datetime = field(init=False)
    _told: dict[RequestId, datetime] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._swept = self.clock.now() - LOOKS_BACK

    async def round(self) -> bool:
        """End what is overdue, then forget what is over; True: there is more.

        Raises:
            RetryableError: something is away; the next round does it.
        """
        now = self.clock.now()
        late = await self.sweep.overdue(now - GRACE, BATCH)
        told = {each.request_id: self._told.get(each.request_id) for each in late}
        ends = [each for each in late if _is_due(told[each.request_id], now)]
        await self.publisher.publish(
            [outgoing for each in ends for outgoing in _end(each, now)]
        )
        self._told = {
            **{request: at for request, at in told.items() if at is not None},
            **{each.request_id: now for each in ends},
        }
        await self._forget(now - GRACE)
        return len(ends) >= BATCH

    async def _forget(self, until: datetime) -> None:
        keys = await self.sweep.passing(self._swept, until)
        for start in range(0, len(keys), BATCH):
            await self.keystore.forget(keys[start : start + BATCH])
        self._swept = until


def _is_due(told: datetime | None, now: datetime) -> bool:
    return told is None or now - told >= TOLD_AGAIN


def _end(late: Overdue, now: datetime) -> Sequence[Outgoing[Any]]:
    """Its end, as a stage would tell it that found the deadline past."""
    attributes = Attributes(
        id=event_id(late.request_id, KIND),
        type=KIND,
        source=SOURCE,
        subject=late.request_id,
        tenant=late.tenant_id,
        time=now,
    )
    finished = RequestFinished(
        terms=late.terms,
        outcome=Outcome.FAILED,
        reason=Reason.DEADLINE_EXCEEDED,
        decisions=(),
        guards_ran=(),
    )
    return ended(attributes, finished, source=SOURCE, now=now)
