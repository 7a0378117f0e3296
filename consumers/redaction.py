"""Takes what must not leave out of screened requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline import findings
from pipeline.contents import MAX_CARRIED_BYTES, Contents
from pipeline.detection.engine import Recipe
from pipeline.dialects import opened, replace, written
from pipeline.ports.recognisers import NOBODY, Recognisers
from pipeline.ports.system import Clock
from pipeline.reasons import Reason
from pipeline.redaction import Redacted, RedactionUnavailable, redact
from pipeline.sealing import DataKey, Purpose
from pipeline.tokens import session_nonce
from pipeline.trail import Step, sealed, stopped, told
from pipeline.work import Bench, Work
from schemas.events import Event, after
from schemas.requests import RequestRedacted, RequestScreened
from schemas.topics import REQUESTS_REDACTED, Outgoing

SOURCE: Final = "/sluice/redaction"
ACTION: Final = "request.redacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionConsumer:
    """Replaces personal and secret data; seals what can be restored later."""

    bench: Bench
    contents: Contents
    recipe: Recipe
    clock: Clock
    recognisers: Recognisers = NOBODY

    async def prepare(self, events: Sequence[Event[RequestScreened]]) -> Work:
        """Keys and policies of the batch."""
        return await self.bench.work(events)

    async def handle(
        self, event: Event[RequestScreened], work: Work
    ) -> Sequence[Outgoing[Any]]:
        """The redacted request, or its end."""
        now = self.clock.now()
        key = work.key(event, now)
        if not isinstance(key, DataKey):
            step = Step(action=ACTION, status=key)
            return stopped(event, step, source=SOURCE, now=now)
        raw = self.contents.open(key, Purpose.REQUEST, event.data.content)
        body = opened(event.data.terms.dialect, raw)
        nonce, policy = session_nonce(key), work.policy(event)
        texts = [part.text for part in body.parts]
        outside = await self.recognisers.look(texts, policy.recognisers)
        match redact(
            body.parts,
            policy,
            self.recipe,
            nonce,
            outside=outside,
            clock=self.clock.cpu,
        ):
            case RedactionUnavailable() as failed:
                step = _step(failed, failed.reason)
                return stopped(event, step, source=SOURCE, now=now)
            case Redacted() as redacted:
                sent = written(replace(body.body, redacted.parts))
                vault = orjson.dumps(redacted.vault) if redacted.vault else b""
                if len(sent) + len(vault) > MAX_CARRIED_BYTES:
                    step = _step(redacted, Reason.TOO_LARGE)
                    return stopped(event, step, source=SOURCE, now=now)
                return self._passed(event, key, redacted, sent, vault)

    def _passed(
        self,
        event: Event[RequestScreened],
        key: DataKey,
        redacted: Redacted,
        body: bytes,
        values: bytes,
    ) -> Sequence[Outgoing[Any]]:
        now = self.clock.now()
        content = self.contents.seal(key, Purpose.REQUEST, body)
        vault = self.contents.seal(key, Purpose.REVERSIBLE, values) if values else None
        found_in = findings.sealed(self.contents, key, redacted.findings, self.recipe)
        data = RequestRedacted(
            terms=event.data.terms,
            content=content,
            vault=vault,
            findings=found_in,
            decisions=(*event.data.decisions, *redacted.decisions),
            guards_ran=(*event.data.guards_ran, *redacted.guards_ran),
            looked=(*event.data.looked, *redacted.looked),
        )
        step = Step(
            action=ACTION,
            decisions=redacted.decisions,
            guards_ran=redacted.guards_ran,
            contents=sealed((Purpose.REQUEST, content), (Purpose.FINDINGS, found_in)),
            looked=redacted.looked,
        )
        attributes = after(event.attributes, data.kind, source=SOURCE, time=now)
        return [
            told(event, step, source=SOURCE, now=now),
            Outgoing(REQUESTS_REDACTED, Event(attributes, data)),
        ]


def _step(judged: Redacted | RedactionUnavailable, reason: Reason) -> Step:
    """Why it went no further."""
    return Step(
        action=ACTION,
        status=reason,
        decisions=judged.decisions,
        guards_ran=judged.guards_ran,
        looked=judged.looked,
    )
