"""Screening: may this request, or this answer, pass?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.detection.engine import MAX_PART_CHARS, GuardFailed, Recipe
from pipeline.detection.normalise import normalise
from pipeline.injection import Phrase
from pipeline.text import Channel, TextPart
from schemas.policies import Failing, Guard, PolicyDocument
from schemas.requests import Decision

STAGE: Final = "screening"
CARRIED: Final = frozenset({Channel.TOOL, Channel.DOCUMENT})
GUARD_CHANNELS: Final = {
    Guard.INJECTION: frozenset({Channel.USER, Channel.SYSTEM}),
    Guard.INSTRUCTION: CARRIED,
}


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
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardUnavailable:
    """A guard that must not fail could not look; no verdict on the content."""

    guard: Guard
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]


def screen(
    parts: Sequence[TextPart], policy: PolicyDocument, recipe: Recipe
) -> Screened | GuardUnavailable:
    """Run the guards of screening.

    Law: equal parts, policy and recipe give the equal answer; the order of the parts
    changes no verdict.
    """
    verdict, reasons = Verdict.ALLOWED, dict[str, None]()
    decisions: list[Decision] = []
    ran: list[str] = []
    for guard, channels in GUARD_CHANNELS.items():
        rule = policy.guard(guard)
        if not rule.required:
            continue
        try:
            hits = list(_hits([p for p in parts if p.channel in channels], recipe))
        except GuardFailed:
            decisions.append(_decision(guard, "failed_" + rule.on_failure))
            if rule.on_failure is Failing.CLOSED:
                return GuardUnavailable(
                    guard=guard, decisions=tuple(decisions), guards_ran=tuple(ran)
                )
            verdict = max(verdict, Verdict.UNSCREENED, key=_gravity)
            continue
        ran.append(guard)
        said = _said(bool(hits), block=rule.block)
        verdict = max(verdict, said, key=_gravity)
        reasons |= dict.fromkeys(_reason(phrase, channel) for phrase, channel in hits)
        rules: list[str | None] = [*dict.fromkeys(phrase.id for phrase, _ in hits)]
        decisions += [_decision(guard, said, rule_id) for rule_id in rules or [None]]
    return Screened(
        verdict=verdict,
        reasons=tuple(reasons),
        decisions=tuple(decisions),
        guards_ran=tuple(ran),
    )


def _hits(
    parts: Sequence[TextPart], recipe: Recipe
) -> Iterator[tuple[Phrase, Channel]]:
    for part in parts:
        if len(part.text) > MAX_PART_CHARS:
            raise GuardFailed("a text is longer than the engine may look at")
        for index in recipe.words.hits(normalise(part.text).text):
            phrase = recipe.phrases[index]
            if part.channel in phrase.channels:
                yield phrase, part.channel


def _said(hit: bool, *, block: bool) -> Verdict:  # noqa: FBT001 - what was seen
    if not hit:
        return Verdict.ALLOWED
    return Verdict.BLOCKED if block else Verdict.FLAGGED


def _gravity(verdict: Verdict) -> int:
    order = (Verdict.ALLOWED, Verdict.FLAGGED, Verdict.UNSCREENED, Verdict.BLOCKED)
    return order.index(verdict)


def _reason(phrase: Phrase, channel: Channel) -> str:
    if phrase.reason != "security.prompt_injection":
        return phrase.reason
    return phrase.reason + (".indirect" if channel in CARRIED else ".direct")


def _decision(guard: Guard, verdict: str, rule: str | None = None) -> Decision:
    return Decision(stage=STAGE, control=guard.value, verdict=verdict, rule=rule)
