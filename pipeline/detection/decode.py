"""Encoded runs of a text, decoded one level and read together in one pass."""

import binascii
import html
from base64 import b64decode
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import re2

from pipeline.detection.sets import options

_MIN_PRINTABLE: Final = 0.95
_BETWEEN: Final = b"\n\0\n"
"""Stands between two runs: no pattern matches across it."""

_PERCENT: Final = re2.compile(
    rb"[^\s%\"'<>]*(?:%[0-9A-Fa-f]{2}[^\s%\"'<>]*)+", options()
)
_ENTITY: Final = re2.compile(
    rb"[^\s&;\"'<>]*(?:&#?[0-9A-Za-z]{2,8};[^\s&;\"'<>]*)+", options()
)
_BASE64: Final = re2.compile(
    rb"(?:[0-9A-Za-z+/_-]{16,}\r?\n)*[0-9A-Za-z+/_-]{16,}(?:\r?\n[0-9A-Za-z+/_-]{2,15})?={0,2}",
    options(),
)
"""A run in one line, or in lines: the last one may be short."""
_LINE: Final = re2.compile(rb"[0-9A-Za-z+/_-]{16,}={0,2}", options())
_SPACES: Final = b"\r\n\t"


@dataclass(frozen=True, slots=True)
class Run:
    """One encoded run of a text.

    Attributes:
        start: in bytes of the normalised text, as ``end``.
        via: how it was encoded, e.g. ``decoded:base64``.
        at: where what it says begins in the joined bytes.
    """

    start: int
    end: int
    via: str
    at: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What all encoded runs of a text say, joined: no run and no byte is left out.

    Every decoder gives less than it takes, so this is at most three times the text.
    """

    runs: tuple[Run, ...]
    data: bytes

    def reached(self, start: int, end: int) -> Sequence[Run]:
        """The runs that say what a span of the joined bytes holds.

        One of them, but for what stands for all that lies beyond a cap.
        """
        first = bisect_right(self.runs, start, key=_at) - 1
        return self.runs[first : bisect_left(self.runs, end, lo=first + 1, key=_at)]


def _at(run: Run) -> int:
    return run.at


def decoded(data: bytes) -> Decoded:
    """The encoded runs. One level: what was decoded is not decoded again."""
    found: list[Run] = []
    said: list[bytes] = []
    at = 0
    for start, end, via, told in _all(data):
        found.append(Run(start, end, via, at))
        said.append(told)
        at += len(told) + len(_BETWEEN)
    return Decoded(tuple(found), _BETWEEN.join(said))


def _all(data: bytes) -> Iterator[tuple[int, int, str, bytes]]:
    if b"%" in data:
        yield from _by(data, _PERCENT, "decoded:percent")
    if b"&" in data:
        yield from _by(data, _ENTITY, "decoded:entity")
    for match in _BASE64.finditer(data):
        yield from _lines(data, *match.span())


def _by(
    data: bytes, pattern: Any, via: str, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, str, bytes]]:
    for match in pattern.finditer(data, start, len(data) if end is None else end):
        run = match[0]
        told = _DECODERS[via](run)
        if told is not None and told != run:
            yield match.start(), match.end(), via, told


def _lines(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, str, bytes]]:
    """A run of base64; where it is no wrapped one, each of its lines."""
    lines = data[start:end].split()
    if len(lines) == 1:
        told = _base64(lines[0])
        if told is not None:
            yield start, end, "decoded:base64", told
        return
    if _wrapped(lines):
        told = _base64(b"".join(lines))
        if told is not None:
            yield start, end, "decoded:base64", told
            return
    yield from _by(data, _LINE, "decoded:base64", start, end)


def _wrapped(lines: Sequence[bytes]) -> bool:
    """Whether lines are one text of base64, cut as encoders do (RFC 2045: at 76)."""
    *full, last = lines
    size = len(full[0])
    return (
        size % 4 == 0
        and len(last.rstrip(b"=")) <= size
        and all(len(line) == size for line in full)
    )


def _percent(run: bytes) -> bytes | None:
    return _printable(unquote_to_bytes(run))


def _entity(run: bytes) -> bytes | None:
    return html.unescape(run.decode("utf-8", "replace")).encode("utf-8", "replace")


def _base64(run: bytes) -> bytes | None:
    """What it says; a last character that holds no whole byte is left out."""
    if run.isalpha() and (run.islower() or run.isupper()):
        return None
    core = run.rstrip(b"=").translate(_URL_SAFE)
    if len(core) % 4 == 1:
        core = core[:-1]
    try:
        return _printable(b64decode(core + b"=" * (-len(core) % 4)))
    except binascii.Error:
        return None


_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_DECODERS: Final = {
    "decoded:percent": _percent,
    "decoded:entity": _entity,
    "decoded:base64": _base64,
}


def _printable(raw: bytes) -> bytes | None:
    """The bytes where they read as text; None where they do not."""
    try:
        text = raw.translate(None, _SPACES).decode()
    except UnicodeDecodeError:
        return None
    if text.isprintable():
        return raw or None
    good = sum(map(str.isprintable, text)) / len(text)
    return raw if good >= _MIN_PRINTABLE else None
