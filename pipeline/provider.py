"""The provider call: what its answer means, and what of it reaches the caller."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pipeline.answers import screen_answer
from pipeline.canary import tells
from pipeline.contents import MAX_CARRIED_BYTES
from pipeline.detection.engine import Recipe
from pipeline.detection.work import Clock
from pipeline.dialects import (
    SPEAKERS,
    Json,
    Malformed,
    Opened,
    Speaker,
    read,
    replace,
    written,
)
from pipeline.errors import IntegrityError
from pipeline.findings import Acted
from pipeline.ports.providers import Answered, Refused, Unanswered
from pipeline.ports.recognisers import Seen, Unseen
from pipeline.quoted import holds_json
from pipeline.reasons import Reason
from pipeline.redaction import Redacted, RedactionUnavailable, redact
from pipeline.text import TextPart
from pipeline.tokens import TooLong, restored
from pipeline.verdicts import GuardUnavailable, Screened, Verdict
from schemas.ids import RequestId
from schemas.policies import Place, PolicyDocument, Reveal
from schemas.requests import Decision, Dialect, Looked, Outcome, Usage

ATTEMPTS: Final = 2
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}")
"""A name, as records hold it; whatever else a provider says there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a call went: sealed and stored before anything that follows from it leaves.

    Attributes:
        answer: the provider's body; None where there was no usable one.
        again: an earlier call of the same request may have been made.
    """

    answer: Json | None
    reason: Reason | None = None
    again: bool = False

    def dump(self) -> bytes:
        """As it is sealed."""
        return orjson.dumps([self.answer, self.reason, self.again])


def load(raw: bytes) -> Result:
    """What :meth:`Result.dump` wrote.

    Raises:
        IntegrityError: it is something else.
    """
    try:
        answer, reason, again = orjson.loads(raw)
        return Result(
            answer=answer,
            reason=None if reason is None else Reason(reason),
            again=again,
        )
    except (TypeError, ValueError):
        raise IntegrityError("a stored result is not what was stored") from None


def result(
    seen: Answered | Refused | Unanswered, dialect: Dialect, *, again: bool
) -> Result:
    """What an attempt means. An answer that is none of the dialect's is garbage."""
    match seen:
        case Refused():
            return Result(answer=None, reason=Reason.UPSTREAM_REFUSED, again=again)
        case Unanswered(reason=reason):
            return Result(answer=None, reason=reason, again=again)
        case Answered(body=raw):
            body = read(raw)
            speaker = SPEAKERS[dialect]
            if isinstance(body, Malformed) or speaker.answer_parts(body) is None:
                return Result(answer=None, reason=Reason.UPSTREAM_GARBAGE, again=again)
            return Result(answer=body, again=again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The answer as the caller gets it, and what was decided about it.

    Attributes:
        cut: the provider ended it before it was whole.
    """

    body: bytes
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    usage: Usage
    model: str | None
    cut: bool = False
    looked: tuple[Looked, ...] = ()
    findings: tuple[Acted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """An answer that the caller does not get, and why."""

    outcome: Outcome
    reason: str
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    looked: tuple[Looked, ...] = ()
    findings: tuple[Acted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What turns the caller's own tokens back."""

    vault: Mapping[str, str] = field(repr=False)
    nonce: str


def release(
    asked: Opened,
    *,
    answer: Json,
    dialect: Dialect,
    policy: PolicyDocument,
    recipe: Recipe,
    restoring: Restoring,
    request: RequestId,
    outside: Sequence[Seen | Unseen] = (),
    clock: Clock | None = None,
    mark: str | None = None,
) -> Released | Withheld:
    """Redact a completion, screen it, then turn the caller's own tokens back.

    Restored values are never looked at again, so what the caller wrote comes back as it
    was, and what the model made up is redacted. The answer names the model that was
    asked for.

    Attributes:
        mark: the canary that the request was sent with.
    """
    speaker = SPEAKERS[dialect]
    said = speaker.answer_parts(answer) or ()
    found = redact(
        said,
        policy,
        recipe,
        restoring.nonce,
        outside=outside,
        clock=clock,
    )
    if isinstance(found, RedactionUnavailable):
        return _withheld(found)
    told = mark is not None and any(tells(part.text, mark) for part in said)
    seen = screen_answer(
        found.parts, policy, recipe, asked.parts, found.findings, told=told
    )
    if isinstance(seen, GuardUnavailable) or seen.verdict is Verdict.BLOCKED:
        return _withheld(seen, found)
    decisions = (*found.decisions, *seen.decisions)
    guards_ran = (*found.guards_ran, *seen.guards_ran)
    repeated = [part for part in asked.parts if part.path[0] in speaker.repeats]
    try:
        whole = replace(answer, _back(found.parts, restoring, policy.reveal, speaker))
        words = replace(asked.body, _back(repeated, restoring, _OWN_WORDS, speaker))
        body = written(speaker.answered(words, whole, request))
    except TooLong:
        body = None
    if body is None or len(body) > MAX_CARRIED_BYTES:
        return Withheld(
            outcome=Outcome.FAILED,
            reason=Reason.TOO_LARGE,
            decisions=decisions,
            guards_ran=guards_ran,
            looked=_of_answer(found),
            findings=found.findings,
        )
    return Released(
        body=body,
        decisions=decisions,
        guards_ran=guards_ran,
        usage=speaker.usage(answer),
        model=_name(answer.get("model")),
        cut=speaker.cut(answer),
        looked=_of_answer(found),
        findings=found.findings,
    )


def _of_answer(found: Redacted | RedactionUnavailable) -> tuple[Looked, ...]:
    return tuple(e.model_copy(update={"stage": "answer"}) for e in found.looked)


def _withheld(
    last: RedactionUnavailable | GuardUnavailable | Screened,
    before: Redacted | None = None,
) -> Withheld:
    looking = last if isinstance(last, RedactionUnavailable) else before
    if isinstance(last, Screened):
        outcome, reason = Outcome.BLOCKED, last.reasons[0]
    else:
        outcome, reason = Outcome.FAILED, str(last.reason)
    return Withheld(
        outcome=outcome,
        reason=reason,
        decisions=(*(before.decisions if before else ()), *last.decisions),
        guards_ran=(*(before.guards_ran if before else ()), *last.guards_ran),
        looked=_of_answer(looking) if looking else (),
        findings=before.findings if before else (),
    )


_OWN_WORDS: Final = Reveal(in_urls=True)
"""For what a caller wrote and is told again."""


def _place(part: TextPart, speaker: Speaker) -> Place:
    called = not speaker.calls.isdisjoint(part.path)
    return Place.TOOL_CALL if called else Place.TEXT


def _back(
    parts: Sequence[TextPart], restoring: Restoring, reveal: Reveal, speaker: Speaker
) -> Sequence[TextPart]:
    """The parts with their tokens turned back; escaped, where a text is JSON.

    Raises:
        TooLong: together they have more characters than an event carries bytes.
    """
    vault, nonce, left = restoring.vault, restoring.nonce, MAX_CARRIED_BYTES
    done: list[TextPart] = []
    for part in parts:
        json, place = holds_json(part), _place(part, speaker)
        text = restored(part.text, vault, nonce, reveal, place, in_json=json, most=left)
        left -= len(text)
        done.append(TextPart(part.path, part.channel, text))
    return done


def _name(value: Any) -> str | None:
    """A model's name as a record may hold it."""
    named = isinstance(value, str) and _MODEL.fullmatch(value)
    return value if named else None
