"""Text as it is matched, and the way back to the source."""

import unicodedata
from dataclasses import dataclass
from typing import Final

_DROPPED: Final = frozenset(
    chr(code)
    for start, end in (
        (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x180E, 0x180E),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F),
        (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
    )
    for code in range(start, end + 1)
)  # fmt: skip
"""Zero-width, bidirectional, tag and variation characters: they only disguise."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Normalised text.

    Attributes:
        offsets: for each character of ``text``, and one past its end, the source offset
            that it came from; None where the source is its own normal form.
    """

    text: str
    offsets: tuple[int, ...] | None

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The source span of a span of ``text``."""
        if self.offsets is None:
            return start, end
        last = self.offsets[end - 1] if end > start else self.offsets[start]
        following = end
        while following < len(self.text) and self.offsets[following] == last:
            following += 1
        return self.offsets[start], self.offsets[following]


def normalise(text: str) -> Normal:
    """NFKC by character, disguises dropped, digits of every script as ASCII's.

    Law: the source span of each span holds all source characters that it came from.
    """
    if text.isascii():
        return Normal(text, None)
    found: list[str] = []
    offsets: list[int] = []
    for offset, character in enumerate(text):
        for folded in _folded(character):
            found.append(folded)
            offsets.append(offset)
    return Normal("".join(found), (*offsets, len(text)))


def _folded(character: str) -> str:
    if character in _DROPPED:
        return ""
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character.isdigit() and not character.isascii():
        digit = unicodedata.digit(character, None)
        return character if digit is None else str(digit)
    return unicodedata.normalize("NFKC", character)
