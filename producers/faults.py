"""Every way in which HTTP says no; one vocabulary, whatever the body's shape."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way of saying no.

    Attributes:
        code: of the problem type, hyphenated.
        detail: what to do about it; never what was sent.
        kind: ``type`` in OpenAI's error body.
        word: ``code`` in OpenAI's error body.
        repeat: whether the same request can succeed later: ``x-should-retry``, which
            SDKs believe; None: they decide by the status.
        after_s: ``retry-after``, in seconds.
        errors: paths with what was expected there.
        reason: why a request was blocked or failed.
    """

    code: str
    status: int
    title: str
    detail: str
    kind: str = "invalid_request_error"
    word: str | None = None
    repeat: bool | None = None
    after_s: int | None = None
    errors: tuple[str, ...] = ()
    reason: str | None = None

    def about(self, *errors: str) -> "Fault":
        """The same, with the fields that it is about."""
        return replace(self, errors=errors)


CREDENTIAL_MISSING: Final = Fault(
    code="credential-missing",
    status=401,
    title="No credential",
    detail="Send an API key as `Authorization: Bearer` or `x-api-key`.",
    word="invalid_api_key",
)
CREDENTIAL_INVALID: Final = Fault(
    code="credential-invalid",
    status=401,
    title="The credential is not valid",
    detail="The credential is unknown, expired, revoked, or sent in two ways.",
    word="invalid_api_key",
)
CREDENTIAL_IN_QUERY: Final = Fault(
    code="credential-in-query",
    status=400,
    title="A credential in the query string",
    detail="Query strings are logged: send it in a header, and revoke this one.",
    word="invalid_api_key",
)
FORBIDDEN: Final = Fault(
    code="forbidden",
    status=403,
    title="The credential does not allow this",
    detail="Ask whoever gave you the credential for the capability.",
    word="insufficient_permissions",
)
RATE_LIMITED: Final = Fault(
    code="rate-limited",
    status=429,
    title="Too many attempts",
    detail="Too many wrong credentials came from this address; a right one passes.",
    kind="requests",
    word="rate_limit_exceeded",
    repeat=False,
    after_s=60,
)
NOT_FOUND: Final = Fault(
    code="not-found",
    status=404,
    title="Nothing here",
    detail="There is nothing of this name that the credential may see.",
    word="not_found",
)
METHOD_NOT_ALLOWED: Final = Fault(
    code="method-not-allowed",
    status=405,
    title="Not with this method",
    detail="The `allow` header names the methods of this path.",
    word="method_not_allowed",
)
BODY_TOO_LARGE: Final = Fault(
    code="body-too-large",
    status=413,
    title="The body is too large",
    detail="A body has at most 2 MiB (2,097,152 bytes), or as few as `errors` says.",
    word="body_too_large",
)
BODY_TOO_SLOW: Final = Fault(
    code="body-too-slow",
    status=408,
    title="The body took too long",
    detail="A body must arrive within 30 seconds.",
    word="body_too_slow",
)
HEADERS_TOO_LARGE: Final = Fault(
    code="headers-too-large",
    status=431,
    title="The headers are too large",
    detail="All headers together have at most 16 KiB.",
    word="headers_too_large",
)
UNSUPPORTED_MEDIA_TYPE: Final = Fault(
    code="unsupported-media-type",
    status=415,
    title="Not this kind of body",
    detail="Send `content-type: application/json`, and no content-encoding.",
    word="unsupported_media_type",
)
INVALID_REQUEST: Final = Fault(
    code="invalid-request",
    status=422,
    title="The request is not valid",
    detail="`errors` names the fields, and what was expected there.",
    word="invalid_request",
)
NOT_READY: Final = Fault(
    code="not-ready",
    status=503,
    title="Not ready",
    detail="Nothing was lost; send the request again.",
    kind="server_error",
    word="not_ready",
    repeat=True,
    after_s=1,
)
OVERLOADED: Final = Fault(
    code="overloaded",
    status=503,
    title="Too many requests wait",
    detail="As many requests wait for their answers as may; send this one again.",
    kind="server_error",
    word="overloaded",
    repeat=True,
    after_s=2,
)
UNEXPECTED: Final = Fault(
    code="unexpected",
    status=500,
    title="Our fault",
    detail="Tell your operator the request id.",
    kind="server_error",
    word="unexpected",
)
