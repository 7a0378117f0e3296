"""Anchors in an export, where foreign tools take them.

anchors/<size>.<by>.tsr       an RFC 3161 response over checkpoints/<size>
anchors/<size>.<by>.cosigned  checkpoints/<size> with the cosignatures of a witness
anchors/<size>.<by>.json      which version of which object holds a copy
root/of                       the size of the checkpoint that it is about
root/salt, root/record        what opens the root log's commitment, and that record
root/proof                    its way to a checkpoint of the root log (tlog-proof)
root/vkeys.json               the root log's keys
root/checkpoints/, anchors/   that checkpoint, and its anchors
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.bounded import start_of
from pipeline.anchors.judging import cosigned
from pipeline.anchors.rooting import RootProof
from pipeline.checkpoint import MAX_NOTE_CHARS, parse_note
from pipeline.errors import InvalidMessage
from pipeline.ports.anchors import Anchored, Kind
from pipeline.proofs import parse_proof

ANCHORS = "anchors"
CHECKPOINTS = "checkpoints"
ROOT_FOLDER = "root"
MOST = 5 * MAX_NOTE_CHARS
"""Bytes of a file that are read: a note fits, with what stands beside it."""
_ENDS = {Kind.TIMESTAMP: "tsr", Kind.WITNESS: "cosigned", Kind.COPY: "json"}
_KINDS = {end: kind for kind, end in _ENDS.items()}


def write_anchors(
    place: Path, notes: Mapping[int, str], anchored: Sequence[Anchored]
) -> None:
    """Write a log's anchors; those of checkpoints that are not exported stay out."""
    for each in anchored:
        if each.size in notes:
            path = place / ANCHORS / f"{each.size}.{each.by}.{_ENDS[each.kind]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_content(each, notes[each.size]))


def _content(each: Anchored, note: str) -> bytes:
    if each.kind is Kind.WITNESS:
        return cosigned(note, [each]).encode()
    return each.evidence


def read_anchors(place: Path, notes: Mapping[int, str]) -> Sequence[Anchored]:
    """The anchors of an exported log.

    Raises:
        InvalidMessage: a file has another name than an anchor's.
    """
    paths = sorted((place / ANCHORS).glob("[!.]*"))
    return [_anchored(path, notes) for path in paths]


def _anchored(path: Path, notes: Mapping[int, str]) -> Anchored:
    size, *name, end = path.name.split(".")
    if not size.isdecimal() or len(name) != 1 or end not in _KINDS:
        raise InvalidMessage("expected the name of an anchor", ANCHORS)
    kind, raw = _KINDS[end], start_of(path, MOST)
    if kind is Kind.WITNESS:
        # Another note than the exported one is none of its cosignatures'.
        raw = raw.removeprefix(notes.get(int(size), "").encode())
    # When it was got an export does not say; a file's time is whoever's who made it.
    return Anchored(int(size), kind, name[0], raw, datetime.min.replace(tzinfo=UTC))


def write_root(place: Path, found: RootProof) -> None:
    """Write a tenant's way to the root log, and what others gave for it."""
    folder, note = place / ROOT_FOLDER, found.proof.note
    size = parse_note(note).size
    (folder / CHECKPOINTS).mkdir(parents=True)
    (folder / "of").write_text(str(found.size))
    (folder / "salt").write_text(found.salt.hex())
    (folder / "record").write_bytes(found.record)
    (folder / "proof").write_text(found.proof.text)
    (folder / CHECKPOINTS / str(size)).write_text(note)
    write_anchors(folder, {size: note}, found.anchored)


def read_root(place: Path) -> RootProof | None:
    """What :func:`write_root` wrote; None where it wrote nothing.

    Raises:
        InvalidMessage: it is something else.
    """
    folder = place / ROOT_FOLDER
    if not folder.exists():
        return None
    try:
        of = int(start_of(folder / "of", MOST))
        salt = bytes.fromhex(start_of(folder / "salt", MOST).decode())
        proof = parse_proof(start_of(folder / "proof", MOST).decode())
        body = start_of(folder / "record", MOST)
    except (OSError, ValueError):
        raise InvalidMessage("expected the way to the root log", "root") from None
    notes = {parse_note(proof.note).size: proof.note}
    return RootProof(of, salt, body, proof, read_anchors(folder, notes))
