"""Calls the provider once, and gives the caller its answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import orjson

from pipeline import findings
from pipeline.canary import canary, planted
from pipeline.contents import Contents
from pipeline.detection.engine import Recipe
from pipeline.dialects import SPEAKERS, Json, Opened, opened, written
from pipeline.errors import RetryableError
from pipeline.ports.providers import Answered, Providers, Refused, Unanswered
from pipeline.ports.recognisers import NOBODY, Recognisers
from pipeline.ports.requests import Done, Held, ProviderCalls, Spent, Taken
from pipeline.ports.system import Clock, Hold
from pipeline.provider import (
    ATTEMPTS,
    Released,
    Restoring,
    Result,
    Withheld,
    load,
    release,
    result,
)
from pipeline.reasons import CUT_SHORT, Reason
from pipeline.sealing import DataKey, Purpose
from pipeline.tokens import session_nonce
from pipeline.trail import Step, decided, ended, ran, sealed, stopped, told
from pipeline.work import Bench, Work
from schemas.events import Event
from schemas.requests import (
    Outcome,
    RequestFinished,
    RequestRedacted,
    SealedContent,
)
from schemas.topics import Outgoing

SOURCE: Final = "/sluice/provider"
ACTION: Final = "request.called"
LEASE: Final = timedelta(seconds=15)
RENEW_S: Final = 5.0
RETRY_PAUSE_S: Final = 0.2
RETRY_WITHIN_S: Final = 5.0
"""Who asks for more patience than this is not asked again: the place is another's."""
LEAVES_WITHIN_S: Final = 0.001
"""By then a result is on its way to the database."""

