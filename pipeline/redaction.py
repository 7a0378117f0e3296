"""Redaction: what of a request may leave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import (
    OperatorConfig,
    RecognizerResult,
)

from pipeline.detection.engine import Finding, GuardFailed, Recipe, inspect
from pipeline.text import Channel, TextPart
from pipeline.tokens import Session, escaped
from schemas.policies import Cell, DataClass, Failing, Guard, Mode, PolicyDocument
from schemas.requests import Decision

STAGE: Final = "redaction"
STRICT: Final = frozenset(
    {DataClass.CARD, DataClass.BANK, DataClass.GOV_ID, DataClass.SECRET}
)
GUARD_OF: Final = {DataClass.SECRET: Guard.SECRETS, DataClass.PERSON: Guard.NAMES}
GUARDS: Final = (Guard.PII, Guard.SECRETS, Guard.NAMES)
THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """Text parts without what must not leave; paths, channels and order are kept.

    Attributes:
        vault: reversible values by token; never shown.
    """

    parts: tuple[TextPart, ...]
    vault: dict[str, str] = field(repr=False)
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionUnavailable:
    """The engine could not look, and its guards must not fail."""

    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...] = ()


def cell(policy: PolicyDocument, data_class: DataClass, channel: Channel) -> Cell:
    """What happens to a class in a channel; what nobody set takes its default."""
    for each in policy.cells:
        if each.data_class is data_class and each.channel == channel:
            return each
    return Cell(
        data_class=data_class,
        channel=channel.value,
        mode=_default_mode(data_class, channel),
        threshold=THRESHOLD,
    )


def _default_mode(data_class: DataClass, channel: Channel) -> Mode:
    if data_class in STRICT:
        return Mode.STRICT
    if channel is Channel.COMPLETION or data_class is DataClass.URL:
        return Mode.FLAG
    return Mode.REVERSIBLE


def redact(
    parts: Sequence[TextPart], policy: PolicyDocument, recipe: Recipe, nonce: str
) -> Redacted | RedactionUnavailable:
    """Replace what the policy's cells say, by tokens of this session.

    Law: redacting what is redacted changes nothing. Equal arguments give equal tokens.
    """
    session = Session(nonce)
    seen: Counter[tuple[Guard, str, str]] = Counter()
    try:
        done = tuple(_part(part, policy, recipe, session, seen) for part in parts)
    except GuardFailed:
        return _failed(parts, policy)
    return Redacted(
        parts=done,
        vault=session.vault,
        decisions=tuple(
            Decision(stage=STAGE, control=guard.value, verdict=verdict, rule=rule)
            for guard, verdict, rule in sorted(seen)
        ),
        guards_ran=tuple(g.value for g in GUARDS if policy.guard(g).required),
    )


def _part(
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    session: Session,
    seen: Counter[tuple[Guard, str, str]],
) -> TextPart:
    text = part.text
    if part.channel is not Channel.COMPLETION:
        text = escaped(text)
    replaced: list[tuple[Finding, str]] = []
    for finding in inspect(text, recipe):
        guard = GUARD_OF.get(finding.data_class, Guard.PII)
        if not policy.guard(guard).required:
            continue
        chosen = cell(policy, finding.data_class, part.channel)
        near = finding.confidence < chosen.threshold
        seen[guard, "near" if near else chosen.mode.value, finding.rule] += 1
        if near or chosen.mode is Mode.FLAG:
            continue
        token = session.token(
            finding.data_class,
            text[finding.start : finding.end],
            reversible=chosen.mode is Mode.REVERSIBLE,
        )
        replaced.append((finding, token))
    return TextPart(part.path, part.channel, _spliced(text, replaced))


_ENGINE: Final = AnonymizerEngine()  # type: ignore[no-untyped-call]


def _spliced(text: str, replaced: Sequence[tuple[Finding, str]]) -> str:
    """Let presidio's ``replace`` operator put the tokens in.

    Each finding is a type of its own, so that the engine merges no neighbours; tokens
    were numbered before, because the engine works from the end.
    """
    if not replaced:
        return text
    found = [
        RecognizerResult(token, finding.start, finding.end, finding.confidence)
        for finding, token in replaced
    ]
    operators = {
        token: OperatorConfig("replace", {"new_value": token}) for _, token in replaced
    }
    result = _ENGINE.anonymize(
        text,
        found,
        operators,
        merge_entities_with_spaces=False,
    )
    return str(result.text)


def _failed(
    parts: Sequence[TextPart], policy: PolicyDocument
) -> Redacted | RedactionUnavailable:
    required = [guard for guard in GUARDS if policy.guard(guard).required]
    decisions = tuple(
        Decision(
            stage=STAGE,
            control=guard.value,
            verdict="failed_" + policy.guard(guard).on_failure,
        )
        for guard in required
    )
    if any(policy.guard(g).on_failure is Failing.CLOSED for g in required):
        return RedactionUnavailable(decisions=decisions)
    return Redacted(parts=tuple(parts), vault={}, decisions=decisions, guards_ran=())
