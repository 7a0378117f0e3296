"""Copies of a log into storage that holds what it is given."""

import json
from collections.abc import Iterator

from pipeline.audit import ROOT
from pipeline.checkpoint import log_id, parse_note
from pipeline.merkle import TILE_WIDTH
from pipeline.ports.anchors import Anchored, Vault
from pipeline.ports.ledger import Logs
from pipeline.tiles import Tile, bundle, tiles_of


async def copied(logs: Logs, vault: Vault, before: int, note: str) -> bytes:
    """Put the root log's tiles and entries that ``before`` lacks, then the note.

    The note goes last: once it is there, all that it counts is. After a crash the same
    objects are put again, as new versions.

    Returns:
        Which version of which object holds the note, as JSON.
    """
    signed = parse_note(note)
    folder = log_id(signed.origin)
    for tile in _new(before, signed.size):
        await vault.put(f"{folder}/{tile.path}", await content(logs, tile))
    name = note_name(signed.origin, signed.size)
    version = await vault.put(name, note.encode())
    return json.dumps({"name": name, "version": version}).encode()


async def stands(vault: Vault, origin: str, noted: Anchored) -> bool:
    """Does the vault hold the note of a copy where it is noted that it lies?

    What is noted lies in the database, where others may write.

    Raises:
        RetryableError: the storage is away.
    """
    try:
        found = json.loads(noted.evidence)
        name, version = found["name"], found["version"]
    except (ValueError, TypeError, KeyError):
        return False
    if name != note_name(origin, noted.size) or not isinstance(version, str):
        return False
    return await vault.holds(name, version)


def note_name(origin: str, size: int) -> str:
    """The name of a checkpoint's object."""
    return f"{log_id(origin)}/checkpoints/{size}"


def _new(before: int, size: int) -> Iterator[Tile]:
    for tile in tiles_of(size):
        if not tile.stands(before):
            yield tile


async def content(logs: Logs, tile: Tile) -> bytes:
    """What a tile or a bundle of the root log is made of."""
    if tile.level is not None:
        return await logs.hashes(ROOT, tile.level, tile.index, tile.width)
    rows = await logs.read(ROOT, tile.index * TILE_WIDTH, tile.width)
    return bundle([entry.body for entry in rows])
