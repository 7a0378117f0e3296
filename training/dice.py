"""Choices that look random and are the same on every machine."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MULTIPLIER = 6_364_136_223_846_793_005
_INCREMENT = 1_442_695_040_888_963_407


class Dice:
    """A linear congruential generator (Knuth, MMIX); not for secrets."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """A number from 0 up to ``bound``, without it."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) % 2**64
        return (self._state >> 33) % bound

    def of(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]

    def chance(self, percent: int) -> bool:
        """True in so many of a hundred."""
        return self.below(100) < percent
