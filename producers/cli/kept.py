"""Checkpoints that somebody kept: each is held against a log, or it is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from infra.anchors.exported import read_root
from pipeline.audit import ROOT, new_origin
from pipeline.checkpoint import Checkpoint, log_id, parse_note
from pipeline.errors import InvalidMessage
from pipeline.passes import Refused
from pipeline.ports.ledger import Logs
from pipeline.presence import origin_of
from producers.cli.judging import Trust
from producers.cli.words import shown
from schemas.ids import TenantId

ROOT_ID: Final = log_id(new_origin(ROOT, "any", b""))


async def all_held(logs: Logs, tenants: Sequence[TenantId], trust: Trust) -> bool:
    """Is there a log for each checkpoint that was kept? It is told where none is.

    Of the root log an export of a tenant's has one checkpoint: another one that was
    kept cannot be held against it. That is said, and fails nothing.

    Args:
        logs: where they lie.
        tenants: whose logs are judged.
        trust: with the checkpoints.
    """
    kept = [parse_note(each) for each in (*trust.known, *trust.since)]
    there = await _origins(logs, tenants) if kept else set()
    left = [each for each in kept if each.origin not in there]
    roots = [each for each in left if log_id(each.origin) == ROOT_ID]
    gone = {each.origin for each in left} - {each.origin for each in roots}
    for origin in sorted(gone):
        click.echo(f"{shown(origin)}: DOES NOT HOLD: it was signed, and is not here")
    beside = [_root(trust.export / each) for each in tenants] if trust.export else []
    held = [_root_held(each, [root for root in beside if root]) for each in roots]
    return not gone and all(held)


async def _origins(logs: Logs, tenants: Sequence[TenantId]) -> set[str]:
    """Without those of logs that cannot be read: each is told when it is judged."""
    found = set[str]()
    for each in tenants:
        try:
            origin = await origin_of(logs, each)
        except Refused:
            continue
        if origin is not None:
            found.add(origin)
    return found


def _root(place: Path) -> Checkpoint | None:
    """The root log's checkpoint beside an exported log, which holds or does not."""
    try:
        found = read_root(place)
        return parse_note(found.proof.note) if found else None
    except InvalidMessage:
        return None


def _root_held(kept: Checkpoint, beside: Sequence[Checkpoint]) -> bool:
    named = shown(kept.origin)
    same = [
        each for each in beside if (each.origin, each.size) == (kept.origin, kept.size)
    ]
    if any(each != kept for each in same):
        click.echo(f"{named}: DOES NOT HOLD: another one was signed at {kept.size}")
        return False
    if not same:
        click.echo(f"{named}: nothing here tells of its {kept.size} records", err=True)
    return True
