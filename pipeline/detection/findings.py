"""What an inspection tells: findings, signals, and guards that could not look."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.policies import DataClass, Guard


class Finding(NamedTuple):
    """Something found; offsets are source characters. Never the value.

    Attributes:
        kind: within the class, e.g. ``us.ssn``.
        confidence: 0.8 means four in five.
        via: ``plain``, ``normalised``, or how it was encoded.
        checked: False: it lies beyond a cap and nobody looked at it closely, so it is
            acted on whatever the threshold of its cell.
    """

    data_class: DataClass
    kind: str
    rule: str
    start: int
    end: int
    confidence: float
    via: str = "plain"
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one text holds.

    Attributes:
        findings: without overlap but for passages that are only marked; by position.
        signals: what was undone or not looked at, e.g. ``disguise.homoglyph``.
        failed: guards of which a part did not work; what they did find is told.
    """

    findings: tuple[Finding, ...]
    signals: tuple[str, ...]
    failed: frozenset[Guard] = frozenset()
