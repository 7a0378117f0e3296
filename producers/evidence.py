"""Logs over HTTP: tiles in the C2SP form for other people's tools, and what is asked.

Each log is served below its log id, to whoever may read it; the root log to the
operator's auditor alone. What may not be read is answered like what is not there.

/                      the logs that the caller may read
/<log id>/checkpoint   the last signed note; /tile/... what it counts (tlog-tiles)
/<log id>/vkeys.json   the keys that sign it, and when; hold them against another way
/<log id>/proof/<seq>  a record's way up to that note (tlog-proof)
/<log id>/records      ?request, actor, action, since, until; after, limit; format
/<log id>/root         that the root log holds a checkpoint of this log, and since when
"""

import json
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from pipeline.admission import READ
from pipeline.anchors.rooting import prove_root
from pipeline.checkpoint import log_id, parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH
from pipeline.passes import Refused
from pipeline.ports.anchors import Anchors, Kind
from pipeline.ports.ledger import Logs
from pipeline.proofs import prove
from pipeline.tiles import Tile, bundle, parse_path
from producers.auth import Door
from producers.faults import INVALID_REQUEST, NOT_FOUND, Fault
from producers.gateway.errors import as_problem
from producers.records import FORMATS, asked, link, page, written
from schemas.ids import TenantId

Readable: TypeAlias = Callable[[Request], Awaitable[Collection[TenantId] | Fault]]
"""Whose logs the caller may read, or why none."""
Answer: TypeAlias = Callable[["Log", Request], Awaitable[Response | None]]

# A checkpoint is news within seconds; a tile, once it is there, never changes.
FRESH: Final = {"cache-control": "private, max-age=5"}
FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
JSON: Final = "application/json"
_SEQ: Final = re.compile("[0-9]{1,16}")
"""An integer that JSON can hold exactly has no more digits."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log that the caller may read, at its last published checkpoint."""

    tenant: TenantId
    note: str
    size: int


def evidence(
    logs: Logs,
    readable: Readable,
    anchors: Anchors | None = None,
    vkeys: Callable[[str], str] | None = None,
) -> Router:
    """The application.

    Args:
        logs: what is served.
        readable: whose logs a caller may read.
        anchors: what others gave for the root log, if anything.
        vkeys: the ``vkeys.json`` of a log, by its origin, where keys are told.
    """

    def route(path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            tenants = await readable(request)
            if isinstance(tenants, Fault):
                return as_problem(request, tenants)
            log = await _find(logs, tenants, request.path_params["log"])
            found = await answer(log, request) if log else None
            return found or as_problem(request, NOT_FOUND)

        return Route("/{log}" + path, endpoint, methods=["GET"])

    async def listed(request: Request) -> Response:
        tenants = await readable(request)
        if isinstance(tenants, Fault):
            return as_problem(request, tenants)
        return await _list(logs, tenants)

    return Router(
        [
            Route("/", listed, methods=["GET"]),
            route("/checkpoint", _checkpoint),
            route("/vkeys.json", partial(_vkeys, vkeys)),
            route("/tile/{path:path}", partial(_tile, logs)),
            route("/proof/{seq}", partial(_proof, logs)),
            route("/records", partial(_records, logs)),
            route("/root", partial(_root, logs, anchors)),
        ],
        redirect_slashes=False,
    )


def own_logs(door: Door) -> Readable:
    """A credential that may read reads its own tenant's log."""

    async def readable(request: Request) -> Collection[TenantId] | Fault:
        found = await door.principal(request, READ)
        return found if isinstance(found, Fault) else [found.tenant_id]

    return readable


async def _find(logs: Logs, tenants: Collection[TenantId], name: str) -> Log | None:
    for tenant in tenants:
        note = await logs.latest(tenant)
        if note is not None:
            signed = parse_note(note)
            if log_id(signed.origin) == name:
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
    """All of a tile: what is served of it is kept for ever by who gets it.

    Raises:
        Refused: the log lacks a part of what its checkpoint counts.
    """
    first = tile.index * TILE_WIDTH << TILE_HEIGHT * (tile.level or 0)
    if tile.level is not None:
        found = await logs.hashes(log.tenant, tile.level, tile.index, tile.width)
        if len(found) != tile.width * HASH_BYTES:
            raise Refused(first, "a tile is missing")
        return found
    rows = await logs.read(log.tenant, first, tile.width)
    if [row.seq for row in rows] != [*range(first, first + tile.width)]:
        raise Refused(first, "records are missing")
    return bundle([entry.body for entry in rows])


async def _proof(logs: Logs, log: Log, request: Request) -> Response | None:
    named = _SEQ.fullmatch(request.path_params["seq"])
    if named is None or (seq := int(named[0])) >= log.size:
        return None
    made = await prove(logs, log.tenant, seq, parse_note(log.note), log.note)
    return Response(made.text, media_type=TEXT, headers=FRESH)


async def _list(logs: Logs, tenants: Collection[TenantId]) -> Response:
    notes = [await logs.latest(each) for each in tenants]
    signed = [parse_note(note) for note in notes if note is not None]
    found = [
        {"id": log_id(each.origin), "origin": each.origin, "size": each.size}
        for each in signed
    ]
    return Response(json.dumps(found), media_type=JSON, headers=FRESH)


async def _records(logs: Logs, log: Log, request: Request) -> Response:
    """Only what the checkpoint counts: whatever is served can be proved."""
    try:
        wanted = asked(request.query_params)
    except InvalidMessage as error:
        fault = INVALID_REQUEST.about(f"{error.where}: {error.reason}")
        return as_problem(request, fault)
    entries, after = await page(logs, log.tenant, log.size, wanted)
    body = await written(logs, log.tenant, entries, wanted.form)
    headers = {"cache-control": "no-store"}
    if after is not None:
        params = dict(request.query_params)
        headers["link"] = link(request.url.path, params, after)
    return Response(body, media_type=FORMATS[wanted.form], headers=headers)


async def _vkeys(
    vkeys: Callable[[str], str] | None, log: Log, _: Request
) -> Response | None:
    if vkeys is None:
        return None
    told = vkeys(parse_note(log.note).origin)
    return Response(told, media_type=JSON, headers=FRESH)


async def _root(
    logs: Logs, anchors: Anchors | None, log: Log, _: Request
) -> Response | None:
    if anchors is None:
        return None
    found = await prove_root(logs, anchors, log.tenant)
    if found is None:
        return None
    stamps = [each for each in found.anchored if each.kind is Kind.TIMESTAMP]
    lines = [each for each in found.anchored if each.kind is Kind.WITNESS]
    told = {
        "size": found.size,
        "salt": found.salt.hex(),
        "record": found.record.decode(),
        "proof": found.proof.text,
        "timestamps": {each.by: b64encode(each.evidence).decode() for each in stamps},
        "cosignatures": [each.evidence.decode() for each in lines],
    }
    return Response(json.dumps(told), media_type=JSON, headers=FRESH)
