"""Links in a text of an answer: where a value would be carried away.

What renders an answer decides what is a link, so this errs on the side of links: an
address runs to the next white space, whatever stands in it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import Final

_ADDRESS: Final = (
    r"(?:\\?/){2}|www\.|(?:data:[a-z]+\\?/|mailto:|javascript:)"
    r"|(?<![a-z0-9.-])[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}\.[a-z]{2,24}"
    r"(?::[0-9]{1,5})?\\?[/?]"
)
_SCHEME: Final = r"(?:[a-z][a-z0-9+.-]{0,30}:)?"
_BARE: Final = re.compile(_ADDRESS, re.IGNORECASE)
_WORD: Final = re.compile(r"(?:[^\s/?:.]*+(?:(?<![wW])\.)?\s++)*(\S*+)")
"""A word, behind all those that hold no sign of an address.

Linear: it matches everywhere, so it never goes back.

The point that ends a sentence is none, but ``www.`` is.
"""
_SIGNS: Final = ("/", "?", ":", "www.")
"""Every address has one of these: what has none is not read at all."""
_BARE_IN_JSON: Final = re.compile(
    # A string that begins with an address is one to its end; another's ends at a space.
    rf"(?<=\"){_SCHEME}(?:{_ADDRESS})(?:[^\"\\\n]|\\.)*"
    rf"|(?:{_ADDRESS})(?:[^\"\\\s]|\\[^nrt])*",
    re.IGNORECASE,
)
_ATTRIBUTE: Final = re.compile(
    r"(?:src|srcset|href|poster|ping|formaction)\s{0,4}=\s{0,4}"
    r"(?:\\?\"[^\"\n]*|\\?'[^'\n]*|[^\s\"']\S*)",
    re.IGNORECASE,
)
_MARKDOWN: Final = re.compile(r"\]\(")
_PAREN: Final = re.compile(r"[()\n]")
_TOKEN_END: Final = re.compile(r"(?<![0-9])>|\n")


class Links:
    """The links of one text, read once, when they are first asked for.

    Law: whether a link is open at a place follows from its line up to there.
    """

    def __init__(self, text: str, *, in_json: bool = False) -> None:
        self._text = text
        self._in_json = in_json

    def open_at(self, place: int) -> bool:
        """Whether a link that began before has not ended at ``place``."""
        starts, ends = self._spans
        behind = bisect_right(starts, place)
        return behind > 0 and ends[behind - 1] > place

    @cached_property
    def _spans(self) -> tuple[list[int], list[int]]:
        """Starts, and for each the furthest end of all links that began by then."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(self._found()):
            starts.append(start)
            ends.append(max(end, ends[-1] if ends else 0))
        return starts, ends

    def _found(self) -> Iterator[tuple[int, int]]:
        lower = self._text.lower()
        if any(sign in lower for sign in _SIGNS):
            yield from self._bare()
        if "=" in self._text:
            for found in _ATTRIBUTE.finditer(self._text):
                yield found.span()
        end = 0
        for found in _MARKDOWN.finditer(self._text):
            if found.start() >= end:
                end = self._destination(found.end())
                yield found.start(), end

    def _bare(self) -> Iterator[tuple[int, int]]:
        """Addresses as they stand; outside JSON, to the end of their word."""
        if self._in_json:
            for found in _BARE_IN_JSON.finditer(self._text):
                yield found.span()
            return
        for word in _WORD.finditer(self._text):
            if address := _BARE.search(self._text, *word.span(1)):
                yield address.start(), word.end()

    def _destination(self, start: int) -> int:
        """Where what follows ``](`` ends: at its bracket, or at the end of the line."""
        if self._text.startswith("<", start):
            closing = _TOKEN_END.search(self._text, start)
            return closing.start() if closing else len(self._text)
        depth = 1
        for found in _PAREN.finditer(self._text, start):
            depth += {"(": 1, ")": -1, "\n": -depth}[found[0]]
            if depth == 0:
                return found.start()
        return len(self._text)
