"""OpenAI's responses: what a body may be, and where its text lies.

The API keeps state at the provider, under a key that all tenants share. So what is not
known here is refused, and so is whatever names something that is kept there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pipeline.dialects.kinds import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    OBJECTS,
    STRING,
    STRING_OR_OBJECT,
    STRINGS,
    Kind,
    count,
    wrong,
)
from pipeline.dialects.openai import Json, OpenAI, check_fields
from pipeline.dialects.strings import Own, attached, texts
from pipeline.text import Channel, TextPart
from schemas.ids import RequestId
from schemas.problems import FIELD
from schemas.requests import Usage

MAX_ITEMS: Final = 4096

CHANNELS: Final[Mapping[str, Channel]] = {
    "system": Channel.SYSTEM,
    "developer": Channel.SYSTEM,
    "user": Channel.USER,
    "assistant": Channel.USER,
}
"""An assistant's turn is what the caller says that it was: so it is the caller's."""

OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")
ITEMS: Final = (
    "message", "function_call", "custom_tool_call", "reasoning", *OUTPUTS,
)  # fmt: skip
"""Items of an input; one without a type is a message."""
PARTS: Final = (
    "input_text", "output_text", "refusal", "reasoning_text", "input_image",
    "input_file",
)  # fmt: skip
TOOLS: Final = ("function", "custom")
"""Tools that the caller runs. What others did, no guard of ours would see."""
INCLUDED: Final = "reasoning.encrypted_content"

OWN: Final = Own(
    words=frozenset({"model", "role", "type", "id", "call_id", "status", "object"}),
    encoded=frozenset({"image_url", "file_data"}),
    attached=frozenset({"input_image", "input_file"}),
    sealed=frozenset({"encrypted_content"}),
)

FIELDS: Final[Mapping[str, Kind]] = {
    "background": BOOLEAN,
    "include": STRINGS,
    "instructions": STRING,
    "max_output_tokens": INTEGER,
    "max_tool_calls": INTEGER,
    "metadata": OBJECT,
    "parallel_tool_calls": BOOLEAN,
    "prompt_cache_key": STRING,
    "reasoning": OBJECT,
    "safety_identifier": STRING,
    "service_tier": STRING,
    "store": BOOLEAN,
    "stream": BOOLEAN,
    "temperature": NUMBER,
    "text": OBJECT,
    "tool_choice": STRING_OR_OBJECT,
    "tools": OBJECTS,
    "top_p": NUMBER,
    "truncation": STRING,
    "user": STRING,
}
"""What a body may hold beside model and input; null is as absent."""

CALL_FIELDS: Final[Mapping[str, Kind]] = {
    "call_id": STRING,
    "name": STRING,
    "arguments": STRING,
    "summary": OBJECTS,
    "encrypted_content": STRING,
}

REPEATED: Final[Mapping[str, Any]] = {
    "background": False,
    "conversation": None,
    "instructions": None,
    "metadata": {},
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "user": None,
}
"""Fields of a request that its response repeats, as the caller wrote them; and what
stands there where the request has none."""

TOLD: Final = (
    "status", "incomplete_details", "output", "usage", "max_output_tokens",
    "max_tool_calls", "parallel_tool_calls", "reasoning", "service_tier",
    "temperature", "top_p", "truncation",
)  # fmt: skip
"""Fields of a response that are the provider's to tell."""

FINAL: Final = (None, "completed", "incomplete")
_ID: Final = re.compile(r"resp_([0-9a-f]{32})")


def response_id(request: RequestId) -> str:
    """The id of a request's response. Law: ``request_of(response_id(r)) == r``."""
    return "resp_" + request.replace("-", "")


def request_of(response: str) -> RequestId | None:
    """Whose response an id names; None: it is no id of ours."""
    found = _ID.fullmatch(response)
    return RequestId(str(UUID(found[1]))) if found else None


