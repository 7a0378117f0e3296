"""Anchoring: who is asked for what, what is kept, what a refusal says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import override

from infra.log import Log
from infra.memory.anchors import MemoryAnchors
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, ensure_key
from infra.signer.state import FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT
from pipeline.checkpoint import Checkpoint, parse_note
from pipeline.errors import IntegrityError, RetryableError
from pipeline.merkle import verify_consistency
from pipeline.ports.anchors import Anchored, Behind, Kind, Stamper, Vault, Witness
from producers.anchoring import Anchoring
from producers.checkpointer import Checkpointer
from tests.support.audit import NOON, recorded

CLOCK = SystemClock()


@dataclass
class Stamps(Stamper):
    """Says what it was given, or that it is away."""

    fails: Exception | None = None
    seen: list[bytes] = field(default_factory=list)

    @override
    async def stamp(self, message: bytes) -> bytes:
        if self.fails:
            raise self.fails
        self.seen.append(message)
        return b"stamp"


@dataclass
class Watches(Witness):
    """Remembers the last tree, and wants a proof of each later one."""

    seen: Checkpoint | None = None
    asked: list[int] = field(default_factory=list)

    @override
    async def add(
        self, old: int, proof: Sequence[bytes], note: str
    ) -> Sequence[str] | Behind:
        self.asked.append(old)
        known = self.seen.size if self.seen else 0
        if old != known:
            return Behind(known)
        new = parse_note(note)
        if self.seen:
            verify_consistency(old, new.size, self.seen.root, new.root, proof)
        self.seen = new
        return [f"line {new.size}\n"]


@dataclass
class Shelf(Vault):
    """Objects by name, in the order in which they came."""

    held: dict[str, bytes] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @override
    async def put(self, name: str, content: bytes) -> str:
        self.names.append(name)
        self.held[name] = content
        return str(len(self.names))

    @override
    async def holds(self, name: str, version: str) -> bool:
        return version.isdecimal() and self.names[int(version) - 1 :][:1] == [name]


@dataclass(frozen=True)
class Desk:
    """A signed ledger, and whoever anchors it."""

    ledger: MemoryLedger
    checkpointer: Checkpointer
    anchors: MemoryAnchors
    stamps: Stamps
    watches: Watches
    shelf: Shelf

    @property
    def worker(self) -> Anchoring:
        return Anchoring(
            logs=self.ledger,
            anchors=self.anchors,
            clock=CLOCK,
            log=Log("test"),
            stampers={"tsa": self.stamps},
            witnesses={"w1": self.watches},
            vaults={"shelf": self.shelf},
        )

    async def signed(self, name: str) -> str:
        await self.ledger.append([recorded(name)])
        await self.checkpointer.round()
        note = await self.ledger.latest(ROOT)
        assert note is not None
        return note


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    ensure_key(tmp_path, bytes(32), NOON)
    ledger = MemoryLedger("test.example", SystemEntropy())
    checkpointer = Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(tmp_path, CLOCK),
        state=FileState(tmp_path / "state"),
        clock=CLOCK,
        log=Log("test"),
    )
    return Desk(ledger, checkpointer, MemoryAnchors(), Stamps(), Watches(), Shelf())


async def kinds(desk: Desk) -> list[tuple[int, Kind, str, bytes]]:
    found = await desk.anchors.anchored(ROOT)
    return [(each.size, each.kind, each.by, each.evidence) for each in found]


async def test_before_the_first_checkpoint_nobody_is_asked(desk: Desk) -> None:
    await desk.worker.round()

    assert [] == await kinds(desk)


async def test_each_is_asked_once_for_each_checkpoint(desk: Desk) -> None:
    note = await desk.signed("a")
    await desk.worker.round()
    await desk.worker.round()

    size = parse_note(note).size
    copy, stamp, line = await kinds(desk)
    assert [note.encode()] == desk.stamps.seen
    assert (size, Kind.TIMESTAMP, "tsa", b"stamp") == stamp
    assert (size, Kind.WITNESS, "w1", f"line {size}\n".encode()) == line
    assert (size, Kind.COPY, "shelf") == copy[:3]
    assert [0] == desk.watches.asked


async def test_the_next_checkpoint_is_proved_from_the_last(desk: Desk) -> None:
    first = parse_note(await desk.signed("a"))
    await desk.worker.round()
    await desk.signed("b")
    await desk.worker.round()

    assert [0, first.size] == desk.watches.asked


async def test_a_witness_that_knows_more_than_we_stored_is_proved_to(
    desk: Desk,
) -> None:
    """Our row was lost, or another of us was here."""
    first = parse_note(await desk.signed("a"))
    desk.watches.seen = first
    await desk.signed("b")

    await desk.worker.round()

    assert [0, first.size] == desk.watches.asked
    assert 3 == len(await kinds(desk))


async def test_a_witness_of_a_longer_log_raises_the_alarm(desk: Desk) -> None:
    """The database is older than what the witness saw: a rollback."""
    note = parse_note(await desk.signed("a"))
    desk.watches.seen = Checkpoint(note.origin, note.size + 1, bytes(32))

    with pytest.raises(IntegrityError):
        await desk.worker.round()


@pytest.mark.parametrize("kind", [RetryableError, IntegrityError])
async def test_one_that_fails_keeps_no_other_from_its_turn(
    desk: Desk, kind: type[Exception]
) -> None:
    await desk.signed("a")
    desk.stamps.fails = kind("away")

    with pytest.raises(kind):
        await desk.worker.round()
    assert [Kind.COPY, Kind.WITNESS] == [each[1] for each in await kinds(desk)]

    desk.stamps.fails = None
    await desk.worker.round()
    assert 3 == len(await kinds(desk))


EVIDENCE = (
    b"{}",
    b"7",
    b"\xff",
    b'{"name":"root/checkpoints/9","version":"1"}',
    b'{"name":"root/checkpoints/%d","version":"99"}',
    b'{"name":"root/checkpoints/%d","version":7}',
)


@pytest.mark.parametrize("evidence", EVIDENCE)
async def test_a_copy_that_is_noted_and_not_held_is_made_and_told(
    desk: Desk, evidence: bytes
) -> None:
    """Whoever may write there notes it beforehand, so that nothing is copied."""
    note = await desk.signed("a")
    size = parse_note(note).size
    forged = evidence.replace(b"%d", str(size).encode())
    for at in (size, size + 1000):
        await desk.anchors.keep(ROOT, Anchored(at, Kind.COPY, "shelf", forged, NOON))

    with pytest.raises(IntegrityError):
        await desk.worker.round()

    assert note.encode() == desk.shelf.held[f"root/checkpoints/{size}"]
    assert "root/tile/0/000.p/" + str(size) in desk.shelf.held


async def test_a_copy_goes_on_from_the_last_one_that_is_held(desk: Desk) -> None:
    await desk.signed("a")
    await desk.worker.round()
    once = len(desk.shelf.names)
    second = parse_note(await desk.signed("b")).size
    forged = Anchored(second - 1, Kind.COPY, "shelf", b"{}", NOON)
    await desk.anchors.keep(ROOT, forged)

    await desk.worker.round()

    assert len(desk.shelf.names) > once
    assert len(desk.shelf.names) == len(set(desk.shelf.names))


async def test_a_copy_is_the_log_with_its_note_last(desk: Desk) -> None:
    note = await desk.signed("a")
    await desk.worker.round()
    once = len(desk.shelf.names)

    log_id = parse_note(note).origin.rpartition("/")[2]
    last = f"{log_id}/checkpoints/{parse_note(note).size}"
    assert last == desk.shelf.names[-1]
    assert note.encode() == desk.shelf.held[last]
    assert once == len(set(desk.shelf.names))

    await desk.signed("b")
    await desk.worker.round()
    assert len(desk.shelf.names) == len(set(desk.shelf.names))
