"""``/v1/responses``: answered at once, or in the background and fetched later."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pipeline.acceptance import Acceptance, Accepted, Asked
from pipeline.admission import READ, SEND, Refused
from pipeline.cancellation import CALLED_OFF, cancelled
from pipeline.contents import Contents
from pipeline.dialects.openai_responses import request_of, response_id
from pipeline.erasure import order, ordered
from pipeline.keystore import KeyId
from pipeline.ports.bus import Publisher
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore
from pipeline.ports.requests import ProviderCalls, Requests, RequestState
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.tenants import Principal
from pipeline.sealing import DataKey, Purpose
from producers.auth import Door
from producers.faults import NOT_FOUND, NOT_READY, Fault
from producers.gateway.answering import Answering
from producers.gateway.asking import WAY, Asking
from producers.gateway.documents import answered, unanswered, waits_for_nobody
from producers.gateway.errors import (
    CONTENT_DESTROYED,
    NOT_IN_BACKGROUND,
    STILL_OPEN,
    STREAM_UNSUPPORTED,
    refusal,
    response,
)
from schemas.api.responses import ResponseDeleted
from schemas.base import Schema
from schemas.ids import EventId
from schemas.requests import Dialect, Outcome
from schemas.retention import ErasureOrdered
from schemas.topics import RETENTION_DUE, Outgoing

SOURCE: Final = "/sluice/gateway"
GONE_WITHIN_S: Final = 5.0
LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """OpenAI's responses.

    Attributes:
        answering: for callers that wait.
        acceptance: for those that do not.
    """

    door: Door
    asking: Asking
    answering: Answering
    acceptance: Acceptance
    publisher: Publisher
    requests: Requests
    calls: ProviderCalls
    keystore: KeyStore
    contents: Contents
    clock: Clock
    entropy: Entropy

    async def post(self, request: Request) -> Response:
        """Create one; ``background`` says whether the caller waits."""
        return await self._way(
            request, await self.asking.asked(request, Dialect.OPENAI_RESPONSES)
        )

    def _way(self, request: Request, asked: Asked | Fault) -> Awaitable[Response]:
        """No coroutine: its frame would hold ``asked`` as long as a caller waits."""
        if isinstance(asked, Asked) and asked.draft.body.get("background"):
            return self._begun(request, asked)
        return self.answering.answer(request, asked, self._at_once)

    def _at_once(self, answer: bytes, accepted_at: datetime) -> bytes:
        return answered(answer, accepted_at, self.clock.now())

    async def _begun(self, request: Request, asked: Asked) -> Response:
        """Durable once this is answered; a retry tells how the first one stands."""
        found = await self.acceptance.accept(asked)
        if isinstance(found, Refused):
            return self.asking.refused(request, refusal(found))
        if isinstance(found, Accepted):
            await self.publisher.publish([found.outgoing])
            self.asking.metrics.accepted.labels(WAY).inc()
        tenant = asked.principal.tenant_id
        state = await self.requests.get(tenant, asked.request_id)
        return await self._told(request, state)

    async def get(self, request: Request) -> Response:
        """How one stands, and its answer; once it has ended, while its key lives.

        Another tenant's id, and one that never was, get the same answer.
        """
        found = await self._named(request, READ)
        if isinstance(found, Fault):
            return response(request, found)
        if request.query_params.get("stream") == "true":
            return response(request, STREAM_UNSUPPORTED)
        return await self._told(request, found[1])

    async def cancel(self, request: Request) -> Response:
        """End an open one; one that has ended is told as it is."""
        found = await self._named(request, SEND)
        if isinstance(found, Fault):
            return response(request, found)
        principal, state = found
        if not waits_for_nobody(state):
            return response(request, NOT_IN_BACKGROUND)
        if state.finished is None:
            await self._cancel(state, principal)
        now = await self.requests.get(state.tenant_id, state.request_id)
        return await self._told(request, now)

    async def _cancel(self, state: RequestState, principal: Principal) -> None:
        """Publish the end, then let the row say at once which end was the first.

        What is published counts also where we die before the row has it.
        """
        now = self.clock.now()
        outgoing = cancelled(state, principal.actor, source=SOURCE, now=now)
        await self.publisher.publish(outgoing)
        (first,) = await self.requests.finish([outgoing[0].event])
        key = await self._key(state)
        if first and key is not None:
            sealed = self.contents.seal(key, Purpose.PROVIDER_RESULT, CALLED_OFF.dump())
            result = sealed.model_dump_json().encode()
            await self.calls.done(state.tenant_id, state.request_id, result)

    async def delete(self, request: Request) -> Response:
        """Have one that has ended erased; answered once its key is destroyed."""
        found = await self._named(request, SEND)
        if isinstance(found, Fault):
            return response(request, found)
        principal, state = found
        if state.finished is None:
            return response(request, STILL_OPEN)
        if await self._key(state) is None:
            return response(request, CONTENT_DESTROYED)
        await self.publisher.publish(self._order(state, principal))
        if not await self._gone(state):
            return response(request, NOT_READY)
        return _json(ResponseDeleted(id=response_id(state.request_id)))

    def _order(
        self, state: RequestState, principal: Principal
    ) -> Sequence[Outgoing[Any]]:
        event = order(
            state.tenant_id,
            ErasureOrdered(
                actor=principal.actor, scope="request", ref=state.request_id
            ),
            EventId(self.entropy.uuid7()),
            SOURCE,
            self.clock.now(),
        )
        return [Outgoing(RETENTION_DUE, event), ordered(event)]

    async def _gone(self, state: RequestState) -> bool:
        until = self.clock.monotonic() + GONE_WITHIN_S
        while await self._key(state) is not None:
            if self.clock.monotonic() >= until:
                return False
            await self.clock.sleep(LOOK_S)
        return True

    async def _named(
        self, request: Request, needs: str
    ) -> tuple[Principal, RequestState] | Fault:
        principal = await self.door.principal(request, needs)
        if isinstance(principal, Fault):
            return principal
        name = request_of(request.path_params["response_id"])
        state = await self.requests.get(principal.tenant_id, name) if name else None
        if state is None or not _is_theirs(state, principal):
            return NOT_FOUND
        return principal, state

    async def _told(self, request: Request, state: RequestState | None) -> Response:
        if state is None:
            return response(request, NOT_FOUND)  # erased meanwhile
        end = state.finished
        if end is None:
            begun = await self.calls.begun(state.tenant_id, state.request_id)
            return _json(unanswered(state, begun=begun))
        key = await self._key(state)
        if key is None or (end.outcome is Outcome.COMPLETED and end.answer is None):
            return response(request, CONTENT_DESTROYED)
        if end.answer is None:
            return _json(unanswered(state))
        opened = self.contents.open(key, Purpose.COMPLETION, end.answer)
        told = answered(opened, state.accepted_at, state.finished_at)
        return Response(told, media_type="application/json")

    async def _key(self, state: RequestState) -> DataKey | None:
        """None: it is gone."""
        ref = KeyRef(state.tenant_id, state.request_id, KeyId(state.terms.key_id))
        key = (await self.keystore.fetch([ref]))[ref]
        return None if isinstance(key, Destroyed) else key


def _is_theirs(state: RequestState, principal: Principal) -> bool:
    terms = state.terms
    return (terms.dialect, terms.environment) == (
        Dialect.OPENAI_RESPONSES,
        principal.environment,
    )


def _json(document: Schema) -> Response:
    return Response(document.model_dump_json(), media_type="application/json")
