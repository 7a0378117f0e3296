"""The provider call: what its answer means, and what of it reaches the caller."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.detection.engine import Recipe
from pipeline.dialects import SPEAKERS, Json, Malformed, read, replace, written
from pipeline.errors import IntegrityError
from pipeline.ports.providers import Answered, Refused, Unanswered
from pipeline.reasons import Reason
from pipeline.redaction import RedactionUnavailable, redact
from pipeline.text import TextPart
from pipeline.tokens import restored
from schemas.policies import PolicyDocument
from schemas.requests import Decision, Dialect, Usage

ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a call went: what is sealed and stored before anything else is done.

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
    except ValueError:
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
            if isinstance(body, Malformed) or not SPEAKERS[dialect].answer_parts(body):
                return Result(answer=None, reason=Reason.UPSTREAM_GARBAGE, again=again)
            return Result(answer=body, again=again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The answer as the caller gets it, and what was decided about it."""

    body: bytes
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    usage: Usage
    model: str | None


def release(
    answer: Json,
    dialect: Dialect,
    policy: PolicyDocument,
    recipe: Recipe,
    *,
    vault: dict[str, str],
    nonce: str,
    model: str,
) -> Released | RedactionUnavailable:
    """Redact a completion, then turn the caller's own tokens back.

    Restored values are never looked at again, so what the caller wrote comes back as it
    was, and what the model made up is redacted. The answer names the model that was
    asked for.
    """
    speaker = SPEAKERS[dialect]
    found = redact(speaker.answer_parts(answer) or (), policy, recipe, nonce)
    if isinstance(found, RedactionUnavailable):
        return found
    parts = [
        TextPart(part.path, part.channel, restored(part.text, vault, nonce))
        for part in found.parts
    ]
    upstream = answer.get("model")
    return Released(
        body=written({**replace(answer, parts), "model": model}),
        decisions=found.decisions,
        guards_ran=found.guards_ran,
        usage=speaker.usage(answer),
        model=_name(upstream),
    )


def _name(value: Any) -> str | None:
    """A model's name as a record may hold it."""
    if not isinstance(value, str) or not value.isprintable():
        return None
    return value[:128] or None
