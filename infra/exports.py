"""Logs as folders: what an auditor takes away, and how it is read again.

<log id>/records.jsonl        the records' exact bytes, one a line
<log id>/checkpoint           the last signed note
<log id>/checkpoints/<size>   every signed note
<log id>/tile/...             tiles and entry bundles, as c2sp.org/tlog-tiles serves
<log id>/vkeys.json           the keys that signed, and when
<log id>/anchors/, root/      what others said of it (infra/anchors/exported.py)
"""

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, ValidationError
from typing_extensions import override

from infra.anchors.exported import ROOT_FOLDER, write_anchors, write_root
from infra.signer.ed25519 import PublicKeys
from pipeline.anchors.rooting import prove_root
from pipeline.audit import Entry, Head
from pipeline.canonical import parse
from pipeline.checkpoint import VerifyKey, parse_key, parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES, TILE_WIDTH, CompactRange, extend, leaf_hash
from pipeline.ports.anchors import Anchors
from pipeline.ports.ledger import Logs
from pipeline.querying import Query
from pipeline.root import Rooted
from pipeline.tiles import Tile, bundle, tiles_of
from schemas.base import Schema
from schemas.ids import EventId, RequestId, TenantId

RECORDS = "records.jsonl"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
VKEYS = "vkeys.json"
CHUNK = 4096


class NamedKey(Schema):
    """A key of one log, in the form that verifiers take, and when it signs."""

    vkey: str
    not_before: AwareDatetime
    not_after: AwareDatetime | None = None


class NamedKeys(Schema):
    """Every key that ever signed a log, oldest first."""

    keys: tuple[NamedKey, ...]

    def parsed(self) -> tuple[VerifyKey, ...]:
        """The keys, each with its id checked.

        Raises:
            InvalidMessage: one is not what its id says.
        """
        return tuple(parse_key(each.vkey) for each in self.keys)


def read_keys(path: Path) -> tuple[VerifyKey, ...]:
    """The keys of a ``vkeys.json``.

    Raises:
        InvalidMessage: it is no such file.
    """
    try:
        return NamedKeys.model_validate_json(path.read_bytes()).parsed()
    except (OSError, ValidationError):
        raise InvalidMessage("expected the keys of a log", path.name) from None


async def export(
    logs: Logs,
    tenant: TenantId,
    keys: PublicKeys,
    folder: Path,
    anchors: Anchors | None = None,
) -> Head:
    """Write one log below ``folder``, up to its last checkpoint's size or beyond.

    Args:
        logs: where it lies.
        tenant: whose it is.
        keys: of the signer.
        folder: where exports lie.
        anchors: what others gave for checkpoints; None: nothing is exported of it.

    Raises:
        FileExistsError: there is an export of this log already; none is overwritten.
        LookupError: the tenant has no log.
    """
    notes = await logs.checkpoints(tenant)
    head = await logs.head(tenant)
    if head is None:
        raise LookupError("expected a tenant with a log")
    place = folder / log_id(head.origin)
    place.mkdir(parents=True)
    _write_notes(place, notes)
    (place / VKEYS).write_text(_named(keys, head.origin).model_dump_json(indent=2))
    if anchors is not None:
        await _write_anchors(logs, anchors, tenant, keys, place)
    await _write_records(logs, tenant, head, place)
    for tile in tiles_of(head.size):
        await _write_tile(logs, tenant, tile, place)
    return head


async def _write_anchors(
    logs: Logs, anchors: Anchors, tenant: TenantId, keys: PublicKeys, place: Path
) -> None:
    notes = notes_by_size(await logs.checkpoints(tenant))
    write_anchors(place, notes, await anchors.anchored(tenant))
    found = await prove_root(logs, anchors, tenant)
    if found is not None:
        write_root(place, found)
        origin = parse_note(found.proof.note).origin
        named = _named(keys, origin).model_dump_json(indent=2)
        (place / ROOT_FOLDER / VKEYS).write_text(named)


def notes_by_size(notes: Sequence[str]) -> Mapping[int, str]:
    """Signed checkpoints, by their size."""
    return {parse_note(note).size: note for note in notes}


def _named(keys: PublicKeys, origin: str) -> NamedKeys:
    return NamedKeys(
        keys=tuple(
            NamedKey(
                vkey=VerifyKey(origin, each.public).text,
                not_before=each.not_before,
                not_after=each.not_after,
            )
            for each in keys.keys
        )
    )


def log_id(origin: str) -> str:
    """The last part of an origin: its folder's name."""
    return origin.rpartition("/")[2]


def _write_notes(place: Path, notes: Sequence[str]) -> None:
    (place / CHECKPOINTS).mkdir()
    for note in notes:
        (place / CHECKPOINTS / str(parse_note(note).size)).write_text(note)
    if notes:
        (place / CHECKPOINT).write_text(notes[-1])


async def _write_records(logs: Logs, tenant: TenantId, head: Head, place: Path) -> None:
    for start in range(0, head.size, CHUNK):
        rows = await logs.read(tenant, start, min(CHUNK, head.size - start))
        _append(place / RECORDS, b"".join(entry.body + b"\n" for entry in rows))


