"""Encoded runs of a text, decoded one level, within bounds."""

import binascii
import html
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import re2

from pipeline.detection.sets import options

MAX_RUN: Final = 4096
MAX_RUNS: Final = 64
_MIN_PRINTABLE: Final = 0.95

_PERCENT: Final = re2.compile(
    rb"[^\s%\"'<>]*(?:%[0-9A-Fa-f]{2}[^\s%\"'<>]*){2,}", options()
)
_ENTITY: Final = re2.compile(
    rb"[^\s&;\"'<>]*(?:&#?[0-9A-Za-z]{2,8};[^\s&;\"'<>]*)+", options()
)
_BASE64: Final = re2.compile(rb"[0-9A-Za-z+/_-]{16,}={0,2}", options())


@dataclass(frozen=True, slots=True)
class Decoded:
    """One run of a text, and what it says.

    Attributes:
        start: in bytes of the normalised text, as ``end``.
        via: how it was encoded, e.g. ``decoded:base64``.
    """

    start: int
    end: int
    via: str
    data: bytes


def runs(data: bytes) -> Iterator[Decoded]:
    """The encoded runs, at most ``MAX_RUNS``, each at most ``MAX_RUN`` bytes.

    One level: what was decoded is not decoded again.
    """
    yield from islice(_all(data), MAX_RUNS)


def _all(data: bytes) -> Iterator[Decoded]:
    if b"%" in data:
        yield from _by(data, _PERCENT, "decoded:percent")
    if b"&" in data:
        yield from _by(data, _ENTITY, "decoded:entity")
    yield from _by(data, _BASE64, "decoded:base64")


def _by(data: bytes, pattern: Any, via: str) -> Iterator[Decoded]:
    for match in pattern.finditer(data):
        run = match[0][:MAX_RUN]
        decoded = _DECODERS[via](run)
        if decoded is not None and decoded != run:
            yield Decoded(match.start(), match.end(), via, decoded)


def _percent(run: bytes) -> bytes | None:
    return _printable(unquote_to_bytes(run))


def _entity(run: bytes) -> bytes | None:
    return html.unescape(run.decode("utf-8", "replace")).encode("utf-8", "replace")


def _base64(run: bytes) -> bytes | None:
    if run.isalpha() and (run.islower() or run.isupper()):
        return None
    core = run.rstrip(b"=").translate(_URL_SAFE)
    padded = core + b"=" * (-len(core) % 4)
    try:
        return _printable(b64decode(padded, validate=True))
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
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    good = sum(c.isprintable() or c in "\r\n\t" for c in text)
    return raw if text and good / len(text) >= _MIN_PRINTABLE else None
