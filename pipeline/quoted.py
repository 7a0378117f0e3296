"""JSON that stands in a text: where its strings are, and what they mean."""

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

import orjson

from pipeline.text import TextPart

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?', re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]++")
_OF_NUMBER: Final = frozenset("0123456789.+-eE")


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

    def bare(self, start: int, end: int) -> bool:
        """Whether a span is a whole number of JSON's, outside its strings."""
        text = self._part.text
        if not _NUMBER.fullmatch(text, start, end) or not self._json:
            return False
        beside = text[max(0, start - 1) : start] + text[end : end + 1]
        return _OF_NUMBER.isdisjoint(beside) and not self._inside(start)

    def _inside(self, place: int) -> bool:
        starts, ends = self._strings
        before = bisect_right(starts, place)
        return before > 0 and ends[before - 1] > place

    @cached_property
    def _json(self) -> bool:
        return holds_json(self._part)

    @cached_property
    def _strings(self) -> tuple[list[int], list[int]]:
        spans = [found.span() for found in _STRING.finditer(self._part.text)]
        return [start for start, _ in spans], [end for _, end in spans]
