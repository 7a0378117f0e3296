"""What somebody asks for: credential, body, terms and the request's id."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from infra.metrics import Metrics
from pipeline.acceptance import Asked
from pipeline.admission import MAX_BODY_BYTES, SEND, Refused, draft
from pipeline.ports.system import Entropy
from pipeline.ports.tenants import Principal, Tenants
from producers.auth import Door
from producers.faults import Fault
from producers.gateway.bodies import body, idempotency_key, traceparent
from producers.gateway.errors import refusal, response
from schemas.ids import RequestId, derived
from schemas.requests import Dialect

WAY = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Reads what is asked, the same for every dialect."""

    door: Door
    tenants: Tenants
    entropy: Entropy
    metrics: Metrics
    max_body_bytes: int = MAX_BODY_BYTES

    async def asked(self, request: Request, dialect: Dialect) -> Asked | Fault:
        """A request that may be accepted; from then on the answer bears its id."""
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
        made = draft(raw, dialect, principal, terms)
        if isinstance(made, Refused):
            return refusal(made)
        request.state.request_id = request_id
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

    def refused(self, request: Request, fault: Fault) -> Response:
        """The answer to what is not accepted."""
        self.metrics.refused.labels(WAY, fault.code).inc()
        return response(request, fault)
