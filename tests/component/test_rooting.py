"""A tenant's way to the root log: by which of the root's checkpoints it goes."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.memory.anchors import MemoryAnchors
from pipeline.anchors import rooting
from pipeline.anchors.rooting import RootProof, prove_root
from pipeline.audit import ROOT
from pipeline.checkpoint import Checkpoint, parse_note
from pipeline.ports.anchors import Anchored, Kind
from tests.support.audit import NOON, TENANT, recorded
from tests.support.passed import Passed, passed


@dataclass
class Scene(Passed):
    """A log that is signed every round, and what others gave for the root log."""

    anchors: MemoryAnchors = field(default_factory=MemoryAnchors)

    async def round(self, name: str) -> str:
        """Sign one more record; the root log's checkpoint above it."""
        await self.ledger.append([recorded(name)])
        await self.checkpointer.round()
        note = await self.ledger.latest(ROOT)
        assert note is not None
        return note

    async def anchored(self, kind: Kind, note: str) -> None:
        size = parse_note(note).size
        await self.anchors.keep(ROOT, Anchored(size, kind, "one", b"", NOON))

    async def proved(self) -> RootProof:
        found = await prove_root(self.ledger, self.anchors, TENANT)
        assert found is not None
        return found


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(**vars(await passed(tmp_path)))


async def test_without_anybody_outside_it_is_the_newest(scene: Scene) -> None:
    note = await scene.round("f")

    found = await scene.proved()

    assert (note, 7) == (found.proof.note, found.size)


@pytest.mark.parametrize("kind", [Kind.TIMESTAMP, Kind.WITNESS])
async def test_it_goes_by_one_that_somebody_outside_saw(
    scene: Scene, kind: Kind
) -> None:
    """Whoever saw it was away in the next round."""
    note = await scene.round("f")
    await scene.anchored(kind, note)
    await scene.round("g")

    found = await scene.proved()

    assert (note, 7) == (found.proof.note, found.size)
    assert [kind] == [each.kind for each in found.anchored]


async def test_a_stamp_goes_before_a_cosignature(scene: Scene) -> None:
    """It says when, by a clock that many trust."""
    stamped = await scene.round("f")
    await scene.anchored(Kind.TIMESTAMP, stamped)
    await scene.anchored(Kind.WITNESS, await scene.round("g"))

    assert stamped == (await scene.proved()).proof.note


async def test_a_copy_in_a_bucket_says_nothing_of_when(scene: Scene) -> None:
    await scene.anchored(Kind.COPY, await scene.round("f"))
    note = await scene.round("g")

    assert note == (await scene.proved()).proof.note


async def test_each_checkpoint_is_parsed_once_however_long_nobody_stamps(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more of each log comes with every round, and tenants ask for this by HTTP."""
    await scene.anchored(Kind.TIMESTAMP, await scene.round("stamped"))
    for name in map(str, range(20)):
        await scene.round(name)
    parsed = list[str]()

    def counted(note: str) -> Checkpoint:
        parsed.append(note)
        return parse_note(note)

    monkeypatch.setattr(rooting, "parse_note", counted)
    await scene.proved()

    held = [await scene.ledger.checkpoints(each) for each in (TENANT, ROOT)]
    assert sum(map(len, held)) + 1 >= len(parsed)
