"""A request's end by its caller's wish: one of the ends of which the first wins."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pipeline.ports.requests import RequestState
from pipeline.provider import Result
from pipeline.reasons import Reason
from pipeline.trail import Step, ended, recorded
from schemas.events import Attributes
from schemas.ids import Actor, event_id
from schemas.requests import Outcome, RequestFinished
from schemas.topics import Outgoing

KIND: Final = "request.cancel"
ORDERED: Final = "request.cancel_ordered"
CALLED_OFF: Final = Result(answer=None, reason=Reason.CANCELLED)
"""Kept as the result of the provider call: it is not made, or not waited for."""


def cancelled(
    state: RequestState, actor: Actor, *, source: str, now: datetime
) -> Sequence[Outgoing[Any]]:
    """The end of an open request, and after it the record of who ordered it.

    Law: equal requests give equal ids, so it is cancelled once, however often it is
    asked for; and each actor's order is recorded once, whether or not its end stands.
    """
    attributes = Attributes(
        id=event_id(state.request_id, KIND),
        type=KIND,
        source=source,
        subject=state.request_id,
        tenant=state.tenant_id,
        time=now,
    )
    finished = RequestFinished(
        terms=state.terms,
        outcome=Outcome.CANCELLED,
        reason=Reason.CANCELLED,
        decisions=(),
        guards_ran=(),
    )
    order = replace(attributes, id=event_id(state.request_id, f"{KIND}:{actor}"))
    terms = state.terms.model_copy(update={"actor": actor})
    step = Step(action=ORDERED)
    return [
        *ended(attributes, finished, source=source, now=now),
        recorded(order, terms, step, source=source, now=now),
    ]
