"""What ``sluice audit verify`` makes of one log, and what it says of it."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress

from infra.anchors.exported import ROOT_FOLDER, read_anchors, read_root
from infra.exported import ExportedLogs
from infra.exports import VKEYS, notes_by_size, own_keys, read_keys
from infra.served import ServedLogs
from infra.signer.ed25519 import public_keys
from infra.signer.state import STATE, FileState
from pipeline.anchors.judging import Attested, Outsiders, judge
from pipeline.anchors.rooting import RootProof, prove_root, verify_root
from pipeline.audit import Head
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note
from pipeline.closing import ended, gone
from pipeline.commitments import uncommitted
from pipeline.errors import HeadBent, InvalidMessage
from pipeline.increments import later_pass
from pipeline.passes import Refused, Report, full_pass
from pipeline.ports.anchors import Anchored, Anchors
from pipeline.ports.ledger import Logs
from pipeline.presence import fewer
from producers.cli.words import shown
from schemas.audit import ORIGIN
from schemas.ids import TenantId

UNVOUCHED: Final = (
    "its keys are those that came with it, for which nobody else vouches;"
    " give --keys as you had them by another way"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a log is judged by: the keys, and what lay elsewhere.

    Attributes:
        export: the folder with the logs, if they were exported.
        served: the gateway that serves them, if one does.
        signer: the signer's folder: its keys, and what it remembers.
        remembers: False: its keys alone are asked. An export is of its day, and the
            signer may have signed more since.
        keys: a log's keys as they were had by another way: believed before the
            signer's, and of the root log and deleted logs too.
        known: checkpoints that somebody else kept.
        since: those of them behind which alone a log is verified.
        outsiders: authorities and witnesses that are believed.
    """

    export: Path | None = None
    served: ServedLogs | None = None
    signer: Path | None = None
    remembers: bool = True
    keys: Path | None = None
    known: Sequence[str] = ()
    since: Sequence[str] = ()
    outsiders: Outsiders = field(default_factory=Outsiders)

    async def keys_of(self, tenant: TenantId, origin: str) -> Sequence[VerifyKey]:
        """The keys of one log, from the best place that was given."""
        if self.keys is not None or self.signer is not None:
            return self.given_keys(origin)
        if self.export is None and self.served is None:
            raise click.UsageError("expected --signer or --keys: who signs the log?")
        click.echo(f"{origin}: {UNVOUCHED}", err=True)
        if self.export is not None:
            return read_keys(self.export / tenant / VKEYS)
        return await self.served.keys(tenant) if self.served else ()

    def given_keys(self, origin: str) -> Sequence[VerifyKey]:
        """The keys of any log, as they were given; none where none were.

        A signer signs all its logs with the same, so those of one are those of each.
        """
        if self.keys is not None:
            publics = dict.fromkeys(each.public for each in own_keys(self.keys))
            return [VerifyKey(origin, each) for each in publics]
        return public_keys(self.signer).named(origin) if self.signer else ()

    def root_keys(self, tenant: TenantId, origin: str) -> Sequence[VerifyKey]:
        """The root log's keys: those that were given, else those beside the proof."""
        if self.keys is None and self.signer is None and self.export is not None:
            return read_keys(self.export / tenant / ROOT_FOLDER / VKEYS)
        return self.given_keys(origin)

    def kept(self, origin: str) -> str | None:
        """The checkpoint behind which a log is verified; None: all of it is."""
        own = [each for each in self.since if parse_note(each).origin == origin]
        return max(own, key=_size, default=None)

    async def outside(self, origin: str) -> Sequence[str]:
        """Checkpoints of one log that the ledger itself did not hand out."""
        notes = [note for note in self.known if parse_note(note).origin == origin]
        if self.signer is not None and self.remembers:
            signed = await FileState(self.signer / STATE).last(origin)
            notes += [signed.note] if signed else []
        return notes


def _size(note: str) -> int:
    return parse_note(note).size


async def verify_one(
    logs: Logs, anchors: Anchors | None, tenant: TenantId, trust: Trust
) -> bool:
    """Judge one log, and print the verdict; False: it does not hold.

    An exported one must be signed to its end.

    Raises:
        LookupError: there is no such log.
    """
    try:
        head = await logs.head(tenant)
        if head is None:
            raise LookupError("there is no log of this tenant")
        report = await _judged(logs, tenant, head, trust)
        if report.broken is None and isinstance(logs, ExportedLogs):
            report = await _whole(logs, tenant, report)
    except (Refused, HeadBent) as refused:
        click.echo(f"{shown(tenant)}: DOES NOT HOLD: {refused}")
        return False
    _tell(report)
    return (
        report.broken is None
        and await _committed(logs, tenant, trust)
        and await _attested(logs, anchors, tenant, trust)
    )


