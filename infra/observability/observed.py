"""Ports that count what passes: what is published, attempted, asked of the keystore."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from typing_extensions import override

from infra.families import (
    FINISHED,
    GUARD_VERDICTS,
    INBOX_CODES,
    INCIDENTS,
    KEYSTORE_FAILURES,
    KEYSTORE_KEYS,
    KEYSTORE_SECONDS,
    NONE,
    OPERATIONS,
    REASONS,
    REFUSALS,
    VERDICTS,
    WEBHOOK_ATTEMPTS,
)
from infra.metrics import OTHER, Metrics
from pipeline.errors import SluiceError
from pipeline.ports.bus import Publisher, RawOutgoing
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore, NewKey
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Claimed, Deliveries, Due, Ended, Message, Settled
from pipeline.rejections import REJECTED
from pipeline.sealing import DataKey
from pipeline.webhooks import Again, Attempt, Delivered, Exhausted, Gone, Next
from schemas.audit import TERMINAL, AuditRecorded
from schemas.policies import Guard
from schemas.requests import Outcome, RequestAccepted
from schemas.topics import Outgoing

T = TypeVar("T")

STEPS: Final = frozenset({"request.screened", "request.redacted", "request.called"})
"""Records that tell what guards said, each of its own stage."""
GUARDED: Final = frozenset({"screening", "redaction", "provider"})
"""Groups in which guards look."""
_OK: Final = "ok"


class ObservedPublisher(Publisher):
    """Counts what a worker's stages say, once it is durable.

    A redelivery says it again and is counted again: these are rates, not the ledger.
    """

    def __init__(
        self, inner: Publisher, metrics: Metrics, groups: Collection[str]
    ) -> None:
        self._inner = inner
        self._metrics = metrics
        _ready(metrics, groups)

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        await self._inner.publish(outgoing)
        for out in outgoing:
            data = out.event.data
            if isinstance(data, AuditRecorded):
                self._audited(data)
            elif isinstance(data, RequestAccepted):
                self._metrics.accepted.labels("inbox").inc()

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        await self._inner.publish_raw(outgoing)

    def _audited(self, data: AuditRecorded) -> None:
        if data.action in STEPS:
            verdicts = self._metrics.of(GUARD_VERDICTS)
            for said in data.decision:
                verdicts.labels(said.control, said.verdict).inc()
        elif data.action in TERMINAL:
            outcome = data.action.rpartition(".")[2]
            self._metrics.of(FINISHED).labels(outcome, reason(data.status)).inc()
        elif data.action == REJECTED:
            self._metrics.refused.labels("inbox", data.status or NONE).inc()


def reason(status: str | None) -> str:
    """The word that is counted; of what screening says, the first of its words."""
    if status is None or status == _OK:
        return NONE
    return status.partition(".")[0]


def _ready(metrics: Metrics, groups: Collection[str]) -> None:
    if "admission" in groups:
        metrics.accepted.ready(("inbox",))
        metrics.refused.ready(("inbox",), INBOX_CODES)
    if "outcomes" in groups:
        metrics.of(FINISHED).ready([each.value for each in Outcome], REASONS)
    if "audit" in groups:
        metrics.of(INCIDENTS)
    if GUARDED & set(groups):
        # Recognisers from outside are counted as others, whatever they are called.
        guards = [*(each.value for each in Guard), OTHER]
        metrics.of(GUARD_VERDICTS).ready(guards, VERDICTS)


class ObservedKeys(KeyStore):
    """Times the keystore, a batch at once."""

    def __init__(self, inner: KeyStore, metrics: Metrics, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._seconds = {
            each: metrics.of(KEYSTORE_SECONDS).labels(each) for each in OPERATIONS
        }
        self._keys = {
            each: metrics.of(KEYSTORE_KEYS).labels(each) for each in OPERATIONS
        }
        self._failures = {
            each: metrics.of(KEYSTORE_FAILURES).labels(each) for each in OPERATIONS
        }

    @override
    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        return await self._timed("create", len(keys), self._inner.create(keys))

    @override
    async def fetch(
        self, wanted: Sequence[KeyRef]
    ) -> Mapping[KeyRef, DataKey | Destroyed]:
        return await self._timed("fetch", len(wanted), self._inner.fetch(wanted))

    @override
    async def forget(self, keys: Sequence[KeyRef]) -> int:
        return await self._timed("forget", len(keys), self._inner.forget(keys))

    async def _timed(self, operation: str, keys: int, answer: Awaitable[T]) -> T:
        began = self._clock.monotonic()
        try:
            found = await answer
        except SluiceError:
            self._failures[operation].inc()
            raise
        self._seconds[operation].observe(self._clock.monotonic() - began)
        self._keys[operation].inc(keys)
        return found


FOLLOWS: Final[Mapping[type[Next], str]] = {
    Delivered: "delivered",
    Again: "again",
    Exhausted: "exhausted",
    Gone: "gone",
}


class ObservedDeliveries(Deliveries):
    """Counts attempts of webhooks, each once its end is durable.

    What another worker made as well, for a lease ran out, was made twice and is
    counted twice.
    """

    def __init__(self, inner: Deliveries, metrics: Metrics) -> None:
        self._inner = inner
        self._attempts = metrics.of(WEBHOOK_ATTEMPTS)
        self._attempts.ready(("2xx",), ("delivered",))
        self._attempts.ready(REFUSALS, ("again", "exhausted"))
        self._attempts.labels("4xx", "gone")
        self._attempts.labels(NONE, "erased")

    @override
    async def settle(
        self,
        due: Due,
        seen: Attempt,
        *,
        took: timedelta,
        now: datetime,
        jitter: float,
        asked: bytes | None = None,
    ) -> Settled:
        settled = await self._inner.settle(
            due, seen, took=took, now=now, jitter=jitter, asked=asked
        )
        self._attempts.labels(answer(seen), FOLLOWS[type(settled.next)]).inc()
        return settled

    @override
    async def end(self, due: Due, state: Ended) -> None:
        await self._inner.end(due, state)
        self._attempts.labels(NONE, state).inc()

    @override
    async def announce(self, messages: Sequence[Message]) -> Sequence[Due]:
        return await self._inner.announce(messages)

    @override
    async def claim(self, due: Due, now: datetime, lease: timedelta) -> Claimed | None:
        return await self._inner.claim(due, now, lease)

    @override
    async def park(self, due: Due, until: datetime) -> None:
        await self._inner.park(due, until)

    @override
    async def sweep(self, now: datetime, limit: int) -> Sequence[Due]:
        return await self._inner.sweep(now, limit)

    @override
    async def forget(self, before: datetime) -> int:
        return await self._inner.forget(before)


def answer(seen: Attempt) -> str:
    """How an attempt was answered: a status by its class, or the word for none."""
    if seen.status is not None:
        return f"{seen.status // 100}xx"
    return seen.error or NONE
