"""Redaction: what of a request may leave."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline import externals, operators
from pipeline.detection.engine import (
    MAX_FINDINGS,
    Finding,
    GuardFailed,
    Recipe,
    inspect,
)
from pipeline.detection.recipe import THRESHOLD
from pipeline.detection.work import Clock
from pipeline.findings import Acted, looked_by
from pipeline.policies import REDACTING, cells, guard_of
from pipeline.ports.recognisers import PREFIX, Seen, Unseen
from pipeline.quoted import Quoted
from pipeline.reasons import Reason
from pipeline.text import Channel, TextPart
from pipeline.tokens import Session, escaped, token_spans
from pipeline.verdicts import unseen
from schemas.policies import (
    Cell,
    DataClass,
    Failing,
    Guard,
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
    """The engine could not look, and its guards must not fail.

    Attributes:
        reason: how the request ends.
    """

    reason: Reason
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...] = ()
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """What one call hands from part to part."""

    session: Session
    issued: Collection[str]
    others: externals.Others
    clock: Clock | None = None
    acted: list[Acted] = field(default_factory=list)
    failed: set[Guard] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)


def redact(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    nonce: str,
    issued: Collection[str] = (),
    *,
    outside: Sequence[Seen | Unseen] = (),
    clock: Clock | None = None,
) -> Redacted | RedactionUnavailable:
    """Replace what the policy's cells say, by tokens of this session.

    Law: redacting what is redacted, its tokens given as ``issued``, changes nothing and
    replaces nothing. Equal arguments give equal tokens. What merely looks like a token
    is escaped, except in a completion, where the session's own tokens are opaque. There
    ``reversible`` acts as ``strict``: nobody is left to restore it.

    ``outside`` is what the policy's recognisers said of the parts: their mentions are
    judged by the same cells. One that said nothing has failed, as its rule says.
    Where a clock is given, what looks at a part for longer than it may has failed.
    """
    others = externals.read(outside, policy)
    given = _Given(Session(nonce), issued, others, clock)
    session, acted = given.session, given.acted
    done = tuple(
        _part(index, part, policy, recipe, given) for index, part in enumerate(parts)
    )
    failures = _failures(policy, given.failed)
    own = closed(given.failed, policy)
    if own or others.closed:
        return RedactionUnavailable(
            # Escaped, what looks like tokens is longer than it came.
            reason=unseen((*parts, *done)) if own else Reason.GUARD_UNAVAILABLE,
            decisions=(*failures.values(), *others.failures),
            looked=(looked_by(STAGE, recipe, given.signals),),
        )
    required = [guard for guard in REDACTING if policy.guard(guard).required]
    absent = given.failed | recipe.missing
    return Redacted(
        parts=done,
        vault=session.vault,
        decisions=(*_decisions(acted), *failures.values(), *others.failures),
        guards_ran=(*(g.value for g in required if g not in absent), *others.ran),
        findings=tuple(acted),
        tokens=frozenset(each.token for each in acted if each.token is not None),
        looked=(looked_by(STAGE, recipe, given.signals, acted),),
    )


def _decisions(acted: Sequence[Acted]) -> tuple[Decision, ...]:
    """One for each guard, action and rule that occurred."""
    seen = {(_control(a.finding), a.action, a.finding.rule) for a in acted}
    return tuple(
        Decision(stage=STAGE, control=guard, verdict=action, rule=rule)
        for guard, action, rule in sorted(seen)
    )


def _control(finding: Finding) -> str:
    """The guard that found it."""
    if finding.rule.startswith(PREFIX):
        return finding.rule
    return guard_of(finding.data_class).value


def _part(
    index: int,
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    given: _Given,
) -> TextPart:
    answer = part.channel is Channel.COMPLETION
    text = part.text if answer else escaped(part.text, keep=given.issued)
    room = MAX_FINDINGS - len(given.acted)
    others = given.others.findings(index)
    told = judged(
        text,
        part.channel,
        policy,
        recipe,
        others=others,
        room=room,
        clock=given.clock,
    )
    given.failed.update(told.failed)
    given.signals.update(told.signals)
    chosen: list[tuple[Finding, Mode]] = []
    for finding, mode in told.found:
        if mode is None or mode is Mode.FLAG:
            action = "near" if mode is None else mode.value
            given.acted.append(Acted(index, finding, action, None))
        else:
            chosen.append((finding, mode))
    quoted = Quoted(TextPart(part.path, part.channel, text))
    replaced = _tokens(index, quoted, united(_whole(chosen, quoted)), given)
    return TextPart(part.path, part.channel, operators.replaced(text, replaced))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a text holds and what is done with it.

    Attributes:
        found: findings, by position; without a mode they are below their threshold.
        failed: guards that could not look at something.
        signals: what was undone, or not looked at.
    """

    found: tuple[tuple[Finding, Mode | None], ...]
    failed: frozenset[Guard]
    signals: frozenset[str] = frozenset()


