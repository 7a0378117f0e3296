"""Decides whether an accepted request may pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipeline.contents import Contents
from pipeline.detection.engine import Recipe
from pipeline.dialects import SPEAKERS, opened
from pipeline.ports.system import Clock
from pipeline.reasons import Reason
from pipeline.screening import screen
from pipeline.sealing import DataKey, Purpose
from pipeline.trail import Step, stopped, told
from pipeline.verdicts import GuardUnavailable, Screened, Verdict
from pipeline.work import Bench, Work
from schemas.events import Event, after
from schemas.policies import Guard
from schemas.requests import Outcome, RequestAccepted, RequestScreened
from schemas.topics import REQUESTS_SCREENED, Outgoing

SOURCE: Final = "/sluice/screening"
ACTION: Final = "request.screened"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningConsumer:
    """Records that a request was accepted, then screens its text."""

    bench: Bench
    contents: Contents
    recipe: Recipe
    clock: Clock

    async def prepare(self, events: Sequence[Event[RequestAccepted]]) -> Work:
        """Keys and policies of the batch."""
        return await self.bench.work(events)

    async def handle(
        self, event: Event[RequestAccepted], work: Work
    ) -> Sequence[Outgoing[Any]]:
        """What screening made of one request."""
        now = self.clock.now()
        accepted = Step(
            action="request.accepted",
            contents=((Purpose.REQUEST, event.data.content),),
        )
        # Of when it was accepted: what was erased while it waited here is older than
        # the order, and its record must say so.
        at = event.attributes.time
        begun = told(event, accepted, source=SOURCE, now=at)
        found = self._screened(event, work)
        if isinstance(found, Screened) and found.verdict is not Verdict.BLOCKED:
            return [begun, *self._passed(event, found, now)]
        step, outcome = _stopping(found)
        end = stopped(event, step, source=SOURCE, now=now, outcome=outcome)
        return [begun, *end]

    def _screened(
        self, event: Event[RequestAccepted], work: Work
    ) -> Screened | GuardUnavailable | Reason:
        key = work.key(event, self.clock.now())
        if not isinstance(key, DataKey):
            return key
        raw = self.contents.open(key, Purpose.REQUEST, event.data.content)
        dialect, policy = event.data.terms.dialect, work.policy(event)
        asked = opened(dialect, raw)
        return screen(
            asked.parts,
            policy,
            self.recipe,
            self.clock.cpu,
            attached=policy.guard(Guard.ATTACHMENTS).required
            and SPEAKERS[dialect].attached(asked.body),
        )

    def _passed(
        self, event: Event[RequestAccepted], screened: Screened, now: datetime
    ) -> Sequence[Outgoing[Any]]:
        data = RequestScreened(
            terms=event.data.terms,
            content=event.data.content,
            decisions=screened.decisions,
            guards_ran=screened.guards_ran,
            looked=screened.looked,
        )
        attributes = after(event.attributes, data.kind, source=SOURCE, time=now)
        return [
            told(event, _step(screened, screened.verdict), source=SOURCE, now=now),
            Outgoing(REQUESTS_SCREENED, Event(attributes, data)),
        ]


def _stopping(found: Screened | GuardUnavailable | Reason) -> tuple[Step, Outcome]:
    if isinstance(found, Reason):
        return Step(action=ACTION, status=found), Outcome.FAILED
    if isinstance(found, GuardUnavailable):
        return _step(found, found.reason), Outcome.FAILED
    return _step(found, found.reasons[0]), Outcome.BLOCKED


def _step(found: Screened | GuardUnavailable, status: str) -> Step:
    return Step(
        action=ACTION,
        status=status,
        decisions=found.decisions,
        guards_ran=found.guards_ran,
        looked=found.looked,
    )
