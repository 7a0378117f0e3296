"""OpenAI's chat completions: what a body may be, and where its text lies.

Of what we do not know most passes. What names something that is kept at the provider is
refused, for all tenants share a key there; and so is what the provider would do itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

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
from schemas.requests import Usage

MAX_MESSAGES: Final = 4096

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
OURS: Final = ("function", "custom")
"""Tools that the caller runs. What others did, no guard of ours would see."""
NULL: Final = (
    "top_logprobs",
    *("web_search_options", "search_parameters", "data_sources", "plugins"),
    *("models", "fallbacks", "api_base", "base_url", "api_key"),
)
"""Searches of the provider's own, by several providers' names; and what an aggregator
takes for another model, or another place, than the route has."""
TEXTS: Final = (
    "text", "refusal", "input_text", "output_text", "thinking", "reasoning",
)  # fmt: skip
"""Parts of a message that are text; what providers call their sounds, films and images
has no end."""
FILES: Final = ("file", "input_file", "image_file")
"""Parts of a message that may name a file."""
CUT: Final = ("length", "content_filter")
OWN: Final = Own(
    words=frozenset({
        "model", "role", "type", "id", "tool_call_id", "finish_reason", "format",
        "detail", "service_tier", "reasoning_effort", "verbosity", "effort", "mode",
        "prompt_cache_key", "file_id", "encrypted_content", "object",
        "system_fingerprint",
    }),
    encoded=frozenset({"url", "data", "file_data"}),
    attached=frozenset({"image_url", "input_audio", "file"}),
)  # fmt: skip

FIELDS: Final[Mapping[str, Kind]] = {
    "stream": BOOLEAN,
    "store": BOOLEAN,
    "logprobs": BOOLEAN,
    "parallel_tool_calls": BOOLEAN,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "max_tokens": INTEGER,
    "max_completion_tokens": INTEGER,
    "n": INTEGER,
    "seed": INTEGER,
    "top_logprobs": INTEGER,
    "user": STRING,
    "safety_identifier": STRING,
    "service_tier": STRING,
    "reasoning_effort": STRING,
    "response_format": OBJECT,
    "logit_bias": OBJECT,
    "metadata": OBJECT,
    "stream_options": OBJECT,
    "tools": OBJECTS,
    "functions": OBJECTS,
    "tool_choice": STRING_OR_OBJECT,
    "function_call": STRING_OR_OBJECT,
    "stop": STRINGS,
    "modalities": STRINGS,
}
"""What we know of a body's fields beside model and messages; null is as absent."""

MESSAGE_FIELDS: Final[Mapping[str, Kind]] = {
    "name": STRING,
    "tool_call_id": STRING,
    "refusal": STRING,
    "tool_calls": OBJECTS,
    "function_call": OBJECT,
}


