"""A later pass: what an auditor who kept a checkpoint is told of what came since."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
from typing_extensions import override

from infra.memory.ledger import MemoryLedger
from infra.system import SystemEntropy
from pipeline.audit import Entry, Head, chain
from pipeline.checkpoint import Checkpoint, VerifyKey
from pipeline.errors import IntegrityError
from pipeline.increments import later_pass
from pipeline.verification import Broken
from schemas.ids import TenantId
from tests.support.audit import TENANT, recorded
from tests.support.passed import Passed, passed

NOBODY = TenantId("00000000-0000-7000-8000-0000000000ff")
ROOT = bytes(32)


@dataclass
class Scene:
    """A log that was signed, and grew; what was signed then, and what it is now."""

    there: Passed
    kept: str
    then: Head
    head: Head

    @property
    def keys(self) -> Sequence[VerifyKey]:
        return self.there.keys.named(self.head.origin)

    @property
    def ledger(self) -> MemoryLedger:
        return self.there.ledger

    async def signed(self, size: int, root: bytes) -> str:
        """By the right key, whatever it says: a stolen one, or a signer that lies."""
        return await self.there.checkpointer.signer.sign(
            Checkpoint(self.head.origin, size, root)
        )

    async def found(self, *kept: str) -> Broken | None:
        report = await later_pass(self.ledger, TENANT, self.keys, kept or (self.kept,))
        assert report is not None
        return report.broken


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    there = await passed(tmp_path)
    kept, then = await there.ledger.latest(TENANT), await there.ledger.head(TENANT)
    await there.ledger.append([recorded(name) for name in "fghijk"])
    await there.checkpointer.round()
    head = await there.ledger.head(TENANT)
    assert kept is not None
    assert then is not None
    assert head is not None
    assert (6, 12) == (then.size, head.size)
    return Scene(there, kept, then, head)


async def test_a_log_that_only_grew_holds(scene: Scene) -> None:
    report = await later_pass(scene.ledger, TENANT, scene.keys, [scene.kept])

    assert report is not None
    looked_at = len(await scene.ledger.checkpoints(TENANT))
    assert (None, 12, looked_at) == (report.broken, report.size, report.checkpoints)


async def test_of_a_tenant_without_a_log_nothing_is_told(scene: Scene) -> None:
    assert await later_pass(scene.ledger, NOBODY, scene.keys, [scene.kept]) is None


async def test_without_anything_new_it_holds(scene: Scene) -> None:
    latest = await scene.ledger.latest(TENANT)

    assert latest is not None
    assert await scene.found(latest) is None


async def altered(scene: Scene) -> None:
    """A row behind what was kept says something else."""
    rows = scene.ledger._entries[TENANT]
    body = rows[8].body.replace(b"system:test", b"system:tess")
    rows[8] = rows[8]._replace(body=body)


async def behind(scene: Scene) -> None:
    """A row that no append told the head of."""
    rows = scene.ledger._entries[TENANT]
    rows.append(rows[-1]._replace(seq=12))


@pytest.mark.parametrize(("bend", "seq"), [(altered, 8), (behind, 12)])
async def test_what_was_done_to_the_rows_behind_it_is_told(
    scene: Scene, bend: Callable[[Scene], Awaitable[None]], seq: int
) -> None:
    await bend(scene)
    found = await scene.found()

    assert found is not None
    assert seq == found.seq


async def test_a_checkpoint_of_another_tree_is_another_log_s(scene: Scene) -> None:
    scene.ledger._notes[TENANT].clear()
    found = await scene.found(await scene.signed(6, ROOT))

    assert Broken(6, "the log is another than was signed") == found


async def test_a_log_that_is_shorter_than_what_was_kept_is_told(scene: Scene) -> None:
    scene.ledger._notes[TENANT].clear()
    found = await scene.found(await scene.signed(13, ROOT))

    assert Broken(12, "the log is shorter than it was signed") == found


async def test_each_checkpoint_behind_it_is_held_against_the_rows(scene: Scene) -> None:
    bogus = await scene.signed(9, ROOT)
    found = await scene.found(scene.kept, bogus)

    assert Broken(9, "a checkpoint is of another history") == found


async def test_the_last_record_that_was_signed_is_the_one_to_go_on_from(
    scene: Scene,
) -> None:
    """It was altered under its old leaf hash, and what is new follows from it."""
    rows = scene.ledger._entries[TENANT]
    body = rows[5].body.replace(b"system:test", b"system:tess")
    then = replace(scene.then, last=sha256(body).digest())
    made = chain(then, [recorded(name) for name in "fghijk"])
    rows[5:] = [rows[5]._replace(body=body), *made.entries]
    scene.ledger._heads[TENANT] = made.head
    scene.ledger._notes[TENANT].clear()

    found = await scene.found()

    assert Broken(5, "the record is not the one that was signed") == found
    with pytest.raises(IntegrityError):
        await scene.there.checkpointer.round()


@dataclass(frozen=True)
class Bent(MemoryLedger):
    """Its tiles are those of the old rows; behind them they are of nothing."""

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        found = await MemoryLedger.hashes(self, tenant, level, index, width)
        return found[: 6 * 32] + bytes(len(found) - 6 * 32) if width > 6 else found


@dataclass(frozen=True)
class Gone(MemoryLedger):
    """The last row that the kept checkpoint counts was deleted, its tile was not."""

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        found = await MemoryLedger.read(self, tenant, from_seq, limit)
        return [each for each in found if each.seq != 5]


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (MemoryLedger, None),
        (Bent, Broken(6, "the tiles do not prove the new tree")),
        (Gone, Broken(5, "a record is missing")),
    ],
)
async def test_tiles_and_the_row_to_go_on_from_must_be_there(
    scene: Scene, kind: type[MemoryLedger], broken: Broken | None
) -> None:
    bent = kind("test.example", SystemEntropy())
    bent._heads.update(scene.ledger._heads)
    bent._entries.update(scene.ledger._entries)
    report = await later_pass(bent, TENANT, scene.keys, [scene.kept])

    assert report is not None
    assert broken == report.broken
