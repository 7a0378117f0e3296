"""Problem documents (RFC 9457): one vocabulary for every error we answer with."""

import re
from typing import Annotated, Final

from pydantic import Field

from schemas.base import Schema

TYPE_BASE = "https://sluice.dev/problems/"
FIELD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a field or its path looks like; whatever else stands there is not told again."""


class Problem(Schema):
    """``application/problem+json``. ``detail`` says what to do, never what was sent.

    Attributes:
        code: the last segment of ``type``, e.g. ``invalid-request``.
        request_id: the request's id, when one was given.
    """

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    request_id: str | None = None
    errors: tuple[str, ...] = ()


def problem(
    code: str,
    status: int,
    title: str,
    detail: str,
    *,
    request_id: str | None = None,
    errors: tuple[str, ...] = (),
) -> Problem:
    """A problem of ours; ``errors`` are field paths with what was expected there."""
    return Problem(
        type=TYPE_BASE + code,
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=errors,
    )