def judged(
    text: str,
    channel: Channel,
    policy: PolicyDocument,
    recipe: Recipe,
    *,
    others: Sequence[Finding] = (),
    room: int = MAX_FINDINGS,
    clock: Clock | None = None,
) -> Judged:
    """What a text holds and what the policy does with it.

    Attributes:
        others: what was found elsewhere.
        room: findings that are told one by one; what follows them is told together.
    """
    try:
        seen = inspect(
            text,
            recipe,
            regions=policy.regions,
            most=room,
            clock=clock,
            acting=_acting(policy, channel, recipe),
        )
    except GuardFailed:
        told = tuple(_told(others, text, policy, channel, recipe))
        return Judged(told, frozenset(REDACTING))
    return Judged(
        tuple(_told((*seen.findings, *others), text, policy, channel, recipe)),
        seen.failed,
        frozenset(seen.signals),
    )


def _acting(
    policy: PolicyDocument, channel: Channel, recipe: Recipe
) -> Mapping[DataClass, float]:
    """Classes that are replaced or block, each from which confidence."""
    return {
        data_class: recipe.least(cell)
        for data_class, cell in cells(policy, channel).items()
        if (cell.mode is not Mode.FLAG or cell.block)
        and policy.guard(guard_of(data_class)).required
    }


def _told(
    findings: Sequence[Finding],
    text: str,
    policy: PolicyDocument,
    channel: Channel,
    recipe: Recipe,
) -> Iterator[tuple[Finding, Mode | None]]:
    opaque = token_spans(text)
    told = cells(policy, channel)
    answer = channel is Channel.COMPLETION
    for each in findings:
        own = not each.rule.startswith(PREFIX)
        if own and not policy.guard(guard_of(each.data_class)).required:
            continue
        finding = _beside(each, opaque)
        if finding is not None:
            cell = told[finding.data_class]
            least = recipe.least(cell) if own else _outside(cell)
            yield finding, _mode(finding, cell, least, answer=answer)


def _outside(cell: Cell) -> float:
    """From which confidence a mention from outside counts; its scale is its own."""
    return THRESHOLD if cell.threshold is None else cell.threshold


def _beside(finding: Finding, opaque: Sequence[tuple[int, int]]) -> Finding | None:
    """None where it lies in a token, or cuts one; it may hold whole tokens.

    What nobody checked is not believed to be a token's: it goes up to the next one.
    """
    first = bisect_right(opaque, finding.start, key=_token_end)
    last = bisect_left(opaque, finding.end, key=_token_start) - 1
    if first > last:
        return finding
    start, end = finding.start, finding.end
    begins, ends = opaque[first]
    if begins < start or (begins == start and ends >= end):
        start = ends
    if opaque[last][1] > end:
        end = opaque[last][0]
    if (start, end) == (finding.start, finding.end):
        return finding
    return (
        None
        if finding.checked or start >= end
        else finding._replace(start=start, end=end)
    )


def _token_start(span: tuple[int, int]) -> int:
    return span[0]


def _token_end(span: tuple[int, int]) -> int:
    return span[1]


def _mode(finding: Finding, cell: Cell, least: float, *, answer: bool) -> Mode | None:
    """What is done with a finding; None: it is below its threshold.

    Beyond a cap there is no confidence to compare, so the cell's mode is taken.
    """
    if finding.checked and finding.confidence < least:
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
    return finding._replace(start=one[0].start, end=end), mode


def _gravity(each: tuple[Finding, Mode]) -> tuple[bool, float]:
    return each[1] is Mode.STRICT, each[0].confidence


def _whole(
    chosen: Sequence[tuple[Finding, Mode]], quoted: Quoted
) -> list[tuple[Finding, Mode]]:
    """Findings in a number of JSON's as the whole of it."""
    done: list[tuple[Finding, Mode]] = []
    for finding, mode in chosen:
        start, end = quoted.whole(finding.start, finding.end)
        done.append((finding._replace(start=start, end=end), mode))
    return done


def _tokens(
    index: int,
    quoted: Quoted,
    chosen: Sequence[tuple[Finding, Mode]],
    given: _Given,
) -> list[tuple[Finding, str]]:
    """Number the tokens by first appearance, before anything is replaced.

    In JSON a value is what its string means, and a number's token is a string, so that
    it stays JSON.
    """
    found: list[tuple[Finding, str]] = []
    for finding, mode in chosen:
        value = quoted.meant(finding.start, finding.end)
        reversible = mode is Mode.REVERSIBLE
        token = given.session.token(finding.data_class, value, reversible=reversible)
        given.acted.append(Acted(index, finding, mode.value, token))
        bare = quoted.bare(finding.start, finding.end)
        found.append((finding, f'"{token}"' if bare else token))
    return found


def closed(failed: Collection[Guard], policy: PolicyDocument) -> bool:
    """Whether a guard is among them that must run and must not fail."""
    rules = [policy.guard(guard) for guard in failed]
    return any(r.required and r.on_failure is Failing.CLOSED for r in rules)


def _failures(
    policy: PolicyDocument, failed: Collection[Guard]
) -> Mapping[Guard, Decision]:
    """What is told of each guard that must run and could not look at something."""
    return {
        guard: Decision(
            stage=STAGE,
            control=guard.value,
            verdict="failed_" + policy.guard(guard).on_failure,
        )
        for guard in REDACTING
        if guard in failed and policy.guard(guard).required
    }
