"""OpenAI's chat completions: what a body may be, and where its text lies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.text import Channel, TextPart
from schemas.requests import Usage

Json = dict[str, Any]
Path = tuple[str | int, ...]

MAX_MESSAGES: Final = 4096
MAX_MODEL_CHARS: Final = 128
CHANNELS: Final[Mapping[str, Channel]] = {
    "system": Channel.SYSTEM,
    "developer": Channel.SYSTEM,
    "user": Channel.USER,
    "assistant": Channel.USER,
    "tool": Channel.TOOL,
    "function": Channel.TOOL,
}
"""An assistant's turn is what the caller says that it was: so it is the caller's."""

TOOLS: Final = ("tools", "functions")
STRUCTURE: Final = frozenset(
    {
        "model", "role", "type", "id", "tool_call_id", "finish_reason", "format",
        "detail", "service_tier", "reasoning_effort", "verbosity", "effort", "mode",
        "prompt_cache_key", "file_id", "encrypted_content",
    }
)  # fmt: skip
"""Keys whose strings are the dialect's own words and ids."""

_NUMBERS: Final = (
    "temperature", "top_p", "presence_penalty", "frequency_penalty",
)  # fmt: skip
_STRINGS: Final = ("user", "safety_identifier")
_COUNTS: Final = ("max_tokens", "max_completion_tokens", "n", "seed", "top_logprobs")


class OpenAIChat:
    """``POST /v1/chat/completions``."""

    def check(self, body: Json) -> Sequence[str]:
        """See :class:`pipeline.dialects.Speaker`. Unknown fields pass through."""
        return [*_check_fields(body), *_check_messages(body.get("messages"))]

    def model(self, body: Json) -> str:
        """The model that the caller named."""
        return str(body["model"])

    def wants_stream(self, body: Json) -> bool:
        """``stream: true``."""
        return body.get("stream") is True

    def person(self, body: Json) -> str | None:
        """``safety_identifier``, or what it replaces, ``user``."""
        return body.get("safety_identifier") or body.get("user") or None

    def parts(self, body: Json) -> tuple[TextPart, ...]:
        """Every string of the body that is no word of the dialect, known or not.

        What we do not know may hold a name as well as what we know.
        """
        found: list[TextPart] = []
        for name, value in body.items():
            if name == "messages":
                for index, message in enumerate(value):
                    channel = CHANNELS[message["role"]]
                    found += _text(message, (name, index), channel)
            else:
                channel = Channel.TOOL if name in TOOLS else Channel.USER
                found += _text(value, (name,), channel)
        return tuple(found)

    def outgoing(self, body: Json, model: str) -> Json:
        """Without the stream and without what names people to the provider."""
        dropped = {"stream", "stream_options", "user", "safety_identifier", "metadata"}
        kept = {name: value for name, value in body.items() if name not in dropped}
        return {**kept, "model": model, "store": False}

    def answer_parts(self, answer: Json) -> tuple[TextPart, ...] | None:
        """Every string of every choice that is no word of the dialect."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        if not all(_is_choice(choice) for choice in choices):
            return None
        return tuple(_text(choices, ("choices",), Channel.COMPLETION))

    def usage(self, answer: Json) -> Usage:
        """``usage.prompt_tokens`` and ``usage.completion_tokens``."""
        usage = answer.get("usage")
        given: Json = usage if isinstance(usage, dict) else {}
        return Usage(
            input_tokens=_count(given.get("prompt_tokens")),
            output_tokens=_count(given.get("completion_tokens")),
        )


SPEAKER: Final = OpenAIChat()


def _is_choice(choice: object) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_fields(body: Json) -> Iterator[str]:
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARS:
        yield f"model: expected a string of 1 to {MAX_MODEL_CHARS} characters"
    if not isinstance(body.get("stream", False), bool | None):
        yield "stream: expected a boolean"
    for name in _NUMBERS:
        if body.get(name) is not None and not _is_number(body[name]):
            yield f"{name}: expected a number"
    for name in _COUNTS:
        if body.get(name) is not None and type(body[name]) is not int:
            yield f"{name}: expected an integer"
    for name in _STRINGS:
        if not isinstance(body.get(name), str | None):
            yield f"{name}: expected a string"
    tools = body.get("tools")
    if tools is not None and not _is_objects(tools):
        yield "tools: expected an array of objects"


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _check_messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_MESSAGES:
        yield f"messages: expected an array of 1 to {MAX_MESSAGES} messages"
        return
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            yield f"messages.{index}: expected an object"
            continue
        if message.get("role") not in CHANNELS:
            yield f"messages.{index}.role: expected one of {', '.join(CHANNELS)}"
        yield from _check_content(message.get("content"), f"messages.{index}.content")
        yield from _check_calls(message.get("tool_calls"), f"messages.{index}")


def _check_content(content: object, where: str) -> Iterator[str]:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        yield f"{where}: expected a string or an array of parts"
        return
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            yield f"{where}.{index}: expected an object with a type"
        elif part["type"] == "text" and not isinstance(part.get("text"), str):
            yield f"{where}.{index}.text: expected a string"


def _check_calls(calls: object, where: str) -> Iterator[str]:
    if calls is not None and not _is_objects(calls):
        yield f"{where}.tool_calls: expected an array of objects"


def _text(value: object, path: Path, channel: Channel) -> Iterator[TextPart]:
    """Every string below ``value`` that is not one of the dialect's own words."""
    if isinstance(value, str):
        if path[-1] not in STRUCTURE and not value.startswith("data:"):
            yield TextPart(path, channel, value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _text(inner, (*path, name), channel)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _text(inner, (*path, index), channel)
