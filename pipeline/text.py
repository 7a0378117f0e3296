"""Text as the stages see it: parts and channels, never a dialect."""

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


class Channel(StrEnum):
    """Who put a text there; thresholds and modes are chosen by it."""

    USER = "user"
    SYSTEM = "system"
    TOOL = "tool"
    DOCUMENT = "document"
    COMPLETION = "completion"


@dataclass(frozen=True, slots=True)
class TextPart:
    """One text of a body.

    Attributes:
        path: where it lies in the body: keys and list indexes, outermost first.
        channel: who put it there.
        text: the text itself; never shown by ``repr``.
    """

    path: tuple[str | int, ...]
    channel: Channel
    text: str

    @override
    def __repr__(self) -> str:
        return f"TextPart(path={self.path!r}, channel={self.channel.value!r})"
