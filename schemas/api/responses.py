"""OpenAI's response object, where it is ours to tell."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from schemas.base import Schema


class Status(StrEnum):
    """How a response stands."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ResponseError(Schema):
    """Why a response failed.

    Attributes:
        code: one of OpenAI's words.
        reason: our dotted word; beside what OpenAI has.
    """

    code: str
    message: str
    reason: str | None = None


class IncompleteDetails(Schema):
    """Why an answer is not whole, in OpenAI's word."""

    reason: str


class ResponseDocument(Schema):
    """A response without an answer.

    What the caller asked for is repeated with the answer alone: until then nothing of
    it lies where this is read from.
    """

    id: str
    object: str = "response"
    created_at: int
    status: Status
    background: bool
    model: str
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: None = None
    metadata: Mapping[str, str] = {}
    output: tuple[Any, ...] = ()
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    temperature: None = None
    text: Mapping[str, Any] = {"format": {"type": "text"}}
    tool_choice: str = "auto"
    tools: tuple[Any, ...] = ()
    top_p: None = None
    usage: None = None


class ResponseDeleted(Schema):
    """A response that can be read no more."""

    id: str
    object: str = "response"
    deleted: bool = True
