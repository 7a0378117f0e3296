"""Why a request was blocked or failed: one word each, in every place that tells it."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Reasons that are not a screening's own (those are dotted, ``security.…``)."""

    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    GUARD_UNAVAILABLE = "guard_unavailable"
    KEY_DESTROYED = "key_destroyed"
    POISON = "poison"
    TOO_LARGE = "too_large"
    UPSTREAM_BUSY = "upstream_busy"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_GARBAGE = "upstream_garbage"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_REFUSED = "upstream_refused"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_UNKNOWN = "upstream_unknown"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"


CUT_SHORT: Final = "cut_short"
"""Of a completed request: the provider ended its answer before it was whole."""
CIRCUMSTANTIAL = frozenset(
    {
        CUT_SHORT,
        Reason.CANCELLED,
        Reason.DEADLINE_EXCEEDED,
        Reason.GUARD_UNAVAILABLE,
        Reason.KEY_DESTROYED,
        Reason.TOO_LARGE,
        Reason.UPSTREAM_BUSY,
        Reason.UPSTREAM_UNKNOWN,
    }
)
"""Reasons that a redelivery may not find again: they are about when, not about what,
or about what a version of ours can carry or can tell.

What follows from one of them has an id of its own, so that the ledger does not take two
honest accounts for a contradiction.
"""
