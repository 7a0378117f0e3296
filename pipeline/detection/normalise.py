"""Text as it is matched, and the way back to the source."""

# ruff: noqa: RUF001 - look-alikes are what is folded

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_CONTROLS: Final = (
    *range(0x00, 0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0),
)  # fmt: skip
"""Controls that neither begin a line nor set anything apart: nobody sees them."""
_HELD: Final = bytes(code for code in _CONTROLS if code < 0x80)
DROPPED: Final = frozenset(
    chr(code)
    for start, end in (
        (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160),
        (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
        (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    )
    for code in range(start, end + 1)
).union(map(chr, _CONTROLS))  # fmt: skip
"""What is not seen and only disguises: Unicode's Default_Ignorable_Code_Point (zero
width, bidirectional, tags, variation, fillers), annotations and controls."""

_LETTERS: Final = dict(
    zip(
        "АВЕКМНОРСТУХаеорсухіјѕԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "ABEKMHOPCTYXaeopcyxijsdqwABEZHIKMNOPTYXo",
        strict=True,
    )
)
"""Letters of other scripts that look like ASCII's."""
_PLAIN: Final = str.maketrans(_LETTERS)
_ALIKE: Final = re.compile(f"[{''.join(_LETTERS)}]++")
_BESIDE: Final = re.compile(r"[0-9A-Za-z@_]")
_SIGNS: Final = dict.fromkeys("‐‑‒–—―−﹣", "-") | {"․": ".", "∕": "/", "⁄": "/"}
_QUOTES: Final = {"’": "'", "‘": "'", "“": '"', "”": '"', "\u2028": "\n"}


@dataclass(frozen=True, slots=True)
class Normal:
    """Normalised text.

    Attributes:
        offsets: for each character of ``text``, and one past its end, the source offset
            that it came from; None where both count alike.
        signals: what was undone, e.g. ``disguise.invisible``; sorted.
    """

    text: str
    offsets: tuple[int, ...] | None
    signals: tuple[str, ...] = ()

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The source span that holds all that a span of ``text`` came from."""
        if self.offsets is None:
            return start, end
        first = self.offsets[start]
        if end <= start:
            return first, first
        last = self.offsets[end - 1]
        return first, self.offsets[bisect_right(self.offsets, last)]


def normalise(text: str) -> Normal:
    """NFKC by character, disguises undone, digits of every script as ASCII's.

    Law: the source span of each span holds all source characters that it came from.
    Look-alike letters are folded only where ASCII letters or digits stand beside them,
    so that text in another script stays what it is. Lone surrogates, which do not
    encode, become U+FFFD. Each character that occurs is looked up once.
    """
    if text.isascii() and not _controlled(text):
        return Normal(text, None)
    folds = {c: _folded(c) for c in set(text) if c >= "\x80" or c in DROPPED}
    signals = {sign for c, fold in folds.items() if (sign := _signal(c, fold))}
    folded = text.translate({ord(c): fold for c, fold in folds.items() if c != fold})
    unmasked = _unmasked(folded) if not _LETTERS.keys().isdisjoint(folds) else folded
    if unmasked != folded:
        signals.add("disguise.homoglyph")
    told = tuple(sorted(signals))
    if all(len(fold) == 1 for fold in folds.values()):
        return Normal(unmasked, None, told)
    offsets = [i for i, c in enumerate(text) for _ in folds.get(c, "-")]
    return Normal(unmasked, (*offsets, len(text)), told)


def _controlled(text: str) -> bool:
    """Whether a text of ASCII holds controls that are dropped."""
    return len(text.encode().translate(None, _HELD)) != len(text)


def _signal(character: str, fold: str) -> str:
    """What folding a character undid."""
    if not fold:
        return "disguise.invisible"
    if fold != character and fold.isascii() and fold.isalnum():
        return "disguise.compatibility"
    return ""


def _unmasked(text: str) -> str:
    """Fold look-alike letters where ASCII stands right beside them."""
    return _ALIKE.sub(_unmask, text)


def _unmask(found: re.Match[str]) -> str:
    text, (start, end) = found.string, found.span()
    beside = text[start - 1 : start] + text[end : end + 1]
    return found[0].translate(_PLAIN) if _BESIDE.search(beside) else found[0]


@lru_cache(maxsize=65_536)
def _folded(character: str) -> str:
    """What one character is matched as; empty where it is dropped."""
    if character in DROPPED:
        return ""
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    simple = _SIGNS.get(character) or _QUOTES.get(character)
    if simple is not None:
        return simple
    folded = unicodedata.normalize("NFKC", character)
    return "".join(_as_ascii_digit(c) for c in folded)


def _as_ascii_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    if value is not None:
        return str(value)
    return " " if unicodedata.category(character) == "Zs" else character
