"""What OpenAI's response object says of a request's row and its answer."""

from datetime import datetime
from typing import Final

import orjson

from pipeline.dialects.openai_responses import response_id
from pipeline.ports.requests import RequestState
from pipeline.reasons import Reason
from pipeline.trail import withheld
from producers.gateway.errors import ending, message
from schemas.api.responses import (
    IncompleteDetails,
    ResponseDocument,
    ResponseError,
    Status,
)
from schemas.requests import Outcome, RequestFinished

SERVER_ERROR: Final = "server_error"
INVALID_PROMPT: Final = "invalid_prompt"
RATE_LIMITED: Final = "rate_limit_exceeded"
FILTERED: Final = IncompleteDetails(reason="content_filter")
_LIMITS: Final = (Reason.UPSTREAM_BUSY, Reason.UPSTREAM_RATE_LIMITED)


def unanswered(state: RequestState, *, begun: bool = False) -> ResponseDocument:
    """A response that has no answer, or none yet; ``begun``: the provider was asked."""
    end = state.finished
    open_as = Status.IN_PROGRESS if begun else Status.QUEUED
    return ResponseDocument(
        id=response_id(state.request_id),
        created_at=int(state.accepted_at.timestamp()),
        status=_status(end) if end else open_as,
        background=waits_for_nobody(state),
        model=state.terms.model,
        error=_error(end) if end else None,
        incomplete_details=FILTERED if end and withheld(end) else None,
    )


def answered(
    answer: bytes, accepted_at: datetime, finished_at: datetime | None
) -> bytes:
    """A response with its answer, and our times on it."""
    body = orjson.loads(answer)
    done = finished_at is not None and body.get("status") == Status.COMPLETED
    times = {
        "created_at": int(accepted_at.timestamp()),
        "completed_at": int(finished_at.timestamp()) if done and finished_at else None,
    }
    return orjson.dumps({**body, **times})


def waits_for_nobody(state: RequestState) -> bool:
    """Was it asked for in the background?"""
    return state.terms.reply_partition is None


def _status(end: RequestFinished) -> Status:
    match end.outcome:
        case Outcome.CANCELLED:
            return Status.CANCELLED
        case Outcome.COMPLETED:
            return Status.COMPLETED
        case Outcome.BLOCKED if withheld(end):
            return Status.INCOMPLETE
        case Outcome.BLOCKED | Outcome.FAILED:
            return Status.FAILED


def _error(end: RequestFinished) -> ResponseError | None:
    """Why it failed, in a word that the SDK has for it."""
    if withheld(end) or end.outcome in (Outcome.COMPLETED, Outcome.CANCELLED):
        return None
    code = RATE_LIMITED if end.reason in _LIMITS else SERVER_ERROR
    return ResponseError(
        code=INVALID_PROMPT if end.outcome is Outcome.BLOCKED else code,
        message=message(ending(end.outcome, end.reason)),
        reason=end.reason,
    )
