"""``/livez``, ``/readyz`` and ``/metrics`` of any process."""

from collections.abc import Callable, Sequence

import orjson
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ALIVE = "sluice_alive"
READY = "sluice_ready"
NOT_ALIVE = "process:not_alive"
"""Said where nothing else is: whoever must be started anew gets no work until then."""


def health_routes(
    alive: Callable[[], bool],
    not_ready: Callable[[], Sequence[str]],
    registry: CollectorRegistry,
) -> list[Route]:
    """The three routes.

    Args:
        alive: False: start this process anew.
        not_ready: why it should get no work now, in words of ours; empty: it is ready.
        registry: the metrics that it serves.
    """

    def reasons() -> Sequence[str]:
        return not_ready() or (() if alive() else (NOT_ALIVE,))

    own = CollectorRegistry()
    ProcessCollector(registry=own)
    lives = Gauge(ALIVE, "1: /livez says yes; 0: restart this process.", registry=own)
    serves = Gauge(READY, "1: /readyz says yes.", registry=own)
    lives.set_function(alive)
    serves.set_function(lambda: not reasons())

    async def livez(_: Request) -> Response:
        return _said(ok=alive(), reasons=())

    async def readyz(_: Request) -> Response:
        found = reasons()
        return _said(ok=not found, reasons=found)

    async def metrics(_: Request) -> Response:
        text = generate_latest(registry) + generate_latest(own)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]


def health_app(
    alive: Callable[[], bool],
    not_ready: Callable[[], Sequence[str]],
    registry: CollectorRegistry,
) -> Starlette:
    """The three routes alone, for processes that serve nothing else."""
    return Starlette(routes=health_routes(alive, not_ready, registry))


def _said(*, ok: bool, reasons: Sequence[str]) -> Response:
    body = orjson.dumps({"ok": ok, "reasons": list(reasons)})
    return Response(body, 200 if ok else 503, media_type="application/json")