async def _committed(logs: Logs, tenant: TenantId, trust: Trust) -> bool:
    """Does the root log commit to each checkpoint? Only where it lies is it asked."""
    if trust.export is not None or trust.served is not None:
        return True
    broken = await uncommitted(logs, tenant)
    if broken is not None:
        click.echo(f"  DOES NOT HOLD: checkpoint {broken.seq}: {broken.reason}")
    return broken is None


async def _whole(logs: ExportedLogs, tenant: TenantId, report: Report) -> Report:
    try:
        await logs.whole(tenant)
    except Refused as refused:
        return replace(report, broken=refused.broken)
    return report


async def all_there(logs: Logs, trust: Trust) -> bool:
    """Is every log there that somebody remembers, and that the root log counted?"""
    kept = map(parse_note, (*trust.known, *trust.since))
    signed = [*await _remembered(trust), *kept]
    missing, seq = await gone(logs, signed, trust.given_keys), await fewer(logs)
    for origin, last in (await ended(logs, trust.given_keys)).items():
        click.echo(f"{shown(origin)}: closed at {last.size} records and deleted: holds")
    for origin in missing:
        click.echo(f"{shown(origin)}: DOES NOT HOLD: it was signed, and is gone")
    if seq is not None:
        click.echo(f"root: DOES NOT HOLD: record {seq} counts fewer logs than before")
    return not missing and seq is None


async def _remembered(trust: Trust) -> Sequence[Checkpoint]:
    if trust.signer is None:
        return ()
    state = FileState(trust.signer / STATE)
    found = [await state.last(each) for each in await state.origins()]
    return [each.checkpoint for each in found if each]


def _tell(report: Report) -> None:
    broken = report.broken
    said = f"DOES NOT HOLD: record {broken.seq}: {broken.reason}" if broken else "holds"
    click.echo(
        f"{report.origin}: {report.size} records, {report.checkpoints} checkpoints,"
        f" root {b64encode(report.root).decode()}: {said}"
    )


async def _judged(logs: Logs, tenant: TenantId, head: Head, trust: Trust) -> Report:
    if re.fullmatch(ORIGIN, head.origin) is None:
        raise Refused(0, "a log has no such name")
    keys, kept = await trust.keys_of(tenant, head.origin), trust.kept(head.origin)
    outside = await trust.outside(head.origin)
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(head.origin, total=head.size)

        def progress(done: int) -> None:
            bar.update(task, completed=done)

        if kept is None:
            report = await full_pass(logs, tenant, keys, outside, progress)
        else:
            report = await later_pass(logs, tenant, keys, [kept, *outside])
    if report is None:
        raise LookupError("the log went away while it was read")
    return report


async def _attested(
    logs: Logs, anchors: Anchors | None, tenant: TenantId, trust: Trust
) -> bool:
    """What others say of this log, or of the root log's checkpoint above it."""
    notes = notes_by_size(await logs.checkpoints(tenant))
    try:
        root = await _root(logs, anchors, tenant, trust, max(notes, default=0))
        if root is None:
            anchored = await _anchored(anchors, tenant, notes, trust)
            found = judge(anchored, notes, trust.outsiders)
        else:
            found = _judge_root(root, tenant, notes, trust)
    except InvalidMessage as error:
        click.echo(f"  DOES NOT HOLD: what others say of it: {error}")
        return False
    for each in found:
        by = shown(each.by)
        click.echo(f"  {each.size} records at the latest {each.at}, says {by}")
    return True


def _judge_root(
    root: RootProof, tenant: TenantId, notes: Mapping[int, str], trust: Trust
) -> Sequence[Attested]:
    if root.size not in notes:
        raise InvalidMessage("expected the checkpoint that was committed to", "root")
    origin = parse_note(root.proof.note).origin
    signed = verify_root(root, notes[root.size], trust.root_keys(tenant, origin))
    click.echo(f"  the checkpoint at {root.size} is in {shown(signed.origin)}")
    own = {signed.size: root.proof.note}
    found = judge(root.anchored, own, trust.outsiders)
    return [Attested(root.size, each.by, each.at) for each in found]


async def _root(
    logs: Logs, anchors: Anchors | None, tenant: TenantId, trust: Trust, last: int
) -> RootProof | None:
    if trust.export is not None:
        return read_root(trust.export / tenant)
    # Without the signer's keys nothing of the root log can be judged.
    if anchors is None or trust.signer is None:
        return None
    return await prove_root(logs, anchors, tenant, last)


async def _anchored(
    anchors: Anchors | None, tenant: TenantId, notes: Mapping[int, str], trust: Trust
) -> Sequence[Anchored]:
    if trust.export is not None:
        return read_anchors(trust.export / tenant, notes)
    return await anchors.anchored(tenant) if anchors is not None else ()
