"""Recognisers from outside: what they say is weighed like what the engine finds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from schemas.policies import DataClass

PREFIX: Final = "ner."


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that a recogniser found in a text. Never the value.

    Attributes:
        kind: the recogniser's own label, in lower case.
        start: in characters of the text.
        end: likewise, behind the last one.
        confidence: calibrated: 0.8 means four in five.
    """

    data_class: DataClass
    kind: str
    start: int
    end: int
    confidence: float


class Recogniser(Protocol):
    """One recogniser, where it runs; it may be slow, and may die of a text.

    Attributes:
        version: of its code and model; named in coverage.
    """

    version: str

    def recognise(self, text: str, classes: Collection[DataClass]) -> Sequence[Mention]:
        """What of these classes a text holds; without order, overlaps allowed."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What a recogniser found, one tuple for each text."""

    name: str
    version: str
    found: tuple[tuple[Mention, ...], ...]


@dataclass(frozen=True, slots=True)
class Unseen:
    """A recogniser that is not there, took too long, or died."""

    name: str


class Recognisers(Protocol):
    """The recognisers of this installation, by name; each in bounds of its own."""

    async def look(
        self, texts: Sequence[str], names: Collection[str]
    ) -> Sequence[Seen | Unseen]:
        """What each of ``names`` says of the texts, in the order of ``names``."""
        ...


class Nobody(Recognisers):
    """An installation without recognisers."""

    @override
    async def look(
        self,
        texts: Sequence[str],
        names: Collection[str],
    ) -> Sequence[Seen | Unseen]:
        """Nobody has seen anything."""
        return [Unseen(name) for name in names]


NOBODY: Final = Nobody()
