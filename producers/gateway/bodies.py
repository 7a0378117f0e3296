"""Reading a request: its body within bounds, its trace, its idempotency key."""

import asyncio
from typing import Final

from starlette.requests import Request

from pipeline.admission import NAME, TRACEPARENT
from pipeline.ports.system import Entropy
from producers.faults import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    INVALID_REQUEST,
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
)

BODY_WITHIN_S: Final = 30.0


async def body(
    request: Request, limit: int, *, media_type: str = "application/json"
) -> bytes | Fault:
    """The body, counted while it comes.

    Raises:
        ClientDisconnect: the client went away first.
    """
    if _encoded(request) or _media_type(request) != media_type:
        return UNSUPPORTED_MEDIA_TYPE
    too_large = BODY_TOO_LARGE.about(f"body: expected at most {limit} bytes")
    if _announced(request) > limit:
        return too_large
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                read += chunk
                if len(read) > limit:
                    return too_large
    except TimeoutError:
        return BODY_TOO_SLOW
    return bytes(read)


def has_body(request: Request) -> bool:
    """Does it say that a body follows? What its type is, it may have left out."""
    length = request.headers.get("content-length", "0")
    return length.strip("0") != "" or "transfer-encoding" in request.headers


def _encoded(request: Request) -> bool:
    return request.headers.get("content-encoding", "identity").lower() != "identity"


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length[:18]) if length.isdecimal() else 0  # 18 digits are too many too


def idempotency_key(request: Request) -> str | Fault | None:
    """``Idempotency-Key``: 1 to 255 visible ASCII characters; None without one."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) == 1 and NAME.fullmatch(given[0]):
        return given[0]
    return INVALID_REQUEST.about(
        "Idempotency-Key: expected 1 to 255 visible ASCII characters, once"
    )


def repeats(request: Request) -> bool:
    """Did it announce, by an ``Idempotency-Key``, that it may be sent again?"""
    return "idempotency-key" in request.headers


def traceparent(request: Request, entropy: Entropy) -> str:
    """The caller's W3C traceparent, or a new one where it sent none that is valid."""
    given = request.headers.get("traceparent", "")
    if TRACEPARENT.fullmatch(given):
        return given
    return f"00-{entropy.bytes(16).hex()}-{entropy.bytes(8).hex()}-01"
