"""Dialects: the languages of bodies, and where their text lies.

A body stays in its dialect from end to end; stages see text parts and channels. A new
dialect is one module with these functions, and one row of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from pipeline.dialects import openai_chat, openai_responses
from pipeline.errors import InvalidMessage
from pipeline.text import TextPart
from schemas.ids import RequestId
from schemas.requests import Dialect, Usage

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 131_072
"""In a body, at every depth: each stage walks over all of them."""

Json = dict[str, Any]


class Speaker(Protocol):
    """What a dialect knows; every function is pure, and takes a JSON object.

    Attributes:
        repeats: fields of a request that its answer repeats.
        calls: keys of an answer below which lies what a tool is called with.
    """

    repeats: tuple[str, ...]
    calls: frozenset[str]

    def check(self, body: Json) -> Sequence[str]:
        """What is wrong: paths with what was expected there, never what was found."""
        ...

    def model(self, body: Json) -> str:
        """The model that a checked body names."""
        ...

    def wants_stream(self, body: Json) -> bool:
        """Does a checked body ask for a stream?"""
        ...

    def unsupported(self, body: Json) -> Sequence[str]:
        """What a checked body asks for and we do not do; told as by :meth:`check`."""
        ...

    def person(self, body: Json) -> str | None:
        """For whom a checked body says that it is, so that they can be forgotten."""
        ...

    def parts(self, body: Json) -> tuple[TextPart, ...]:
        """All text of a request, in body order."""
        ...

    def attached(self, body: Json) -> bool:
        """Does a checked body hold what is not read as text: an image, a file?"""
        ...

    def outgoing(self, body: Json, model: str) -> Json:
        """The body for the provider: its own model name, and no stream."""
        ...

    def answer_parts(self, answer: Json) -> tuple[TextPart, ...] | None:
        """All text of an answer; None: it is no answer of this dialect."""
        ...

    def answered(self, asked: Json, answer: Json, request: RequestId) -> Json:
        """The answer as the caller gets it.

        Law: each string of it is a part of the answer, stands in a field of ``asked``
        that is repeated, or is a word or an id of the dialect.
        """
        ...

    def cut(self, answer: Json) -> bool:
        """Did the provider end this answer before it was whole?"""
        ...

    def usage(self, answer: Json) -> Usage:
        """Tokens, as far as the answer tells."""
        ...


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no JSON object; ``expected`` says what one looks like."""

    expected: str


SPEAKERS: Final[Mapping[Dialect, Speaker]] = {
    Dialect.OPENAI_CHAT: openai_chat.SPEAKER,
    Dialect.OPENAI_RESPONSES: openai_responses.SPEAKER,
}


def read(raw: bytes) -> Json | Malformed:
    """A JSON object (RFC 8259) of bounded depth and number of values.

    Lone surrogates and infinite numbers are refused; of equal names the last counts.
    What is sent on is :func:`written` from here, so it is what was screened.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Malformed("a JSON object in UTF-8")
    if not isinstance(body, dict):
        return Malformed("a JSON object")
    return _beyond(body) or body


def _beyond(body: Json) -> Malformed | None:
    """What of it is more than we walk over, level by level."""
    level: list[Json | list[Any]] = [body]
    values = 0
    for _ in range(MAX_DEPTH):
        values += sum(map(len, level))
        if values > MAX_VALUES:
            return Malformed(f"a JSON object of at most {MAX_VALUES} values")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return None
    return Malformed(f"a JSON object nested at most {MAX_DEPTH} deep")


def strings(value: object) -> int:
    """How many strings stand below a value; names do not count."""
    if isinstance(value, str):
        return 1
    if not isinstance(value, dict | list):
        return 0
    return sum(map(strings, value.values() if isinstance(value, dict) else value))


def written(body: Json) -> bytes:
    """The bytes of a body, as they are sealed and sent."""
    return orjson.dumps(body)


def replace(body: Json, parts: Sequence[TextPart]) -> Json:
    """The body with these texts in the places that they came from.

    Law: ``replace(b, parts(b)) == b``. Only what lies on a part's path is copied.
    """
    fresh: Json = dict(body)
    copied: set[tuple[str | int, ...]] = {()}
    for part in parts:
        _put(fresh, part, copied)
    return fresh


def _put(fresh: Json, part: TextPart, copied: set[tuple[str | int, ...]]) -> None:
    place: Any = fresh
    for depth, step in enumerate(part.path[:-1], start=1):
        if part.path[:depth] not in copied:
            place[step] = place[step].copy()
            copied.add(part.path[:depth])
        place = place[step]
    place[part.path[-1]] = part.text


@dataclass(frozen=True, slots=True)
class Opened:
    """A body that was checked at admission, and its text."""

    body: Json
    parts: tuple[TextPart, ...]


def opened(dialect: Dialect, raw: bytes) -> Opened:
    """What was sealed as :func:`written`.

    Raises:
        InvalidMessage: it is no body of this dialect; nothing unchecked is handled.
    """
    body = read(raw)
    if isinstance(body, Malformed) or SPEAKERS[dialect].check(body):
        raise InvalidMessage("expected a body that was checked", "content")
    return Opened(body, SPEAKERS[dialect].parts(body))
