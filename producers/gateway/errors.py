"""Faults as responses: OpenAI's error body for its SDKs, problems for all others."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from pipeline.admission import No, Refused
from pipeline.reasons import Reason
from producers.faults import (
    BODY_TOO_LARGE,
    FORBIDDEN,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Fault,
)
from schemas.api.gateway import OpenAIError, OpenAIErrorDetail
from schemas.problems import problem
from schemas.requests import Outcome

OUR_PATHS: Final = ("/v1/requests", "/v1/webhook_")
"""Below ``/v1/`` where a problem is the answer: no dialect prescribes another."""

UNKNOWN_MODEL: Final = Fault(
    code="unknown-model",
    status=404,
    title="No such model",
    detail="The model does not exist, or the credential may not use it.",
    word="model_not_found",
)
STREAM_UNSUPPORTED: Final = Fault(
    code="stream-unsupported",
    status=400,
    title="Streaming is not supported",
    detail="Send the request without `stream`, or with `stream: false`.",
    word="unsupported_value",
    errors=("stream: expected false",),
)
UNSUPPORTED: Final = Fault(
    code="unsupported",
    status=400,
    title="Not supported here",
    detail="`errors` names what the request asks for and is not done here.",
    word="unsupported_parameter",
)
ID_REUSED: Final = Fault(
    code="idempotency-key-reused",
    status=400,
    title="The Idempotency-Key was used for another body",
    detail="A retry sends the same bytes; another request needs another key.",
    word="idempotency_key_reused",
)
CONTENT_DESTROYED: Final = Fault(
    code="content-destroyed",
    status=410,
    title="The content was destroyed",
    detail="The request is known, and its content was forgotten.",
    word="content_destroyed",
    repeat=False,
)
NOT_IN_BACKGROUND: Final = Fault(
    code="not-in-background",
    status=400,
    title="Nothing to cancel",
    detail="Only a response that was created with `background: true` is cancelled.",
    word="not_in_background",
)
STILL_OPEN: Final = Fault(
    code="still-open",
    status=409,
    title="It has not ended yet",
    detail="Cancel the response, or wait for its end; then delete it.",
    word="still_open",
    repeat=False,
)
BLOCKED: Final = Fault(
    code="blocked",
    status=400,
    title="Blocked by policy",
    detail="The policy of your organisation blocked this request.",
    word="content_filter",
)
FAILED: Final = Fault(
    code="failed",
    status=502,
    title="The request failed",
    detail="The request was accepted, and failed.",
    kind="server_error",
    word="failed",
    repeat=False,
)

_REFUSALS: Final[Mapping[No, Fault]] = {
    No.BODY_TOO_LARGE: BODY_TOO_LARGE,
    No.CONTENT_DESTROYED: CONTENT_DESTROYED,
    No.FORBIDDEN: FORBIDDEN,
    No.ID_REUSED: ID_REUSED,
    No.INVALID_REQUEST: INVALID_REQUEST,
    No.STREAM_UNSUPPORTED: STREAM_UNSUPPORTED,
    No.TENANT_ENDED: FORBIDDEN,
    No.UNKNOWN_MODEL: UNKNOWN_MODEL,
    No.UNSUPPORTED: UNSUPPORTED,
}

FAILURES: Final[Mapping[str, tuple[int, bool, int | None, str]]] = {
    Reason.CANCELLED: (409, False, None, "It was cancelled."),
    Reason.DEADLINE_EXCEEDED: (504, False, None, "It was not done by its deadline."),
    Reason.GUARD_UNAVAILABLE: (503, True, 5, "A guard that must run could not."),
    Reason.KEY_DESTROYED: (410, False, None, "Its content was erased meanwhile."),
    Reason.POISON: (500, False, None, "Its record could not be handled."),
    Reason.TOO_LARGE: (413, False, None, "It, or a text in it, is too large."),
    Reason.UPSTREAM_BUSY: (503, True, 1, "Too many requests wait for this model."),
    Reason.UPSTREAM_ERROR: (502, True, 1, "The model provider failed."),
    Reason.UPSTREAM_GARBAGE: (502, False, None, "The provider's answer is unusable."),
    Reason.UPSTREAM_RATE_LIMITED: (503, True, 5, "The model provider is at its limit."),
    Reason.UPSTREAM_REFUSED: (502, False, None, "The provider refused the request."),
    Reason.UPSTREAM_TIMEOUT: (504, False, None, "The provider took too long."),
    Reason.UPSTREAM_UNKNOWN: (
        502,
        False,
        None,
        "Whether the provider did it is unknown.",
    ),
    Reason.UPSTREAM_UNREACHABLE: (502, True, 1, "The provider could not be reached."),
}
"""By reason: status, whether a repeat may help, after how many seconds, in words."""


def refusal(refused: Refused) -> Fault:
    """Why a request was not accepted."""
    fault = _REFUSALS[refused.why]
    return replace(fault, errors=refused.errors) if refused.errors else fault


def ending(outcome: Outcome, reason: str | None) -> Fault:
    """Why an accepted request has no answer: it was blocked, or it failed."""
    if outcome is Outcome.BLOCKED:
        return replace(BLOCKED, reason=reason)
    status, repeat, after_s, detail = FAILURES.get(
        reason or "", (FAILED.status, False, None, FAILED.detail)
    )
    return replace(
        FAILED,
        status=status,
        repeat=repeat,
        after_s=after_s,
        detail=detail,
        word=reason,
        reason=reason,
    )


def response(request: HTTPConnection, fault: Fault) -> Response:
    """A fault in the shape that the path's clients read."""
    path = request.url.path
    if path.startswith("/v1/") and not path.startswith(OUR_PATHS):
        return openai(request, fault)
    return as_problem(request, fault)


