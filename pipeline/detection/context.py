"""What stands around a candidate: words, keys, headers."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

LEFT: Final = 60
RIGHT: Final = 30
NEAR: Final = 24
_HEADER_BYTES: Final = 4096
_WORD: Final = re.compile(rb"[A-Z]+(?![a-z\x80-\xff])|[A-Z]?[a-z\x80-\xff]+")
_QUOTED: Final = re.compile(rb'"[^"\n]*"')
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
    found = {word.lower().decode("utf-8", "ignore") for word in _WORD.findall(around)}
    if _WIDE.search(around):
        text = around.decode("utf-8", "ignore")
        found.update(a + b for a, b in pairwise(text))
    return frozenset(found)


class Around:
    """The context of candidates in one text; each stretch is read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._tabular = b"\n" in data
        self._words = lru_cache(maxsize=4096)(self._read)

    def words(self, start: int, end: int) -> frozenset[str]:
        """Words 60 bytes left, 30 right, and in the column's header."""
        return self._words(start, end)

    def _read(self, start: int, end: int) -> frozenset[str]:
        left = _same_line(self._data[max(0, start - LEFT) : start])
        right = self._data[end : end + RIGHT]
        return words(left + b" . " + right + b" . " + self._header(start))

    def negative(self, start: int) -> bool:
        """Whether what stands right before says that it is something else."""
        near = self._data[max(0, start - NEAR) : start]
        return not NEGATIVE.isdisjoint(words(near))

    def _header(self, start: int) -> bytes:
        """The cell above, in the first line of the table that this line is of."""
        if not self._tabular:
            return b""
        data = self._data
        line = data.rfind(b"\n", 0, start) + 1
        row = _QUOTED.sub(b"", data[line:start])
        for separator in _SEPARATORS:
            if separator in row:
                return _cell(
                    _top(data, line, separator), separator, row.count(separator)
                )
        return b""


def _same_line(left: bytes) -> bytes:
    """What stands before on its line; the line above, where that holds no number."""
    above, newline, line = left.rpartition(b"\n")
    if newline and (line.strip() or _DIGIT.search(above)):
        return line
    return left


def _top(data: bytes, line: int, separator: bytes) -> bytes:
    """The first line of the block of lines that hold the separator."""
    floor = max(0, line - _HEADER_BYTES)
    above = data[floor : max(line - 1, floor)].split(b"\n")
    top = b""
    for each in reversed(above):
        if separator not in each:
            break
        top = each
    return top


def _cell(row: bytes, separator: bytes, column: int) -> bytes:
    cells = row.split(separator)
    return cells[column][:RIGHT] if column < len(cells) else b""