Turn = Callable[[], Awaitable[None]]
Told = Callable[[Result], Awaitable[Sequence[Outgoing[Any]]]]
"""What follows from a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConsumer:
    """Claims the call, makes it, keeps its result, then ends the request.

    Attributes:
        turn: awaited before an answer is looked at: many may come at once.
        hold: open as long as the claims did not answer, or keep no result.
    """

    bench: Bench
    contents: Contents
    calls: ProviderCalls
    providers: Providers
    recipe: Recipe
    clock: Clock
    turn: Turn
    hold: Hold
    recognisers: Recognisers = NOBODY

    async def prepare(self, events: Sequence[Event[RequestRedacted]]) -> Work:
        """Keys and policies of the batch."""
        return await self.bench.work(events)

    async def handle(
        self, event: Event[RequestRedacted], work: Work
    ) -> Sequence[Outgoing[Any]]:
        """The request's end."""
        now = self.clock.now()
        key = work.key(event, now)
        if not isinstance(key, DataKey):
            return self._stopped(event, key)
        asked = self._asked(event, key)
        marked = work.policy(event).canary
        sent = planted(asked, canary(key)) if marked else asked
        told = partial(self._told, event, work, key, asked)
        return await self._ended(event, key, sent, told)

    async def overflow(
        self, event: Event[RequestRedacted], _: Work
    ) -> Sequence[Outgoing[Any]]:
        """The lane is full: the request ends, and holds nobody else."""
        return self._stopped(event, Reason.UPSTREAM_BUSY)

    async def _ended(
        self, event: Event[RequestRedacted], key: DataKey, asked: Opened, told: Told
    ) -> Sequence[Outgoing[Any]]:
        tenant, request = key.tenant_id, key.request_id
        with self.hold():
            claim = await self.calls.take(tenant, request, LEASE)
        match claim:
            case Done(result=sealed):
                return await told(self._load(key, sealed))
            case Spent():
                return self._stopped(event, Reason.UPSTREAM_UNKNOWN)
            case Held(until=until):
                await self._wait(min(until, event.data.terms.deadline))
                # Its content may have been erased meanwhile, and its key is gone then.
                return await self.handle(event, await self.prepare([event]))
            case Taken(again=again):
                made = await self._called(event, key, asked, again=again)
                return await self._stored(event, key, made, told)

    async def _wait(self, until: datetime) -> None:
        left = (until - self.clock.now()).total_seconds()
        await self.clock.sleep(max(left, 0.0) + 0.05)

    async def _called(
        self,
        event: Event[RequestRedacted],
        key: DataKey,
        asked: Opened,
        *,
        again: bool,
    ) -> Result:
        try:
            async with asyncio.timeout(None) as patience, self._renewed(key, patience):
                seen = await self._attempts(event, asked.body)
        except TimeoutError:
            # Another result stands, and is kept; or the claim's row was erased.
            seen = Unanswered(Reason.KEY_DESTROYED, retry=False)
        return result(seen, event.data.terms.dialect, again=again)

    async def _stored(
        self, event: Event[RequestRedacted], key: DataKey, made: Result, told: Told
    ) -> Sequence[Outgoing[Any]]:
        """What follows from the result that stands, once it is durable.

        While ours is on its way to the disk, what follows from it is made.
        """
        sealed = self.contents.seal(key, Purpose.PROVIDER_RESULT, made.dump())
        ours = sealed.model_dump_json().encode()
        kept = self._kept(key, ours, event.data.terms.deadline)
        storing = asyncio.create_task(kept)
        await asyncio.wait({storing}, timeout=LEAVES_WITHIN_S)
        try:
            follows = await told(made)
        finally:
            stands = await storing
        return follows if stands == ours else await told(self._load(key, stands))

    async def _kept(self, key: DataKey, ours: bytes, deadline: datetime) -> bytes:
        """The result that stands.

        While the claims are away, ours is held on to: let go, it would be paid twice.
        """
        with self.hold():
            while self.clock.now() < deadline:
                with suppress(RetryableError):
                    return await self.calls.done(key.tenant_id, key.request_id, ours)
                await self.clock.sleep(RETRY_PAUSE_S)
        return await self.calls.done(key.tenant_id, key.request_id, ours)

    async def _attempts(
        self, event: Event[RequestRedacted], asked: Json
    ) -> Answered | Refused | Unanswered:
        terms = event.data.terms
        speaker = SPEAKERS[terms.dialect]
        body = written(speaker.outgoing(asked, terms.route.model))
        seen: Answered | Refused | Unanswered = Unanswered(
            Reason.UPSTREAM_TIMEOUT, retry=False
        )
        for more in reversed(range(ATTEMPTS)):
            left = (terms.deadline - self.clock.now()).total_seconds()
            if left <= 0:
                break
            seen = await self.providers.call(terms.route, terms.dialect, body, left)
            if not (more and isinstance(seen, Unanswered) and seen.retry):
                break
            pause = max(RETRY_PAUSE_S, seen.after_s)
            left = (terms.deadline - self.clock.now()).total_seconds()
            if seen.after_s > RETRY_WITHIN_S or pause >= left:
                break
            await self.clock.sleep(pause)
        return seen

    @asynccontextmanager
    async def _renewed(
        self, key: DataKey, patience: asyncio.Timeout
    ) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew(key, patience))
        try:
            yield
        finally:
            renewing.cancel()
            # However it ended: an answer that was paid for is no less ours to keep.
            await asyncio.wait({renewing})

    async def _renew(self, key: DataKey, patience: asyncio.Timeout) -> None:
        """Keep the claim; once it is not ours, wait for the call no longer."""
        ours = True
        while ours:
            await self.clock.sleep(RENEW_S)
            with suppress(RetryableError):  # the lease may outlast the outage
                ours = await self.calls.renew(key.tenant_id, key.request_id, LEASE)
        patience.reschedule(asyncio.get_running_loop().time())

    def _load(self, key: DataKey, kept: bytes) -> Result:
        sealed = SealedContent.model_validate_json(kept)
        return load(self.contents.open(key, Purpose.PROVIDER_RESULT, sealed))

    async def _told(
        self,
        event: Event[RequestRedacted],
        work: Work,
        key: DataKey,
        asked: Opened,
        found: Result,
    ) -> Sequence[Outgoing[Any]]:
        said = found.answer
        if said is None:
            return self._stopped(event, found.reason or Reason.UPSTREAM_GARBAGE)
        data, now, policy = event.data, self.clock.now(), work.policy(event)
        parts = SPEAKERS[data.terms.dialect].answer_parts(said) or ()
        outside = await self.recognisers.look(
            [part.text for part in parts], policy.recognisers
        )
        await self.turn()
        released = release(
            asked,
            answer=said,
            dialect=data.terms.dialect,
            policy=policy,
            recipe=self.recipe,
            restoring=Restoring(
                vault=self._vault(key, data.vault), nonce=session_nonce(key)
            ),
            request=key.request_id,
            outside=outside,
            clock=self.clock.cpu,
            mark=canary(key) if policy.canary else None,
        )
        found_in = findings.sealed(self.contents, key, released.findings, self.recipe)
        if isinstance(released, Withheld):
            step = Step(
                action=ACTION,
                status=released.reason,
                decisions=released.decisions,
                guards_ran=released.guards_ran,
                contents=sealed((Purpose.FINDINGS, found_in)),
                looked=released.looked,
            )
            return stopped(
                event, step, source=SOURCE, now=now, outcome=released.outcome
            )
        answer = self.contents.seal(key, Purpose.COMPLETION, released.body)
        step = _step(released, answer, found_in, again=found.again)
        finished = RequestFinished(
            terms=data.terms,
            outcome=Outcome.COMPLETED,
            reason=CUT_SHORT if released.cut else None,
            answer=answer,
            decisions=(*decided(event), *released.decisions),
            guards_ran=tuple(dict.fromkeys((*ran(event), *released.guards_ran))),
            usage=released.usage,
            model=released.model,
            looked=(*data.looked, *released.looked),
            findings=tuple(each for each in (data.findings, found_in) if each),
        )
        return [
            told(event, step, source=SOURCE, now=now),
            *ended(event.attributes, finished, source=SOURCE, now=now),
        ]

    def _asked(self, event: Event[RequestRedacted], key: DataKey) -> Opened:
        raw = self.contents.open(key, Purpose.REQUEST, event.data.content)
        return opened(event.data.terms.dialect, raw)

    def _vault(self, key: DataKey, sealed: SealedContent | None) -> dict[str, str]:
        if sealed is None:
            return {}
        found: dict[str, str] = orjson.loads(
            self.contents.open(key, Purpose.REVERSIBLE, sealed)
        )
        return found

    def _stopped(
        self, event: Event[RequestRedacted], reason: Reason
    ) -> Sequence[Outgoing[Any]]:
        step = Step(action=ACTION, status=reason)
        cancelled = reason is Reason.CANCELLED
        return stopped(
            event,
            step,
            source=SOURCE,
            now=self.clock.now(),
            outcome=Outcome.CANCELLED if cancelled else Outcome.FAILED,
        )


def _step(
    released: Released,
    answer: SealedContent,
    found_in: SealedContent | None,
    *,
    again: bool,
) -> Step:
    return Step(
        action=ACTION,
        status="ok_called_again" if again else "ok",
        decisions=released.decisions,
        guards_ran=released.guards_ran,
        contents=sealed((Purpose.COMPLETION, answer), (Purpose.FINDINGS, found_in)),
        looked=released.looked,
        usage=released.usage,
        model=released.model,
    )


def lane(event: Event[RequestRedacted]) -> str:
    """The upstream: one that hangs holds nobody else."""
    return event.data.terms.route.provider


def deadline(event: Event[RequestRedacted]) -> datetime:
    """When the request must have ended."""
    return event.data.terms.deadline
