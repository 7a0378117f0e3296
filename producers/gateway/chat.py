"""``POST /v1/chat/completions``: accept, wait, answer."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from infra.metrics import Metrics
from pipeline.acceptance import Acceptance, Accepted, Asked, Ended
from pipeline.admission import MAX_BODY_BYTES, SEND, Refused, draft
from pipeline.contents import Contents
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.tenants import Principal, Tenants
from pipeline.reasons import Reason
from pipeline.sealing import DataKey, Purpose
from producers.auth import Door
from producers.faults import Fault
from producers.gateway.bodies import body, idempotency_key, traceparent
from producers.gateway.endings import End, Endings
from producers.gateway.errors import ending, refusal, response
from producers.gateway.taken import Transients
from schemas.ids import RequestId, derived
from schemas.requests import Dialect, Outcome

WAY = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """OpenAI's chat completions, answered in one piece."""

    door: Door
    tenants: Tenants
    acceptance: Acceptance
    endings: Endings
    contents: Contents
    transients: Transients
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    max_body_bytes: int = MAX_BODY_BYTES

    async def post(self, request: Request) -> Response:
        """Answer one request; every no in OpenAI's shape."""
        begun = self.clock.monotonic()
        asked = await self._asked(request)
        if isinstance(asked, Fault):
            return self._refused(request, asked)
        request.state.request_id = asked.request_id
        match await self.acceptance.accept(asked):
            case Refused() as refused:
                return self._refused(request, refusal(refused))
            case Ended(key=key, state=state):
                return self._answer(request, key, state.finished)
            case Accepted() as accepted:
                end = await self.endings.of(accepted)
                self.metrics.accepted.labels(WAY).inc()
                self.metrics.answer_seconds.observe(self.clock.monotonic() - begun)
                return self._answer(request, accepted.key, end)

    async def _asked(self, request: Request) -> Asked | Fault:
        principal = await self.door.principal(request, SEND)
        if isinstance(principal, Fault):
            return principal
        request_id = self._request_id(request, principal)
        if isinstance(request_id, Fault):
            return request_id
        raw = await body(request, self.max_body_bytes)
        if isinstance(raw, Fault):
            return raw
        terms = await self.tenants.terms(principal.tenant_id, principal.environment)
        made = draft(raw, Dialect.OPENAI_CHAT, principal, terms)
        if isinstance(made, Refused):
            return refusal(made)
        return Asked(
            principal=principal,
            draft=made,
            terms=terms,
            request_id=request_id,
            origin=traceparent(request, self.entropy),
        )

    def _request_id(self, request: Request, principal: Principal) -> RequestId | Fault:
        key = idempotency_key(request)
        if isinstance(key, Fault):
            return key
        if key is None:
            return RequestId(request.state.request_id)
        tenant, actor = principal.tenant_id, principal.actor
        return RequestId(derived(tenant, "idempotency", actor, key))

    def _refused(self, request: Request, fault: Fault) -> Response:
        self.metrics.refused.labels(WAY, fault.code).inc()
        return response(request, fault)

    def _answer(self, request: Request, key: DataKey, end: End | None) -> Response:
        if end is None:
            late = ending(Outcome.FAILED, Reason.DEADLINE_EXCEEDED)
            return response(request, late)
        answer = self._ended(request, key, end)
        return self.transients.leaving(request, answer, key)

    def _ended(self, request: Request, key: DataKey, end: End) -> Response:
        if end.outcome is not Outcome.COMPLETED or end.answer is None:
            return response(request, ending(end.outcome, end.reason))
        answer = self.contents.open(key, Purpose.COMPLETION, end.answer)
        return Response(answer, media_type="application/json")
