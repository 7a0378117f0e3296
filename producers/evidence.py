"""Logs over HTTP in the C2SP tlog-tiles form: auditors read them with their own tools.

Each log is served below its log id, to whoever may read it; the root log to the
operator's auditor alone. What may not be read is answered like what is not there.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from pipeline.checkpoint import parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import TILE_WIDTH
from pipeline.ports.ledger import Logs
from pipeline.proofs import prove
from pipeline.tiles import Tile, bundle, parse_path
from schemas.ids import TenantId
from schemas.problems import Problem, problem

Readable: TypeAlias = Callable[[Request], Awaitable[Collection[TenantId] | None]]
"""Whose logs the caller may read; None: we do not know who calls."""
Answer: TypeAlias = Callable[["Log", Request], Awaitable[Response | None]]

# A checkpoint is news within seconds; a tile, once it is there, never changes.
FRESH: Final = {"cache-control": "private, max-age=5"}
FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Log:
    """A log that the caller may read, at its last published checkpoint."""

    tenant: TenantId
    note: str
    size: int


def evidence(logs: Logs, readable: Readable) -> Router:
    """The application: ``/<log id>/checkpoint``, ``/tile/...``, ``/proof/<seq>``."""

    def route(path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            tenants = await readable(request)
            if tenants is None:
                return _refused(_MISSING)
            log = await _find(logs, tenants, request.path_params["log"])
            found = await answer(log, request) if log else None
            return found or _refused(_NOT_FOUND)

        return Route("/{log}" + path, endpoint, methods=["GET"])

    async def tile(log: Log, request: Request) -> Response | None:
        return await _tile(logs, log, request)

    async def proof(log: Log, request: Request) -> Response | None:
        return await _proof(logs, log, request)

    return Router(
        [
            route("/checkpoint", _checkpoint),
            route("/tile/{path:path}", tile),
            route("/proof/{seq:int}", proof),
        ]
    )


async def _find(logs: Logs, tenants: Collection[TenantId], log_id: str) -> Log | None:
    for tenant in tenants:
        note = await logs.latest(tenant)
        if note is not None:
            signed = parse_note(note)
            if signed.origin.rpartition("/")[2] == log_id:
                return Log(tenant, note, signed.size)
    return None


async def _checkpoint(log: Log, _: Request) -> Response:
    return Response(log.note, media_type=TEXT, headers=FRESH)


async def _tile(logs: Logs, log: Log, request: Request) -> Response | None:
    try:
        tile = parse_path(f"tile/{request.path_params['path']}")
    except InvalidMessage:
        return None
    if not tile.stands(log.size):
        return None
    data = await _content(logs, log, tile)
    return Response(data, media_type=BYTES, headers=FOREVER)


async def _content(logs: Logs, log: Log, tile: Tile) -> bytes:
    if tile.level is not None:
        return await logs.hashes(log.tenant, tile.level, tile.index, tile.width)
    rows = await logs.read(log.tenant, tile.index * TILE_WIDTH, tile.width)
    return bundle([entry.body for entry in rows])


async def _proof(logs: Logs, log: Log, request: Request) -> Response | None:
    seq: int = request.path_params["seq"]
    if seq >= log.size:
        return None
    made = await prove(logs, log.tenant, seq, parse_note(log.note), log.note)
    return Response(made.text, media_type=TEXT, headers=FRESH)


_MISSING: Final = problem(
    "credential-missing", 401, "Who is asking?", "Present a credential that may read."
)
_NOT_FOUND: Final = problem(
    "not-found", 404, "Not found", "There is no such log, or no such part of it."
)


def _refused(why: Problem) -> Response:
    return Response(
        why.model_dump_json(exclude_none=True),
        status_code=why.status,
        media_type="application/problem+json",
    )