def openai(request: HTTPConnection, fault: Fault) -> Response:
    """OpenAI's error body; a 422 is a 400 there."""
    status = 400 if fault.status == INVALID_REQUEST.status else fault.status
    detail = OpenAIErrorDetail(
        message=message(fault),
        type=fault.kind,
        param=fault.errors[0].split(":")[0] if fault.errors else None,
        code=fault.word,
        reason=fault.reason,
        request_id=request.state.request_id,
        errors=fault.errors,
    )
    return Response(
        OpenAIError(error=detail).model_dump_json(),
        status,
        headers=_headers(fault),
        media_type="application/json",
    )


def message(fault: Fault) -> str:
    """A fault in one sentence."""
    about = fault.errors or ((fault.reason,) if fault.reason else ())
    return f"{fault.title}: {'; '.join(about)}." if about else fault.detail


def as_problem(request: HTTPConnection, fault: Fault) -> Response:
    """A problem document (RFC 9457).

    Nothing found answers the same bytes whatever is not there: no request id in it.
    """
    names = fault is not NOT_FOUND
    body = problem(
        fault.code,
        fault.status,
        fault.title,
        fault.detail,
        request_id=request.state.request_id if names else None,
        errors=fault.errors,
    )
    return Response(
        body.model_dump_json(exclude_none=True),
        fault.status,
        headers=_headers(fault),
        media_type="application/problem+json",
    )


def _headers(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.status == 401:  # noqa: PLR2004 - RFC 9110 section 11.6.1
        headers["www-authenticate"] = "Bearer"
    if fault.repeat is not None:
        headers["x-should-retry"] = str(fault.repeat).lower()
    if fault.after_s is not None:
        headers["retry-after"] = str(fault.after_s)
    return headers


async def of_router(request: Request, error: Exception) -> Response:
    """What the router raises: no such path, no such method."""
    if getattr(error, "status_code", None) != METHOD_NOT_ALLOWED.status:
        return response(request, NOT_FOUND)
    answer = response(request, METHOD_NOT_ALLOWED)
    answer.headers.update(getattr(error, "headers", None) or {})
    if methods := _methods(request):
        answer.headers["allow"] = ", ".join(sorted(methods))
    return answer


def _methods(request: Request) -> set[str]:
    """All methods of a path (RFC 9110, 15.5.6); a route tells of its own alone."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route)
        and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
