"""Accept, wait, answer in one piece: what every synchronous request has in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from infra.metrics import Metrics
from pipeline.acceptance import Acceptance, Accepted, Asked, Ended
from pipeline.admission import Refused
from pipeline.contents import Contents
from pipeline.ports.system import Clock
from pipeline.reasons import Reason
from pipeline.sealing import DataKey, Purpose
from producers.faults import OVERLOADED, Fault
from producers.gateway.asking import WAY, Asking
from producers.gateway.bodies import repeats
from producers.gateway.endings import End, Endings
from producers.gateway.errors import (
    CONTENT_DESTROYED,
    ending,
    refusal,
    response,
)
from producers.gateway.places import Places
from producers.gateway.taken import Transients
from schemas.requests import Outcome

Shown = Callable[[bytes, datetime], bytes]
"""What the caller gets of an answer to a request that was accepted at that time."""


def unchanged(answer: bytes, _: datetime) -> bytes:
    """The answer as it was sealed."""
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Answers whoever waits.

    Attributes:
        places: one for each that may wait at once.
    """

    asking: Asking
    acceptance: Acceptance
    endings: Endings
    contents: Contents
    transients: Transients
    clock: Clock
    metrics: Metrics
    places: Places

    async def answer(
        self, request: Request, asked: Asked | Fault, shown: Shown = unchanged
    ) -> Response:
        """The answer to one request, or why there is none.

        Thousands may wait, each for minutes: nothing of a body is kept meanwhile, so
        callers hand ``asked`` over and keep none of it.
        """
        if isinstance(asked, Fault):
            return self.asking.refused(request, asked)
        tenant = asked.principal.tenant_id
        if not self.places.open_to(tenant):
            return self.asking.refused(request, OVERLOADED)
        with self.places.taken(tenant):
            begun = self.clock.monotonic()
            match await self.acceptance.accept(asked):
                case Refused() as refused:
                    return self.asking.refused(request, refusal(refused))
                case Ended(key=key, state=state):
                    found, accepted_at = state.finished, state.accepted_at
                    return self._answer(request, key, found, shown, accepted_at)
                case Accepted(key=key, outgoing=outgoing):
                    accepted_at = outgoing.event.attributes.time
                    awaited = await self.endings.begun(outgoing)
                    self.metrics.accepted.labels(WAY).inc()
                    del asked, outgoing
                    end = await self.endings.of(awaited)
                    self.metrics.answer_seconds.observe(self.clock.monotonic() - begun)
                    return self._answer(request, key, end, shown, accepted_at)

    def _answer(
        self,
        request: Request,
        key: DataKey,
        end: End | None,
        shown: Shown,
        accepted_at: datetime,
    ) -> Response:
        if end is None:
            late = ending(Outcome.FAILED, Reason.DEADLINE_EXCEEDED)
            return response(request, late)
        if end.outcome is not Outcome.COMPLETED or end.answer is None:
            answer = response(request, _ended(request, end))
        else:
            opened = self.contents.open(key, Purpose.COMPLETION, end.answer)
            told = shown(opened, accepted_at)
            answer = Response(told, media_type="application/json")
        return self.transients.leaving(request, answer, key)


def _ended(request: Request, end: End) -> Fault:
    """Why there is no answer.

    What ends under an ``Idempotency-Key`` has ended for each of its retries, and an SDK
    retries under the same one.
    """
    if end.outcome is Outcome.COMPLETED:
        return CONTENT_DESTROYED  # an erasure took the answer out of the row meanwhile
    fault = ending(end.outcome, end.reason)
    if fault.repeat and repeats(request):
        return replace(fault, repeat=False, after_s=None)
    return fault