class OpenAIChat(OpenAI):
    """``POST /v1/chat/completions``."""

    repeats: tuple[str, ...] = ()
    calls: frozenset[str] = frozenset({"tool_calls", "function_call"})

    def check(self, body: Json) -> Sequence[str]:
        """See :class:`pipeline.dialects.Speaker`. Unknown fields pass through."""
        return [*check_fields(body, FIELDS), *_check_messages(body.get("messages"))]

    def unsupported(self, body: Json) -> Sequence[str]:
        """Log probabilities, what is kept or done at the provider, another route.

        Log probabilities spell the answer once more, in tokens and in bytes: no guard
        reads a value that is cut into tokens.
        """
        found = ["logprobs: expected false"] if body.get("logprobs") else []
        named = (name for name in NULL if body.get(name) is not None)
        return [*found, *map(_not_null, named), *_other_tools(body), *_kept(body)]

    def parts(self, body: Json) -> tuple[TextPart, ...]:
        """Every string of the body that is no word of the dialect, known or not.

        What we do not know may hold a name as well as what we know. The model is a
        route's name, whatever it looks like: no caller makes it up, and it stays here.
        """
        found: list[TextPart] = []
        for name, value in body.items():
            if name == "model":
                continue
            if name == "messages":
                for index, message in enumerate(value):
                    channel = CHANNELS[message["role"]]
                    found += texts(message, (name, index), channel, OWN)
            else:
                channel = Channel.TOOL if name in TOOLS else Channel.USER
                found += texts(value, (name,), channel, OWN)
        return tuple(found)

    def attached(self, body: Json) -> bool:
        """Anything below the body that is no text, or a part that is none we know."""
        return attached(body, OWN) or any(map(_unread, body["messages"]))

    def outgoing(self, body: Json, model: str) -> Json:
        """Without the stream and without what names people to the provider."""
        dropped = {"stream", "stream_options", "user", "safety_identifier", "metadata"}
        kept = {name: value for name, value in body.items() if name not in dropped}
        return {**kept, "model": model, "store": False}

    def answer_parts(self, answer: Json) -> tuple[TextPart, ...] | None:
        """Every string of the answer that is no word of the dialect."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        if not all(_is_choice(choice) for choice in choices):
            return None
        return tuple(texts(answer, (), Channel.COMPLETION, OWN))

    def answered(self, asked: Json, answer: Json, _: RequestId) -> Json:
        """The provider's, and the model that was asked for; no log probabilities."""
        choices = [
            {**choice, "logprobs": None} if choice.get("logprobs") else choice
            for choice in answer["choices"]
        ]
        return {**answer, "choices": choices, "model": self.model(asked)}

    def cut(self, answer: Json) -> bool:
        """``finish_reason`` of any choice: ``length``, or ``content_filter``."""
        return any(choice.get("finish_reason") in CUT for choice in answer["choices"])

    def usage(self, answer: Json) -> Usage:
        """``usage.prompt_tokens`` and ``usage.completion_tokens``."""
        usage = answer.get("usage")
        given: Json = usage if isinstance(usage, dict) else {}
        return Usage(
            input_tokens=count(given.get("prompt_tokens")),
            output_tokens=count(given.get("completion_tokens")),
        )


SPEAKER: Final = OpenAIChat()


def _is_choice(choice: object) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def _check_messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_MESSAGES:
        yield f"messages: expected an array of 1 to {MAX_MESSAGES} messages"
        return
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            yield f"messages.{index}: expected an object"
            continue
        yield from _check_message(message, f"messages.{index}")


def _check_message(message: Json, where: str) -> Iterator[str]:
    role = message.get("role")
    if not isinstance(role, str) or role not in CHANNELS:
        yield f"{where}.role: expected one of {', '.join(CHANNELS)}"
    yield from _check_content(message.get("content"), f"{where}.content")
    yield from wrong(message, MESSAGE_FIELDS, f"{where}.")


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


def _not_null(where: str) -> str:
    return f"{where}: expected null"


def _other_tools(body: Json) -> Iterator[str]:
    for index, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type")
        # Some providers have searches that only their name's key tells.
        plain = kind is None and any(name in tool for name in OURS)
        if kind not in OURS and not plain:
            yield f"tools.{index}.type: expected one of {', '.join(OURS)}"


def _kept(body: Json) -> Iterator[str]:
    """What names something that is kept at the provider: voices, sounds, files."""
    audio = body.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("voice"), dict):
        yield "audio.voice: expected a string"
    for index, message in enumerate(body["messages"]):
        where = f"messages.{index}"
        if message.get("audio") is not None:
            yield _not_null(f"{where}.audio")
        parts = message.get("content")
        for nth, part in enumerate(parts if isinstance(parts, list) else ()):
            yield from map(_not_null, _files(part, f"{where}.content.{nth}"))


def _unread(message: Json) -> bool:
    parts = message.get("content")
    return isinstance(parts, list) and any(part["type"] not in TEXTS for part in parts)


def _files(part: Json, where: str) -> Iterator[str]:
    if part.get("file_id") is not None:
        yield f"{where}.file_id"
    for name in FILES:
        inner = part.get(name)
        if isinstance(inner, dict) and inner.get("file_id") is not None:
            yield f"{where}.{name}.file_id"
