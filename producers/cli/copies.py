"""``sluice audit copies``: what a bucket held, whatever the ledger says by now."""

from pathlib import Path

import click
from pydantic import AnyHttpUrl

from infra.anchors.opened import bucket
from infra.settings import BucketSettings
from infra.system import SystemClock
from pipeline.checkpoint import log_id, parse_note
from pipeline.errors import InvalidMessage
from producers.cli.books import BROKEN, HOLDS, run
from producers.cli.words import URL, shown


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bucket", "name", required=True, help="Its name.")
@click.option("--endpoint", type=URL, help="Where it is, unless it is Amazon's.")
def copies(folder: Path, name: str, endpoint: str | None) -> None:
    """Fetch the checkpoints that were put into a bucket, each as it was put first.

    The bucket alone is asked, with credentials as boto3 finds them. What is not held
    any more is named, and left out. Give the files to `sluice audit verify --known`.
    """
    url = AnyHttpUrl(endpoint) if endpoint else None
    run(_copies(folder, BucketSettings(name=name, endpoint=url)))


async def _copies(folder: Path, settings: BucketSettings) -> int:
    found = await bucket(settings, SystemClock()).checkpoints()
    if not found:
        raise LookupError("there is no copy of a checkpoint")
    for name in (name for name, note in found.items() if note is None):
        click.echo(f"{shown(name)}: not held any more: left out")
    held = [(name, note) for name, note in found.items() if note is not None]
    if not held:
        raise LookupError("no copy of a checkpoint is held any more")
    notes = [_kept(folder, *each) for each in held]
    return HOLDS if all(notes) else BROKEN


def _kept(folder: Path, name: str, note: bytes) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        signed = parse_note(note.decode())
    except (UnicodeDecodeError, InvalidMessage):
        click.echo(f"{shown(name)}: DOES NOT HOLD: it is no checkpoint")
        return False
    log = log_id(signed.origin)
    # Another name may lead anywhere, or to the file of a copy that was put before.
    if name != f"{log}/checkpoints/{signed.size}":
        why = "it is not the checkpoint of that name"
        click.echo(f"{shown(name)}: DOES NOT HOLD: {why}")
        return False
    path = folder / f"{log}.{signed.size}"
    path.write_bytes(note)
    click.echo(f"{shown(f'{path}: {signed.origin}')}, {signed.size} records")
    return True
