"""A request's end by its caller's wish: one of the ends of which the first wins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.ports.requests import RequestState
from pipeline.provider import Result
from pipeline.reasons import Reason
from pipeline.trail import ended
from schemas.events import Attributes
from schemas.ids import event_id
from schemas.requests import Outcome, RequestFinished
from schemas.topics import Outgoing

KIND: Final = "request.cancel"
CALLED_OFF: Final = Result(answer=None, reason=Reason.CANCELLED)
"""Kept as the result of the provider call: it is not made, or not waited for."""


def cancelled(
    state: RequestState, *, source: str, now: datetime
) -> Sequence[Outgoing[Any]]:
    """The end of an open request, first of what is published.

    Law: equal requests give equal ids, so it is cancelled once, however often it is
    asked for.
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
    return ended(attributes, finished, source=source, now=now)
