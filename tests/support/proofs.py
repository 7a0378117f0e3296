"""Records with their ``.tlog-proof``, as ``sluice audit proof`` writes them."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from pipeline.checkpoint import parse_note
from pipeline.proofs import prove
from tests.support.audit import TENANT
from tests.support.exports import signed

SEQS = (0, 1, 255, 256, 300, 511, 512, 600)
"""Ends of tiles and of the log, and one in the middle of a tile."""
BENT_SEQ = 300
"""To which what follows is done."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What somebody took away: a record, its proof, and the log's key."""

    record: bytes
    proof: str
    vkey: str

    @property
    def name(self) -> str:
        """Of the log, from its key."""
        return self.vkey.split("+", 1)[0]

    @property
    def public(self) -> bytes:
        return b64decode(self.vkey.split("+", 2)[2])[1:]

    def put(self, folder: Path, seq: int) -> None:
        """Write them where ``sluice audit proof`` does."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{seq}.json").write_bytes(self.record)
        (folder / f"{seq}.tlog-proof").write_text(self.proof)


async def taken(base: Path) -> dict[int, Taken]:
    """The proofs of several records of a log with a checkpoint at 601, by their seq."""
    ledger, keys = await signed(base)
    note = await ledger.latest(TENANT)
    assert note is not None
    checkpoint = parse_note(note)
    (vkey,) = [each.text for each in keys.named(checkpoint.origin)]
    found = {}
    for seq in SEQS:
        (entry,) = await ledger.read(TENANT, seq, 1)
        proof = await prove(ledger, TENANT, seq, checkpoint, note)
        found[seq] = Taken(entry.body, proof.text, vkey)
    return found


def text(old: str, new: str) -> Callable[[Taken], Taken]:
    """Other words in the proof, once."""

    def change(each: Taken) -> Taken:
        assert old in each.proof
        return replace(each, proof=each.proof.replace(old, new, 1))

    return change


def _hash(each: Taken) -> Taken:
    """One bit of the proof's first hash."""
    lines = each.proof.split("\n")
    raw = bytearray(b64decode(lines[2]))
    raw[0] ^= 1
    lines[2] = b64encode(raw).decode()
    return replace(each, proof="\n".join(lines))


def _missing(each: Taken) -> Taken:
    """A hash less."""
    lines = each.proof.split("\n")
    del lines[2]
    return replace(each, proof="\n".join(lines))


def _root(each: Taken) -> Taken:
    """Another root in the checkpoint, as whoever has no key writes it."""
    root = b64encode(sha256(b"another").digest()).decode()
    head, blank, note = each.proof.partition("\n\n")
    lines = note.split("\n")
    lines[2] = root
    return replace(each, proof=head + blank + "\n".join(lines))


def _signature(each: Taken) -> Taken:
    """One bit of the signature's last byte."""
    lines = each.proof.rstrip("\n").split("\n")
    start, _, line = lines[-1].rpartition(" ")
    raw = bytearray(b64decode(line))
    raw[-1] ^= 1
    lines[-1] = f"{start} {b64encode(raw).decode()}"
    return replace(each, proof="\n".join(lines) + "\n")


def _key(each: Taken) -> Taken:
    """The key of somebody else under the log's name."""
    public = bytes(reversed(each.public))
    key_id = sha256(each.name.encode() + b"\n\x01" + public).digest()[:4].hex()
    encoded = b64encode(b"\x01" + public).decode()
    return replace(each, vkey=f"{each.name}+{key_id}+{encoded}")


def _record(each: Taken) -> Taken:
    return replace(each, record=each.record.replace(b"system:", b"systen:"))


BENT: dict[str, Callable[[Taken], Taken]] = {
    "the record": _record,
    "the index": text("index 300\n", "index 301\n"),
    "a hash": _hash,
    "a hash less": _missing,
    "the size": text("\n601\n", "\n602\n"),
    "the root": _root,
    "the signature": _signature,
    "the key": _key,
}
