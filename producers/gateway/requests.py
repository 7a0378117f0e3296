"""``GET /v1/requests/{id}``: what became of a request, whichever way it came in."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.admission import NAME, READ
from pipeline.audit import record
from pipeline.contents import Contents
from pipeline.keystore import KeyId
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore
from pipeline.ports.ledger import Logs
from pipeline.ports.requests import Requests, RequestState
from pipeline.ports.tenants import Principal
from pipeline.rejections import REJECTED
from pipeline.sealing import Purpose
from producers.auth import Door
from producers.faults import INVALID_REQUEST, NOT_FOUND, Fault
from producers.gateway.documents import answered
from producers.gateway.errors import response
from schemas.api.gateway import AnswerState, Guards, RequestDocument, State
from schemas.ids import RequestId, derived
from schemas.requests import Dialect, Outcome

_NAMES: Final = ("client_id", "event_id")
_BOTH: Final = INVALID_REQUEST.about(
    *(f"{name}: expected 1 to 255 visible ASCII characters" for name in _NAMES)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the request's row, its key and the ledger tell about it."""

    door: Door
    requests: Requests
    keystore: KeyStore
    contents: Contents
    logs: Logs

    async def get(self, request: Request) -> Response:
        """One request of the credential's own tenant and environment.

        Another's id, and one that never was, get the same bytes.
        """
        principal = await self.door.principal(request, READ)
        if isinstance(principal, Fault):
            return response(request, principal)
        name = _canonical(request.path_params["request_id"])
        return await self._answer(request, principal, name)

    async def find(self, request: Request) -> Response:
        """The request of a Kafka record: ``?client_id=…&event_id=…``."""
        principal = await self.door.principal(request, READ)
        if isinstance(principal, Fault):
            return response(request, principal)
        client, event = (request.query_params.get(name, "") for name in _NAMES)
        if not NAME.fullmatch(client) or not NAME.fullmatch(event):
            return response(request, _BOTH)
        actor = f"client:{client}"
        name = RequestId(derived(principal.tenant_id, "inbox", actor, event))
        return await self._answer(request, principal, name)

    async def _answer(
        self, request: Request, principal: Principal, name: RequestId | None
    ) -> Response:
        document = await self._document(principal, name) if name else None
        if document is None:
            return response(request, NOT_FOUND)
        return Response(
            orjson.dumps(document.model_dump(mode="json")),
            media_type="application/json",
        )

    async def _document(
        self, principal: Principal, name: RequestId
    ) -> RequestDocument | None:
        state = await self.requests.get(principal.tenant_id, name)
        if state is None:
            return await self._rejected(principal, name)
        if state.terms.environment != principal.environment:
            return None
        return await self._with_answer(_told(state), state)

    async def _rejected(
        self, principal: Principal, name: RequestId
    ) -> RequestDocument | None:
        """What the inbox did not accept has no row; the ledger tells why."""
        entries = await self.logs.by_request(principal.tenant_id, name)
        told = [entry for entry in entries if entry.action == REJECTED]
        if not told:
            return None
        last = record(told[-1].body)
        return RequestDocument(
            id=name,
            state=State.REJECTED,
            reason=last.status,
            decisions=last.decision,
        )

    async def _with_answer(
        self, document: RequestDocument, state: RequestState
    ) -> RequestDocument:
        end = state.finished
        if end is None or (end.answer is None and end.outcome is not Outcome.COMPLETED):
            return document
        gone = {"answer_state": AnswerState.DESTROYED}
        if end.answer is None:  # an erasure took it out of the row
            return document.model_copy(update=gone)
        ref = KeyRef(state.tenant_id, state.request_id, KeyId(state.terms.key_id))
        key = (await self.keystore.fetch([ref]))[ref]
        if isinstance(key, Destroyed):
            return document.model_copy(update=gone)
        opened = self.contents.open(key, Purpose.COMPLETION, end.answer)
        if state.terms.dialect is Dialect.OPENAI_RESPONSES:
            opened = answered(opened, state.accepted_at, state.finished_at)
        found = {"answer_state": AnswerState.AVAILABLE, "answer": orjson.loads(opened)}
        return document.model_copy(update=found)


def _canonical(text: str) -> RequestId | None:
    try:
        return RequestId(str(UUID(text)))
    except ValueError:
        return None


def _told(state: RequestState) -> RequestDocument:
    terms, end = state.terms, state.finished
    return RequestDocument(
        id=state.request_id,
        state=State(end.outcome) if end else State.IN_PROGRESS,
        reason=end.reason if end else None,
        model=terms.model,
        dialect=terms.dialect,
        decisions=end.decisions if end else (),
        guards=Guards(
            required=terms.guards_required, ran=end.guards_ran if end else ()
        ),
        usage=end.usage if end else None,
        retention=terms.retention,
        accepted_at=state.accepted_at,
        deadline=terms.deadline,
        finished_at=state.finished_at,
    )
