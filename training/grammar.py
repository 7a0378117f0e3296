"""Sentences out of frames: ``{a|b}`` is one of two, ``{name}`` one of a list."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from training.dice import Dice

_SLOT: Final = re.compile(r"\{([^{}]*)\}")
Slots = Mapping[str, Sequence[str]]


def written(frame: str, slots: Slots, dice: Dice) -> str:
    """One sentence of a frame; slots are filled from the inside out.

    ``[[`` and ``]]`` stand for braces that are meant.
    """
    text = frame
    while (slot := _SLOT.search(text)) is not None:
        told = slot[1]
        choices = told.split("|") if "|" in told else slots[told]
        text = text[: slot.start()] + dice.of(choices) + text[slot.end() :]
    return text.replace("[[", "{").replace("]]", "}")


def varied(text: str, dice: Dice) -> str:
    """The text as people type: at times in lower case, shouted, or without a stop."""
    style = dice.below(24)
    if style <= 3:  # noqa: PLR2004 - one text in six
        return text.lower()
    if style == 4:  # noqa: PLR2004 - one in 24
        return text.upper()
    return text.rstrip(".!") if style <= 8 else text  # noqa: PLR2004 - one in six
