"""What recognisers from outside said, as findings that the policy's cells judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection.engine import Finding
from pipeline.ports.recognisers import PREFIX, Mention, Seen, Unseen
from schemas.policies import Failing, PolicyDocument
from schemas.requests import Decision

STAGE: Final = "redaction"
NEAR: Final = 0.1
"""Confidence below which a mention is not even near."""


@dataclass(frozen=True, slots=True)
class Others:
    """What the policy's recognisers said.

    Attributes:
        seen: those that looked.
        failures: a decision for each that did not.
        closed: one of these must not fail.
    """

    seen: tuple[Seen, ...] = ()
    failures: tuple[Decision, ...] = ()
    closed: bool = False
    policy: PolicyDocument | None = None

    @property
    def ran(self) -> tuple[str, ...]:
        """Their names and versions, as coverage has them."""
        return tuple(f"{PREFIX}{each.name}@{each.version}" for each in self.seen)

    def findings(self, part: int) -> tuple[Finding, ...]:
        """What they found in one part that the policy counts."""
        return tuple(
            _finding(each.name, mention)
            for each in self.seen
            for mention in each.found[part]
            if mention.confidence >= NEAR and self._counts(each.name, mention)
        )

    def _counts(self, name: str, mention: Mention) -> bool:
        classes = self.policy.recognisers[name].classes if self.policy else None
        return classes is None or mention.data_class in classes


def read(outside: Sequence[Seen | Unseen], policy: PolicyDocument) -> Others:
    """What was said by those that the policy names; who said nothing has failed."""
    said: Mapping[str, Seen] = {o.name: o for o in outside if isinstance(o, Seen)}
    missed = [name for name in sorted(policy.recognisers) if name not in said]
    rules = {name: policy.recognisers[name].on_failure for name in missed}
    return Others(
        seen=tuple(said[name] for name in sorted(policy.recognisers) if name in said),
        failures=tuple(
            Decision(
                stage=STAGE, control=PREFIX + name, verdict=f"failed_{rules[name]}"
            )
            for name in missed
        ),
        closed=Failing.CLOSED in rules.values(),
        policy=policy,
    )


def _finding(name: str, said: Mention) -> Finding:
    return Finding(
        said.data_class,
        said.kind,
        PREFIX + name,
        said.start,
        said.end,
        said.confidence,
        "outside",
    )
