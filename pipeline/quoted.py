"""JSON that stands in a text: where its strings are, and what they mean."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import orjson

from pipeline.text import TextPart

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?', re.DOTALL)
_SCALAR: Final = re.compile(
    r"-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null"
)
_OF_SCALAR: Final = re.compile(r"[0-9A-Za-z.+-]++")
_OF_NUMBER: Final = frozenset("0123456789.+-eE")
_OPENS: Final = re.compile(r'"(?:\\[nrt]|\s)*[{\[]')
_AROUND: Final = "{}[],: \t\r\n"
Spans = tuple[list[int], list[int]]
"""Where strings begin, in order, and where each ends."""
_BESIDE: Final = 32
"""Characters of a number that are looked at beside what was found in it."""


def is_json(text: str) -> bool:
    """Whether a text as a whole is a JSON object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def holds_json(part: TextPart) -> bool:
    """Whether a part is JSON: a tool's arguments also where they are cut off."""
    return part.path[-1:] == ("arguments",) or is_json(part.text)


class Nested:
    """A text that is JSON, as tools' arguments are: which of its strings are, too.

    Such a string is one level deeper, and what is put into it is escaped twice. What is
    JSON inside of that is text.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def holds(self, place: int) -> bool:
        """Whether a place lies in a string that is JSON as a whole."""
        return _covered(self._spans, place)

    @cached_property
    def _spans(self) -> Spans:
        return _spans(
            found
            for found in _STRING.finditer(self._text)
            if _OPENS.match(found[0]) and _says_json(found[0])
        )


def _spans(found: Iterable[re.Match[str]]) -> Spans:
    spans = [each.span() for each in found]
    return [start for start, _ in spans], [end for _, end in spans]


def _covered(spans: Spans, place: int) -> bool:
    starts, ends = spans
    before = bisect_right(starts, place)
    return before > 0 and ends[before - 1] > place


def _says_json(string: str) -> bool:
    try:
        return is_json(orjson.loads(string))
    except orjson.JSONDecodeError:
        return False


class Quoted:
    """A part that may be JSON: it is read when something is first asked, and once."""

    def __init__(self, part: TextPart) -> None:
        self._part = part

    def meant(self, start: int, end: int) -> str:
        """What stands in a span: of a string in JSON, what its escapes mean."""
        value = self._part.text[start:end]
        if "\\" not in value or not self._json:
            return value
        try:
            told = orjson.loads(f'"{value}"')
        except orjson.JSONDecodeError:
            return value  # a piece of an escape, or more than one string
        return str(told)

    def whole(self, start: int, end: int) -> tuple[int, int]:
        """The number or word of JSON's that a span outside of its strings is about.

        Its sign, its fraction and its exponent are of it, and the brackets behind it
        are not. A span that is about no such one is given back.
        """
        text = self._part.text
        about = text[start:end].strip(_AROUND)
        if not _OF_SCALAR.fullmatch(about) or not self._json:
            return start, end
        first = text.index(about, start)
        last = first + len(about)
        least, most = max(0, first - _BESIDE), min(len(text), last + _BESIDE)
        while first > least and text[first - 1] in _OF_NUMBER:
            first -= 1
        while last < most and text[last] in _OF_NUMBER:
            last += 1
        return (first, last) if self.bare(first, last) else (start, end)

    def bare(self, start: int, end: int) -> bool:
        """Whether a span is a whole number or word of JSON's, outside its strings."""
        text = self._part.text
        if not _SCALAR.fullmatch(text, start, end) or not self._json:
            return False
        beside = text[max(0, start - 1) : start] + text[end : end + 1]
        return _OF_NUMBER.isdisjoint(beside) and not self._inside(start)

    def _inside(self, place: int) -> bool:
        return _covered(self._strings, place)

    @cached_property
    def _json(self) -> bool:
        return holds_json(self._part)

    @cached_property
    def _strings(self) -> Spans:
        return _spans(_STRING.finditer(self._part.text))
