"""Logs as folders: what an auditor takes away.

``infra/exported.py`` reads them again.

<log id>/records.jsonl        the records' exact bytes, one a line
<log id>/records.csv          the same as a table, for reading alone
<log id>/checkpoint           the last signed note
<log id>/checkpoints/<size>   every signed note
<log id>/tile/...             tiles and entry bundles, as c2sp.org/tlog-tiles serves
<log id>/vkeys.json           the keys that signed, and when
<log id>/anchors/, root/      what others said of it (infra/anchors/exported.py)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from infra.anchors.exported import ROOT_FOLDER, write_anchors, write_root
from infra.bounded import start_of
from infra.signer.ed25519 import PublicKeys
from pipeline.anchors.rooting import RootProof, prove_root
from pipeline.checkpoint import VerifyKey, log_id, parse_key, parse_note
from pipeline.erasures import erasures
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.merkle import TILE_WIDTH
from pipeline.ports.anchors import Anchors
from pipeline.ports.ledger import Logs
from pipeline.querying import table
from pipeline.tiles import Tile, bundle, tiles_of
from schemas.base import Schema
from schemas.ids import TenantId

RECORDS = "records.jsonl"
TABLE = "records.csv"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
VKEYS = "vkeys.json"
CHUNK = 4096
KEYS_BYTES = 1 << 20


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
    """The keys of a ``vkeys.json`` that lies in an export.

    Raises:
        InvalidMessage: it is no such file.
    """
    return _keys(path, start_of)


def own_keys(path: Path) -> tuple[VerifyKey, ...]:
    """The keys of a ``vkeys.json`` that its reader named, which may be a pipe.

    Raises:
        InvalidMessage: it is no such file.
    """
    return _keys(path, _start_of_any)


def _keys(path: Path, start: Callable[[Path, int], bytes]) -> tuple[VerifyKey, ...]:
    try:
        return NamedKeys.model_validate_json(start(path, KEYS_BYTES)).parsed()
    except (OSError, ValidationError):
        raise InvalidMessage("expected the keys of a log", path.name) from None


def _start_of_any(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds, and what it leaves for the next one.

    Attributes:
        size: of the last checkpoint, and of the export; 0: nothing was signed yet, and
            nothing was written.
        unsigned: records behind it, under no signature yet.
    """

    origin: str
    size: int
    unsigned: int


async def export(
    logs: Logs,
    tenant: TenantId,
    keys: PublicKeys,
    folder: Path,
    anchors: Anchors | None = None,
) -> Written:
    """Write one log below ``folder``, up to its last checkpoint and no further.

    Whatever is written is signed, and a checkpoint's own partial tiles are there: so
    any tool for tlog-tiles can verify it while the log goes on growing.

    Args:
        logs: where it lies.
        tenant: whose it is.
        keys: of the signer.
        folder: where exports lie.
        anchors: what others gave for checkpoints; None: nothing is exported of it.

    Raises:
        FileExistsError: there is an export of this log already; none is overwritten.
        LookupError: the tenant has no log.
        IntegrityError: the log is shorter than its checkpoint says.
    """
    notes = await logs.checkpoints(tenant)
    head = await logs.head(tenant)
    if head is None:
        raise LookupError("expected a tenant with a log")
    size = parse_note(notes[-1]).size if notes else 0
    if size > head.size:
        raise IntegrityError("a log is shorter than it was signed: audit verify it")
    if size:
        place = folder / log_id(head.origin)
        place.mkdir(parents=True)
        (place / VKEYS).write_text(vkeys(keys, head.origin))
        _write_notes(place, notes)
        await _write_log(logs, tenant, size, place)
        if anchors is not None:
            told = await anchors.anchored(tenant)
            write_anchors(place, notes_by_size(notes), told)
            found = await prove_root(logs, anchors, tenant, size)
            _write_root(found, keys, place)
    return Written(head.origin, size, head.size - size)


async def _write_log(logs: Logs, tenant: TenantId, size: int, place: Path) -> None:
    await _write_records(logs, tenant, size, place)
    for tile in tiles_of(size):
        await _write_tile(logs, tenant, tile, place)


def _write_root(found: RootProof | None, keys: PublicKeys, place: Path) -> None:
    if found is not None:
        write_root(place, found)
        own = vkeys(keys, parse_note(found.proof.note).origin)
        (place / ROOT_FOLDER / VKEYS).write_text(own)


def notes_by_size(notes: Sequence[str]) -> Mapping[int, str]:
    """Signed checkpoints, by their size."""
    return {parse_note(note).size: note for note in notes}


def vkeys(keys: PublicKeys, origin: str) -> str:
    """The signer's keys as the ``vkeys.json`` of one log."""
    named = NamedKeys(
        keys=tuple(
            NamedKey(
                vkey=VerifyKey(origin, each.public).text,
                not_before=each.not_before,
                not_after=each.not_after,
            )
            for each in keys.keys
        )
    )
    return named.model_dump_json(indent=2)


def _write_notes(place: Path, notes: Sequence[str]) -> None:
    (place / CHECKPOINTS).mkdir()
    for note in notes:
        (place / CHECKPOINTS / str(parse_note(note).size)).write_text(note)
    if notes:
        (place / CHECKPOINT).write_text(notes[-1])


async def _write_records(logs: Logs, tenant: TenantId, size: int, place: Path) -> None:
    erased = await erasures(logs, tenant, before=size)
    for start in range(0, size, CHUNK):
        rows = await logs.read(tenant, start, min(CHUNK, size - start))
        _append(place / RECORDS, b"".join(entry.body + b"\n" for entry in rows))
        lines = table(rows, erased, names=not start)
        _append(place / TABLE, "".join(lines).encode())


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
