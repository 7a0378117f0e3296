"""What stands around a candidate: words, keys, headers."""

import re
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import Final

LEFT: Final = 60
RIGHT: Final = 30
NEAR: Final = 24
SENTENCE: Final = 300
_END: Final = re.compile(rb"[.!?;]\s|\n|\xe3\x80\x82")
_ROW_BYTES: Final = 1024
"""Of a longer row nobody can say what stands above a cell."""
_WORD: Final = re.compile(rb"[A-Z]?[a-z\x80-\xff]++|[A-Z]+(?![a-z\x80-\xff])")
_SPLIT: Final = re.compile(b"(" + _WORD.pattern + b")")
_DIGIT: Final = re.compile(rb"[0-9]")
_SEPARATORS: Final = (b"\t", b"|", b";", b",")
_WIDE: Final = re.compile(rb"[\xe3-\xed][\x80-\xbf]{2}")

NEGATIVE: Final = frozenset(
    [
        "order",
        "invoice",
        "version",
        "isbn",
        "issn",
        "tracking",
        "ticket",
        "sku",
        "part",
        "build",
        "serial",
        "commit",
        "port",
        "release",
        "revision",
        "item",
        "product",
        "ref",
        "reference",
        "case",
        "page",
        "line",
        "rfc",
        "iso",
        "chapter",
        "bestellung",
        "rechnung",
        "artikel",
        "commande",
        "facture",
        "pedido",
        "factura",
        "ordine",
        "fattura",
        "timestamp",
        "epoch",
        "score",
        "total",
        "price",
        "amount",
    ]
)
"""Words before a number that say what else it is."""


def words(around: bytes) -> frozenset[str]:
    """The words of a stretch of text, lower case; keys in camel case are taken apart.

    Scripts that set no spaces have no words: there every pair of characters is one.
    """
    found = _lower(_WORD.findall(around))
    if _WIDE.search(around):
        text = around.decode("utf-8", "ignore")
        found += [a + b for a, b in pairwise(text)]
    return frozenset(found)


def _lower(told: list[bytes]) -> list[str]:
    return b" ".join(told).decode("utf-8", "ignore").lower().split(" ")


class Around:
    """The context of candidates in one text, whose words are read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._tabular = b"\n" in data
        self._wide = _WIDE.search(data) is not None
        self._starts: list[int] = []
        self._told: list[str] | None = None
        self._words: dict[tuple[int, int, int, int], frozenset[str]] = {}
        self._tops: dict[tuple[int, bytes], int] = {}

    def words(self, start: int, end: int) -> frozenset[str]:
        """Words 60 bytes left, 30 right, and in the column's header."""
        return self.within(start, end, start, end)

    def within(self, start: int, end: int, first: int, last: int) -> frozenset[str]:
        """The same, for a stretch of a run from ``first`` to ``last`` without words.

        So all stretches that are far from the ends of their run have one context.
        """
        key = (max(0, min(start - LEFT, first)), first, last, max(end + RIGHT, last))
        found = self._words.get(key)
        if found is None:
            found = self._words[key] = self._read(*key)
        return found

    def _read(self, left: int, first: int, last: int, right: int) -> frozenset[str]:
        begun = self._same_line(left, first)
        near = [*self._between(begun, first), *self._between(last, right)]
        if self._tabular and (header := self._header(first)):
            near += words(header)
        if self._wide:
            near += words(self._data[begun:first] + b" . " + self._data[last:right])
        return frozenset(near)

    def _between(self, start: int, end: int) -> list[str]:
        """The words that begin in a stretch."""
        if self._told is None:
            parts = _SPLIT.split(self._data)
            self._starts = [*accumulate(map(len, parts))][:-1:2]
            self._told = _lower(parts[1::2])
        starts = self._starts
        return self._told[bisect_left(starts, start) : bisect_left(starts, end)]

    def sentence(self, start: int, end: int) -> list[str]:
        """The words of its sentence, as far as 300 bytes go to either side."""
        left = max(0, start - SENTENCE)
        ends = [found.end() for found in _END.finditer(self._data, left, start)]
        after = _END.search(self._data, end, end + SENTENCE)
        right = after.start() if after else min(len(self._data), end + SENTENCE)
        before = self._between(ends[-1] if ends else left, start)
        return [*before, *self._between(end, right)]

    def negative(self, start: int) -> bool:
        """Whether what stands right before says that it is something else."""
        return not NEGATIVE.isdisjoint(self._between(start - NEAR, start))

    def _same_line(self, left: int, first: int) -> int:
        """Where its context begins: on its line, or on one above without a number."""
        if not self._tabular:
            return left
        line = self._data.rfind(b"\n", left, first) + 1
        if line and (
            self._data[line:first].strip() or _DIGIT.search(self._data, left, line)
        ):
            return line
        return left

    def _header(self, start: int) -> bytes:
        """The cell above, in the first line of the table that this line is of."""
        line = self._data.rfind(b"\n", 0, start) + 1
        if start - line > _ROW_BYTES:
            return b""
        row = b"".join(self._data[line:start].split(b'"')[::2])
        for separator in _SEPARATORS:
            if separator in row:
                top = self._top(line, separator)
                return _cell(top, separator, row.count(separator))
        return b""

    def _top(self, line: int, separator: bytes) -> bytes:
        """The first line of the block of lines that hold the separator.

        Each line is looked at once, however many rows and candidates a table has.
        """
        passed, top = [], line
        while (top, separator) not in self._tops:
            passed.append(top)
            above = self._data.rfind(b"\n", 0, max(0, top - 1)) + 1
            if top == 0 or separator not in self._data[above : top - 1]:
                self._tops[top, separator] = top
                break
            top = above
        first = self._tops[top, separator]
        self._tops.update(((each, separator), first) for each in passed)
        return self._data[first : first + _ROW_BYTES].partition(b"\n")[0]


def _cell(row: bytes, separator: bytes, column: int) -> bytes:
    cells = row.split(separator)
    return cells[column][:RIGHT] if column < len(cells) else b""