class OpenAIResponses(OpenAI):
    """``POST /v1/responses``."""

    repeats: tuple[str, ...] = tuple(REPEATED)
    calls: frozenset[str] = frozenset({"arguments", "input"})

    def check(self, body: Json) -> Sequence[str]:
        """See :class:`pipeline.dialects.Speaker`."""
        return [*check_fields(body, FIELDS), *_check_input(body.get("input"))]

    def unsupported(self, body: Json) -> Sequence[str]:
        """Fields, tools, items and parts that are none of those above."""
        known = {*FIELDS, "model", "input"}
        named = (name for name, value in body.items() if value is not None)
        found = [_unknown(name) for name in named if name not in known]
        return [*found, *_other_tools(body), *_other_items(body)]

    def parts(self, body: Json) -> tuple[TextPart, ...]:
        """Every string of the body that is no word of the dialect.

        The model is a route's name, which stays here.
        """
        found: list[TextPart] = []
        for name, value in body.items():
            if name == "model":
                continue
            if name == "input" and isinstance(value, list):
                for index, item in enumerate(value):
                    found += texts(item, (name, index), _channel(item), OWN)
            else:
                found += texts(value, (name,), _FIELD_CHANNELS.get(name, USER), OWN)
        return tuple(found)

    def attached(self, body: Json) -> bool:
        """Anything below the body that is no text."""
        return attached(body, OWN)

    def outgoing(self, body: Json, model: str) -> Json:
        """In the foreground, kept nowhere, and without what names people."""
        dropped = {"background", "stream", "user", "safety_identifier", "metadata"}
        kept = {name: value for name, value in body.items() if name not in dropped}
        return {**kept, "model": model, "store": False}

    def answer_parts(self, answer: Json) -> tuple[TextPart, ...] | None:
        """Every string that is the provider's to tell.

        None also for a response that did not end well: it has no answer.
        """
        output = answer.get("output")
        if not isinstance(output, list) or not all(isinstance(o, dict) for o in output):
            return None
        if answer.get("status") not in FINAL or answer.get("error") is not None:
            return None
        given = {name: answer[name] for name in TOLD if name in answer}
        return tuple(texts(given, (), Channel.COMPLETION, OWN))

    def answered(self, asked: Json, answer: Json, request: RequestId) -> Json:
        """What the provider told, and what the caller asked for, under our id.

        No log probabilities: no guard reads a value that is cut into tokens.
        """
        output = [_unspelt(item) for item in answer["output"]]
        return {
            "id": response_id(request),
            "object": "response",
            "model": self.model(asked),
            "error": None,
            "incomplete_details": None,
            "parallel_tool_calls": True,
            **{name: _given(asked, name) for name in REPEATED},
            **{name: answer[name] for name in TOLD if name in answer},
            "output": output,
            "status": answer.get("status") or "completed",
        }

    def cut(self, answer: Json) -> bool:
        """``status``: ``incomplete``."""
        return answer.get("status") == "incomplete"

    def usage(self, answer: Json) -> Usage:
        """``usage.input_tokens`` and ``usage.output_tokens``."""
        usage = answer.get("usage")
        given: Json = usage if isinstance(usage, dict) else {}
        return Usage(
            input_tokens=count(given.get("input_tokens")),
            output_tokens=count(given.get("output_tokens")),
        )


SPEAKER: Final = OpenAIResponses()
USER: Final = Channel.USER
_FIELD_CHANNELS: Final = {"instructions": Channel.SYSTEM, "tools": Channel.TOOL}


def _unknown(name: str) -> str:
    named = FIELD.fullmatch(name) is not None
    return f"{name}: expected null" if named else "body: expected fields that are known"


def _kind(item: Json) -> object:
    return item.get("type") or "message"


def _given(asked: Json, name: str) -> object:
    """A field as its caller wrote it; null is as absent."""
    return REPEATED[name] if asked.get(name) is None else asked[name]


def _unspelt(item: Json) -> Json:
    """An item of an answer without the log probabilities of its parts."""
    if not isinstance(item.get("content"), list):
        return item
    content = [
        {**part, "logprobs": []}
        if isinstance(part, dict) and part.get("logprobs")
        else part
        for part in item["content"]
    ]
    return {**item, "content": content}


def _channel(item: Json) -> Channel:
    if _kind(item) in OUTPUTS:
        return Channel.TOOL
    return CHANNELS[item["role"]] if _kind(item) == "message" else USER


def _check_input(given: object) -> Iterator[str]:
    if isinstance(given, str):
        return
    if not isinstance(given, list) or not 0 < len(given) <= MAX_ITEMS:
        yield f"input: expected a string or an array of 1 to {MAX_ITEMS} items"
        return
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            yield f"input.{index}: expected an object"
            continue
        yield from _check_item(item, f"input.{index}")


def _check_item(item: Json, where: str) -> Iterator[str]:
    kind = _kind(item)
    if not isinstance(kind, str):
        yield f"{where}.type: expected a string"
    if kind == "message":
        role = item.get("role")
        if not isinstance(role, str) or role not in CHANNELS:
            yield f"{where}.role: expected one of {', '.join(CHANNELS)}"
        yield from _check_content(item.get("content"), f"{where}.content")
    elif kind in OUTPUTS:
        yield from _check_content(item.get("output"), f"{where}.output")
    yield from wrong(item, CALL_FIELDS, f"{where}.")


def _check_content(content: object, where: str) -> Iterator[str]:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        yield f"{where}: expected a string or an array of parts"
        return
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            yield f"{where}.{index}: expected an object with a type"
        elif not isinstance(part.get("text", ""), str):
            yield f"{where}.{index}.text: expected a string"


def _other_tools(body: Json) -> Iterator[str]:
    for index, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") not in TOOLS:
            yield f"tools.{index}.type: expected one of {', '.join(TOOLS)}"
    included = body.get("include") or ()
    if any(each != INCLUDED for each in included):
        yield f"include: expected an array that holds {INCLUDED} alone"


def _other_items(body: Json) -> Iterator[str]:
    items = body["input"] if isinstance(body["input"], list) else ()
    for index, item in enumerate(items):
        if _kind(item) not in ITEMS:
            yield f"input.{index}.type: expected one of {', '.join(ITEMS)}"
        for field in ("content", "output"):
            parts = item.get(field)
            if isinstance(parts, list):
                yield from _other_parts(parts, f"input.{index}.{field}")


def _other_parts(parts: Sequence[Any], where: str) -> Iterator[str]:
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or part.get("type") not in PARTS:
            yield f"{where}.{index}.type: expected one of {', '.join(PARTS)}"
        elif part.get("file_id") is not None:
            yield f"{where}.{index}.file_id: expected null"