async def _write_tile(logs: Logs, tenant: TenantId, tile: Tile, place: Path) -> None:
    if tile.level is None:
        rows = await logs.read(tenant, tile.index * TILE_WIDTH, tile.width)
        data = bundle([entry.body for entry in rows])
    else:
        data = await logs.hashes(tenant, tile.level, tile.index, tile.width)
    _append(place / tile.path, data)


def _append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)


class ExportedLogs(Logs):
    """Exports below one folder, read as they lie there.

    A log's folder stands for its tenant, whom an export does not name. An export has no
    head and no columns: they are made of its records and its tiles, and a pass compares
    these with each other and with the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts: dict[TenantId, Sequence[int]] = {}

    @override
    async def tenants(self) -> Sequence[TenantId]:
        found = self._folder.glob(f"*/{RECORDS}")
        return sorted(TenantId(each.parent.name) for each in found)

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        size = len(self._lines(tenant)) - 1
        if not size:
            return None
        (first,) = self._bodies(tenant, 0, 1)
        tree, last = CompactRange(), first
        for start in range(0, size, CHUNK):
            bodies = self._bodies(tenant, start, CHUNK)
            tree, last = extend(tree, map(leaf_hash, bodies))[0], bodies[-1]
        return Head(str(_columns(first).get("log")), sha256(last).digest(), tree)

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        bodies = self._bodies(tenant, from_seq, limit)
        return [
            _entry(seq, body, self._leaf(tenant, seq))
            for seq, body in enumerate(bodies, from_seq)
        ]

    @override
    async def by_request(self, tenant: TenantId, request: RequestId) -> Sequence[Entry]:
        size = len(self._lines(tenant)) - 1
        entries = await self.read(tenant, 0, size)
        return [each for each in entries if each.request_id == request]

    @override
    async def find(
        self, tenant: TenantId, query: Query, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        size = len(self._lines(tenant)) - 1
        entries = await self.read(tenant, from_seq, max(size - from_seq, 0))
        return [each for each in entries if query.admits(each)][:limit]

    @override
    async def actions(
        self, tenant: TenantId, requests: Sequence[RequestId]
    ) -> Sequence[tuple[RequestId, str]]:
        found = [await self.by_request(tenant, each) for each in requests]
        return [
            (r, e.action) for r, es in zip(requests, found, strict=True) for e in es
        ]

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        return self._tile(tenant, level, index)[: width * HASH_BYTES]

    @override
    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        return _notes(self._folder / tenant / CHECKPOINTS)

    @override
    async def latest(self, tenant: TenantId) -> str | None:
        return next(iter(reversed(await self.checkpoints(tenant))), None)

    @override
    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        return None

    def _lines(self, tenant: TenantId) -> Sequence[int]:
        """Where each record begins, and the end."""
        if tenant not in self._starts:
            self._starts[tenant] = _starts(self._folder / tenant / RECORDS)
        return self._starts[tenant]

    def _bodies(self, tenant: TenantId, from_seq: int, limit: int) -> list[bytes]:
        starts = self._lines(tenant)[from_seq : from_seq + limit + 1]
        if not starts:
            return []
        with (self._folder / tenant / RECORDS).open("rb") as file:
            file.seek(starts[0])
            return [file.read(b - a)[:-1] for a, b in pairwise(starts)]

    def _leaf(self, tenant: TenantId, seq: int) -> bytes:
        index, at = divmod(seq, TILE_WIDTH)
        return self._tile(tenant, 0, index)[at * HASH_BYTES : (at + 1) * HASH_BYTES]

    @lru_cache(maxsize=64)  # noqa: B019 - one reader a run of the tool
    def _tile(self, tenant: TenantId, level: int, index: int) -> bytes:
        """A tile of an export, full or as wide as the log had it."""
        full = self._folder / tenant / Tile(level, index).path
        if full.exists():
            return full.read_bytes()
        partial = sorted(full.with_name(full.name + ".p").glob("*"))
        return partial[-1].read_bytes() if partial else b""


def _notes(folder: Path) -> list[str]:
    paths = sorted(folder.glob("*"), key=lambda each: int(each.name))
    return [path.read_text() for path in paths]


def _starts(path: Path) -> Sequence[int]:
    found = array("Q", [0])
    with path.open("rb") as file:
        for line in file:
            found.append(found[-1] + len(line))
    return found


def _entry(seq: int, body: bytes, leaf: bytes) -> Entry:
    found = _columns(body)
    return Entry(
        seq=seq,
        event_id=EventId(found.get("event_id", "")),
        request_id=found.get("request_id"),
        action=found.get("action", ""),
        actor=found.get("actor", ""),
        ts=found.get("ts", ""),
        body=body,
        leaf=leaf,
    )


def _columns(body: bytes) -> Mapping[str, Any]:
    """What a pass then compares with the bytes; nothing where they are no record."""
    try:
        return parse(body)
    except InvalidMessage:
        return {}
