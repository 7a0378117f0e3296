"""What both of OpenAI's dialects have: the model, the stream, the person."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.dialects.kinds import Kind, wrong

Json = dict[str, Any]

MAX_MODEL_CHARS: Final = 128


class OpenAI:
    """The part of a :class:`pipeline.dialects.Speaker` that does not differ."""

    def model(self, body: Json) -> str:
        """The model that the caller named."""
        return str(body["model"])

    def wants_stream(self, body: Json) -> bool:
        """``stream: true``."""
        return body.get("stream") is True

    def person(self, body: Json) -> str | None:
        """``safety_identifier``, or what it replaces, ``user``."""
        return body.get("safety_identifier") or body.get("user") or None


def check_fields(body: Json, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """The model, and the fields that are known."""
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARS:
        yield f"model: expected a string of 1 to {MAX_MODEL_CHARS} characters"
    yield from wrong(body, kinds)
