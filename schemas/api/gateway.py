"""What the gateway answers, beyond what dialects prescribe."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.base import Schema
from schemas.requests import Decision, Retention, Usage


class OpenAIErrorDetail(Schema):
    """What OpenAI's SDKs read from an error; ``reason`` and below are ours.

    Attributes:
        param: the path of the first field that is wrong.
        reason: why a request was blocked or failed, in our dotted words.
        errors: paths with what was expected there, never what was found.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    reason: str | None = None
    request_id: str
    errors: tuple[str, ...] = ()


class OpenAIError(Schema):
    """OpenAI's error body."""

    error: OpenAIErrorDetail


class State(StrEnum):
    """How a request stands. ``rejected``: it was never accepted."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class AnswerState(StrEnum):
    """Where the answer is: ``destroyed`` when its key is."""

    NONE = "none"
    AVAILABLE = "available"
    DESTROYED = "destroyed"


class Guards(Schema):
    """Which guards had to run, and which ran."""

    required: tuple[str, ...]
    ran: tuple[str, ...]


class RequestDocument(Schema):
    """``GET /v1/requests/{id}``.

    Attributes:
        model: the model that was asked for.
        reason: why it was rejected, blocked or failed.
        answer: the body that the caller got, in its own dialect.
    """

    id: str
    object: str = "request"
    state: State
    reason: str | None = None
    model: str | None = None
    dialect: str | None = None
    decisions: tuple[Decision, ...] = ()
    guards: Guards | None = None
    usage: Usage | None = None
    retention: Retention | None = None
    accepted_at: datetime | None = None
    deadline: datetime | None = None
    finished_at: datetime | None = None
    answer_state: AnswerState = AnswerState.NONE
    answer: Any = None


class AccessToken(Schema):
    """RFC 6749 section 5.1."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a type, not a token
    expires_in: int
    scope: str


class OAuthError(Schema):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str
