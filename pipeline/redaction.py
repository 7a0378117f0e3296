"""Redaction: what of a request may leave."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pipeline import operators
from pipeline.detection.engine import Finding, GuardFailed, Recipe, inspect
from pipeline.findings import Acted, looked_by
from pipeline.policies import REDACTING, cells, guard_of
from pipeline.text import Channel, TextPart
from pipeline.tokens import Session, escaped, token_spans
from schemas.policies import (
    Cell,
    DataClass,
    Failing,
    Mode,
    PolicyDocument,
)
from schemas.requests import Decision, Looked

STAGE: Final = "redaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """Text parts without what must not leave; paths, channels and order are kept.

    Attributes:
        vault: reversible values by token; never shown.
        findings: each finding, without its value; for sealed storage and for people.
        tokens: all that now stand in the text.
        looked: the recipe, what it had to undo, and how much it found.
    """

    parts: tuple[TextPart, ...]
    vault: dict[str, str] = field(repr=False)
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    findings: tuple[Acted, ...] = ()
    tokens: frozenset[str] = frozenset()
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionUnavailable:
    """The engine could not look, and its guards must not fail."""

    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...] = ()
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """What one call hands from part to part."""

    session: Session
    issued: Collection[str]
    acted: list[Acted] = field(default_factory=list)
    signals: set[str] = field(default_factory=set)


def redact(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    nonce: str,
    issued: Collection[str] = (),
) -> Redacted | RedactionUnavailable:
    """Replace what the policy's cells say, by tokens of this session.

    Law: redacting what is redacted, its tokens given as ``issued``, changes nothing and
    replaces nothing. Equal arguments give equal tokens. What merely looks like a token
    is escaped, except in a completion, where the session's own tokens are opaque. There
    ``reversible`` acts as ``strict``: nobody is left to restore it.
    """
    given = _Given(Session(nonce), issued)
    session, acted = given.session, given.acted
    try:
        done = tuple(
            _part(index, part, policy, recipe, given)
            for index, part in enumerate(parts)
        )
    except GuardFailed:
        return _failed(parts, policy, recipe)
    return Redacted(
        parts=done,
        vault=session.vault,
        decisions=_decisions(acted),
        guards_ran=tuple(g.value for g in REDACTING if policy.guard(g).required),
        findings=tuple(acted),
        tokens=frozenset(each.token for each in acted if each.token is not None),
        looked=(looked_by(STAGE, recipe, given.signals, acted),),
    )


def _decisions(acted: Sequence[Acted]) -> tuple[Decision, ...]:
    """One for each guard, action and rule that occurred."""
    seen = {(guard_of(a.finding.data_class), a.action, a.finding.rule) for a in acted}
    return tuple(
        Decision(stage=STAGE, control=guard.value, verdict=action, rule=rule)
        for guard, action, rule in sorted(seen)
    )


def _part(
    index: int,
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    given: _Given,
) -> TextPart:
    answer = part.channel is Channel.COMPLETION
    text = part.text if answer else escaped(part.text, keep=given.issued)
    chosen: list[tuple[Finding, Mode]] = []
    told = judged(text, part.channel, policy, recipe, given.signals)
    for finding, mode in told:
        if mode is None or mode is Mode.FLAG:
            action = "near" if mode is None else mode.value
            given.acted.append(Acted(index, finding, action, None))
        else:
            chosen.append((finding, mode))
    replaced = _tokens(index, text, united(chosen), given)
    return TextPart(part.path, part.channel, operators.replaced(text, replaced))


def judged(
    text: str,
    channel: Channel,
    policy: PolicyDocument,
    recipe: Recipe,
    signals: set[str] | None = None,
) -> Iterator[tuple[Finding, Mode | None]]:
    """What a text holds and what is done with it; None: it is below its threshold.

    ``signals`` is told what had to be undone, or was not looked at.

    Raises:
        GuardFailed: the engine could not look.
    """
    opaque = token_spans(text)
    told = cells(policy, channel)
    answer = channel is Channel.COMPLETION
    seen = inspect(text, recipe)
    if signals is not None:
        signals.update(seen.signals)
    for finding in seen.findings:
        if not policy.guard(guard_of(finding.data_class)).required:
            continue
        if not _within(finding, opaque):
            yield finding, _mode(finding, told, answer=answer)


def _within(finding: Finding, opaque: Sequence[tuple[int, int]]) -> bool:
    """Whether it lies in a token, or cuts one; what holds a whole token is no part."""
    return any(
        start < finding.end
        and finding.start < end
        and not (finding.start < start and end <= finding.end)
        for start, end in opaque
    )


def _mode(
    finding: Finding, told: Mapping[DataClass, Cell], *, answer: bool
) -> Mode | None:
    """What is done with a finding; None: it is below its threshold."""
    cell = told[finding.data_class]
    if finding.confidence < cell.threshold:
        return None
    if answer and cell.mode is Mode.REVERSIBLE:
        return Mode.STRICT
    return cell.mode


def united(chosen: Sequence[tuple[Finding, Mode]]) -> list[tuple[Finding, Mode]]:
    """Where findings that act overlap, one takes their union: the strictest, surest."""
    standing: list[tuple[Finding, Mode]] = []
    for finding, mode in sorted(chosen, key=lambda each: each[0].start):
        if standing and standing[-1][0].end > finding.start:
            standing[-1] = _union(standing[-1], (finding, mode))
        else:
            standing.append((finding, mode))
    return standing


def _union(
    one: tuple[Finding, Mode], other: tuple[Finding, Mode]
) -> tuple[Finding, Mode]:
    finding, mode = max(one, other, key=_gravity)
    end = max(one[0].end, other[0].end)
    return replace(finding, start=one[0].start, end=end), mode


def _gravity(each: tuple[Finding, Mode]) -> tuple[bool, float]:
    return each[1] is Mode.STRICT, each[0].confidence


def _tokens(
    index: int,
    text: str,
    chosen: Sequence[tuple[Finding, Mode]],
    given: _Given,
) -> list[tuple[Finding, str]]:
    """Number the tokens by first appearance, before anything is replaced."""
    found: list[tuple[Finding, str]] = []
    for finding, mode in chosen:
        value = text[finding.start : finding.end]
        reversible = mode is Mode.REVERSIBLE
        token = given.session.token(finding.data_class, value, reversible=reversible)
        given.acted.append(Acted(index, finding, mode.value, token))
        found.append((finding, token))
    return found


def _failed(
    parts: Sequence[TextPart], policy: PolicyDocument, recipe: Recipe
) -> Redacted | RedactionUnavailable:
    required = [guard for guard in REDACTING if policy.guard(guard).required]
    decisions = tuple(
        Decision(
            stage=STAGE,
            control=guard.value,
            verdict="failed_" + policy.guard(guard).on_failure,
        )
        for guard in required
    )
    looked = (looked_by(STAGE, recipe, ()),)
    if any(policy.guard(g).on_failure is Failing.CLOSED for g in required):
        return RedactionUnavailable(decisions=decisions, looked=looked)
    return Redacted(
        parts=tuple(parts), vault={}, decisions=decisions, guards_ran=(), looked=looked
    )
