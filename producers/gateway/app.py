"""The gateway's routes, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from infra.log import Log, Word
from pipeline.errors import KeyDestroyed, RetryableError, place
from pipeline.ports.system import Entropy
from pipeline.ports.tracing import Tracing
from producers.faults import FORBIDDEN, NOT_READY, UNEXPECTED
from producers.gateway.chat import Chat
from producers.gateway.edge import Edge
from producers.gateway.endpoints import WebhookEndpoints
from producers.gateway.errors import of_router, response
from producers.gateway.oauth import OAuth
from producers.gateway.requests import Story
from producers.gateway.responses import Responses
from producers.gateway.traced import Traced
from schemas.ids import RequestId

_RESPONSE = "/v1/responses/{response_id}"


RECEIPT_KEYS: Final = "/.well-known/receipts/jwks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What the gateway serves.

    Attributes:
        health: routes for the platform that runs us.
        evidence: the ledger's tiles and proofs, below ``/ledger/<log id>``.
    """

    chat: Chat
    responses: Responses
    story: Story
    endpoints: WebhookEndpoints
    oauth: OAuth
    health: Sequence[BaseRoute]
    evidence: ASGIApp
    entropy: Entropy
    log: Log
    tracing: Tracing | None = None

    def app(self) -> ASGIApp:
        """The ASGI application."""
        self.chat.asking.metrics.ready_for_http()
        routes = [
            Route("/v1/chat/completions", self.chat.post, methods=["POST"]),
            Route("/v1/responses", self.responses.post, methods=["POST"]),
            Route(_RESPONSE, self.responses.get, methods=["GET"]),
            Route(_RESPONSE, self.responses.delete, methods=["DELETE"]),
            Route(_RESPONSE + "/cancel", self.responses.cancel, methods=["POST"]),
            Route("/v1/requests", self.story.find, methods=["GET"]),
            Route("/v1/requests/{request_id}", self.story.get, methods=["GET"]),
            Route("/oauth/token", self.oauth.token, methods=["POST"]),
            Route("/.well-known/jwks.json", self.oauth.keys, methods=["GET"]),
            Route(RECEIPT_KEYS, self.oauth.receipt_keys, methods=["GET"]),
            *self.endpoints.routes(),
            Mount("/ledger", self.evidence),
            *self.health,
        ]
        inner = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: of_router,
                RetryableError: _not_ready,
                KeyDestroyed: _ended,
                ClientDisconnect: _gone,
                Exception: self._unexpected,
            },
        )
        # Where it leads is told by headers of the caller's, and may be in the clear.
        inner.router.redirect_slashes = False
        edge = Edge(inner, self.entropy)
        if self.tracing is None:
            return edge
        known = [each.path for each in routes if isinstance(each, Route)]
        return Traced(edge, self.tracing, frozenset(p for p in known if "{" not in p))

    async def _unexpected(self, request: Request, error: Exception) -> Response:
        request_id = RequestId(request.state.request_id)
        where = Word(place(error))
        self.log.error("unexpected_error", request_id=request_id, place=where)
        return response(request, UNEXPECTED)


async def _not_ready(request: Request, _: Exception) -> Response:
    return response(request, NOT_READY)


async def _ended(request: Request, _: Exception) -> Response:
    """An ended tenant has no keys; its credentials are remembered for seconds."""
    return response(request, FORBIDDEN)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it
