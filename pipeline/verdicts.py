"""What screening says, and how it comes to it, guard after guard."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipeline.detection.engine import MAX_PART_BYTES, Recipe
from pipeline.detection.normalise import normalise
from pipeline.findings import looked_by
from pipeline.reasons import Reason
from pipeline.text import TextPart
from schemas.policies import Failing, Guard
from schemas.requests import Decision, Looked

STAGE: Final = "screening"
GROWTH: Final = 11
"""A character has so many times its bytes at most once it is undone (U+FDFA)."""


class Verdict(StrEnum):
    """What screening says of a request."""

    ALLOWED = "allowed"
    FLAGGED = "flagged"
    BLOCKED = "blocked"
    UNSCREENED = "unscreened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """Every guard that had to decide has decided, or may fail open.

    Attributes:
        reasons: dotted; what the caller may see. The first is the gravest.
        guards_ran: those that really looked; one that failed open is not among them.
        looked: the recipe, and what was undone before it looked.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardUnavailable:
    """A guard that must not fail could not look; no verdict on the content.

    Attributes:
        reason: how the request ends: :func:`unseen`.
    """

    guard: Guard
    reason: Reason
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    looked: tuple[Looked, ...] = ()


def unseen(parts: Sequence[TextPart]) -> Reason:
    """Why a guard could not look at these: what is too long is so at each repeat."""
    long = any(_is_long(part.text) for part in parts)
    return Reason.TOO_LARGE if long else Reason.GUARD_UNAVAILABLE


def _is_long(text: str) -> bool:
    """As the text stands, or once its disguises are undone, as guards look at it."""
    size = len(text.encode())
    if size > MAX_PART_BYTES or size * GROWTH <= MAX_PART_BYTES:
        return size > MAX_PART_BYTES
    return len(normalise(text).text.encode()) > MAX_PART_BYTES


@dataclass(frozen=True, slots=True)
class Hit:
    """What a guard saw: a rule, and the reason as a caller may read it."""

    rule: str
    reason: str


@dataclass(slots=True)
class Story:
    """What was said so far."""

    recipe: Recipe
    signals: set[str] = field(default_factory=set)
    verdict: Verdict = Verdict.ALLOWED
    reasons: dict[str, Verdict] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def tell(
        self, guard: Guard, hits: Collection[Hit], *, block: bool, ran: bool = True
    ) -> None:
        """A guard has looked; one without its model did not ``ran``."""
        said = Verdict.ALLOWED
        if hits:
            said = Verdict.BLOCKED if block else Verdict.FLAGGED
            self.verdict = max(self.verdict, said, key=_gravity)
        for hit in hits:
            self.reasons[hit.reason] = max(
                said, self.reasons.get(hit.reason, said), key=_gravity
            )
        rules: list[str | None] = [*dict.fromkeys(hit.rule for hit in hits)]
        self.decisions += [_decision(guard, said, rule) for rule in rules or [None]]
        if ran and guard.value not in self.ran:
            self.ran.append(guard.value)

    def fail(self, guard: Guard, failing: Failing) -> bool:
        """A guard could not look; whether it may fail open."""
        self.decisions.append(_decision(guard, "failed_" + failing))
        self.verdict = max(self.verdict, Verdict.UNSCREENED, key=_gravity)
        return failing is Failing.OPEN

    def looked(self) -> tuple[Looked, ...]:
        """What looked, and what it had to undo."""
        return (looked_by(STAGE, self.recipe, self.signals),)

    def screened(self) -> Screened:
        """The answer, gravest reasons first."""
        ranked = sorted(self.reasons, key=lambda r: -_gravity(self.reasons[r]))
        return Screened(
            verdict=self.verdict,
            reasons=tuple(ranked),
            decisions=tuple(self.decisions),
            guards_ran=tuple(self.ran),
            looked=self.looked(),
        )

    def unavailable(self, guard: Guard, parts: Sequence[TextPart]) -> GuardUnavailable:
        """A guard that must not fail has failed on one of these parts."""
        return GuardUnavailable(
            guard=guard,
            reason=unseen(parts),
            decisions=tuple(self.decisions),
            guards_ran=tuple(self.ran),
            looked=self.looked(),
        )


def _gravity(verdict: Verdict) -> int:
    order = (Verdict.ALLOWED, Verdict.FLAGGED, Verdict.UNSCREENED, Verdict.BLOCKED)
    return order.index(verdict)


def _decision(guard: Guard, verdict: str, rule: str | None = None) -> Decision:
    return Decision(stage=STAGE, control=guard.value, verdict=verdict, rule=rule)
