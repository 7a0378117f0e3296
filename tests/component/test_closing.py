"""The end of a log: closed, signed, deleted; and who looks whether logs vanished."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import ensure_key
from infra.system import SystemEntropy
from pipeline.acts import Act
from pipeline.audit import ROOT, Entry, record
from pipeline.checkpoint import parse_note
from pipeline.closing import closing, ended, is_closed, kept_of
from pipeline.erasures import erasures
from pipeline.errors import IntegrityError
from pipeline.merkle import leaf_hash
from pipeline.ports.ledger import Deleted
from pipeline.proofs import prove
from pipeline.root import Rooted
from producers.cli.judging import Trust, all_there
from schemas.audit import CLOSED, Erase
from schemas.events import timestamp
from schemas.ids import Actor, TenantId
from tests.support.audit import NOON, OTHER, TENANT, recorded
from tests.support.bent import BentLedger
from tests.support.passed import Passed, passed

ACT = Act(
    id="018f3c1a-7c00-7000-8000-00000000000a",
    tenant=TENANT,
    actor=Actor("user:made-up"),
    stage="operator",
    action="any.thing",
    about=TENANT,
    source="/sluice/test",
    at=NOON,
)


@dataclass
class Scene(Passed):
    """A log that can be closed."""

    async def close(self) -> Deleted:
        await self.ledger.append([closing(ACT).event])
        await self.checkpointer.round()
        return await self.kept()

    async def kept(self) -> Deleted:
        head = await self.ledger.head(TENANT)
        assert head is not None
        return await kept_of(self.ledger, TENANT, self.keys.named(head.origin))


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(**vars(await passed(tmp_path)))


async def heartbeats(ledger: MemoryLedger) -> list[int]:
    rows = [record(row.body) for row in await ledger.read(ROOT, 0, 99)]
    return [each.heartbeat.logs for each in rows if each.heartbeat]


async def test_the_last_record_says_that_all_content_is_gone(scene: Scene) -> None:
    assert not await is_closed(scene.ledger, TENANT)
    await scene.ledger.append([closing(ACT).event])

    assert await is_closed(scene.ledger, TENANT)
    (erased,) = await erasures(scene.ledger, TENANT)
    assert Erase(scope="tenant", ref=TENANT, as_of=timestamp(NOON)) == erased


async def test_a_deleted_log_is_no_alarm(scene: Scene) -> None:
    await scene.ledger.delete(await scene.close())

    for _ in range(2):
        await scene.checkpointer.round()
        await scene.worker.round()

    assert [0, 0] == scene.told
    assert {2} == set(await heartbeats(scene.ledger))
    assert [] == await scene.incidents(ROOT)


@dataclass(frozen=True, slots=True)
class Racing(BentLedger):
    """A closed log is deleted while somebody passes over all of them.

    Attributes:
        when: what is read at that moment.
    """

    kept: list[Deleted] = field(default_factory=list)
    when: str = ""

    async def meanwhile(self, what: str) -> None:
        if what == self.when and self.kept:
            await self.delete(self.kept.pop())

    @override
    async def portions(
        self, tenant: TenantId, start: int, end: int
    ) -> AsyncGenerator[Sequence[Entry], None]:
        if tenant == TENANT:
            await self.meanwhile("its records")
        async for rows in MemoryLedger.portions(self, tenant, start, end):
            yield rows

    @override
    async def tenants(self) -> Sequence[TenantId]:
        found = await MemoryLedger.tenants(self)
        await self.meanwhile("which there are")
        return found

    @override
    async def deleted(self) -> Sequence[Deleted]:
        found = await MemoryLedger.deleted(self)
        await self.meanwhile("the ends")
        return found


def racing(scene: Scene, kept: Deleted, when: str) -> Racing:
    made = Racing("test.example", SystemEntropy(), kept=[kept], when=when)
    for each in ("_heads", "_entries", "_notes", "_rooted"):
        getattr(made, each).update(getattr(scene.ledger, each))
    return made


MOMENTS = ("its records", "which there are", "the ends")


@pytest.mark.parametrize("when", MOMENTS)
async def test_a_log_that_is_deleted_while_it_is_read_is_no_alarm(
    scene: Scene, when: str
) -> None:
    scene.ledger = racing(scene, await scene.close(), when)

    await scene.worker.round()

    assert [0] == scene.told
    assert [] == await scene.incidents(ROOT)


@pytest.mark.parametrize("when", MOMENTS)
async def test_nor_is_one_that_is_deleted_while_somebody_looks_for_it(
    scene: Scene, tmp_path: Path, when: str
) -> None:
    ledger = racing(scene, await scene.close(), when)

    assert await all_there(ledger, Trust(signer=tmp_path))


async def test_a_log_that_was_closed_and_vanished_is_an_alarm(scene: Scene) -> None:
    kept = await scene.close()
    await scene.ledger.delete(kept)
    del scene.ledger._deleted[TENANT]

    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()
    with pytest.raises(IntegrityError):
        await scene.worker.round()
    assert [1] == scene.told


BENT: dict[str, Any] = {
    "another record": lambda kept: replace(
        kept, record=kept.record.replace(b"log.closed", b"log.opened")
    ),
    "another origin": lambda kept: replace(kept, origin=kept.origin + "0"),
    "another salt": lambda kept: replace(
        kept, rooted=Rooted(bytes(32), kept.rooted.seq)
    ),
    "another place": lambda kept: replace(
        kept, rooted=Rooted(kept.rooted.salt, kept.rooted.seq + 1)
    ),
    "no place": lambda kept: replace(kept, rooted=Rooted(kept.rooted.salt, 10**6)),
    "another index": lambda kept: replace(
        kept, proof=kept.proof.replace("index 6", "index 5")
    ),
    "no proof": lambda kept: replace(kept, proof=""),
}


@pytest.mark.parametrize("how", BENT)
async def test_what_was_kept_must_hold(scene: Scene, how: str) -> None:
    kept = await scene.close()
    await scene.ledger.delete(kept)
    assert [kept.origin] == list(await ended(scene.ledger, scene.keys.named))
    scene.ledger._deleted[TENANT] = BENT[how](kept)

    assert {} == await ended(scene.ledger, scene.keys.named)
    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()


async def test_the_command_says_which_logs_were_closed(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = await scene.close()
    await scene.ledger.delete(kept)

    assert await all_there(scene.ledger, Trust(signer=tmp_path))
    assert f"{kept.origin}: closed at 7 records" in capsys.readouterr().out
    del scene.ledger._deleted[TENANT]
    assert not await all_there(scene.ledger, Trust(signer=tmp_path))
    assert f"{kept.origin}: DOES NOT HOLD" in capsys.readouterr().out


async def test_an_end_that_another_key_signed_is_none(
    scene: Scene, tmp_path: Path
) -> None:
    kept = await scene.close()
    await scene.ledger.delete(kept)
    strange = ensure_key(tmp_path / "strange", bytes([1] * 32), NOON)

    assert {} == await ended(scene.ledger, strange.named)


async def test_a_true_record_that_closes_nothing_ends_nothing(scene: Scene) -> None:
    """The last one of an open log, under its true checkpoint, in the true root log."""
    ledger = scene.ledger
    head, note = await ledger.head(TENANT), await ledger.latest(TENANT)
    assert head is not None
    assert note is not None
    rooted = await ledger.rooted(TENANT, head.size)
    assert rooted is not None
    (last,) = await ledger.read(TENANT, head.size - 1, 1)
    proof = await prove(ledger, TENANT, last.seq, parse_note(note), note)
    del ledger._heads[TENANT], ledger._entries[TENANT], ledger._notes[TENANT]

    kept = Deleted(TENANT, head.origin, last.body, proof.text, rooted)
    ledger._deleted[TENANT] = kept

    assert {} == await ended(ledger, scene.keys.named)
    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()


async def test_an_end_before_what_was_signed_ended_nothing(scene: Scene) -> None:
    """The last record of a shorter history, under a checkpoint that is true of it."""
    await scene.ledger.delete(await scene.close())
    (origin,) = await ended(scene.ledger, scene.keys.named)
    last = await scene.state.last(origin)
    assert last is not None
    longer = replace(last.checkpoint, size=last.checkpoint.size + 1)
    note = await scene.checkpointer.signer.sign(longer)
    assert await scene.state.swap(last, replace(last, checkpoint=longer, note=note))

    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ("closing", "a log that is closed"),
        ("signing", "a checkpoint of the closed log"),
        ("rooting", "the root log to commit"),
        ("rooting right", "proofs that hold"),
    ],
)
async def test_what_is_not_closed_signed_and_rooted_is_not_kept(
    scene: Scene, left_out: str, expected: str
) -> None:
    """What was not kept may not be deleted: nobody could tell it from what vanished."""
    if left_out != "closing":
        await scene.ledger.append([closing(ACT).event])
    if left_out.startswith("rooting"):
        await scene.checkpointer.round()
        rooted = scene.ledger._rooted.pop((TENANT, 7))
        if left_out == "rooting right":
            scene.ledger._rooted[TENANT, 7] = replace(rooted, salt=bytes(32))

    with pytest.raises(IntegrityError, match=expected):
        await scene.kept()


async def test_of_a_tenant_without_a_log_nothing_is_kept(scene: Scene) -> None:
    del scene.ledger._heads[TENANT]

    with pytest.raises(LookupError):
        await kept_of(scene.ledger, TENANT, [])


async def test_what_a_pass_finds_of_a_closed_log_stands_on_the_root(
    scene: Scene,
) -> None:
    await scene.close()
    entries = scene.ledger._entries[TENANT]
    body = entries[2].body.replace(b"system:test", b"system:tess")
    leaf = leaf_hash(body)
    entries[2] = entries[2]._replace(body=body, leaf=leaf, actor="system:tess")

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await scene.worker.round()

    (told,) = await scene.incidents(ROOT)
    assert told is not None
    assert told.startswith("record_2.of_")
    assert CLOSED == entries[-1].action


async def test_a_closed_log_is_not_signed_again(scene: Scene) -> None:
    await scene.close()
    before = await scene.ledger.checkpoints(TENANT)
    await scene.ledger.append(
        [recorded("later", tenant=OTHER, time=NOON + timedelta(hours=1))]
    )

    await scene.checkpointer.round()

    assert before == await scene.ledger.checkpoints(TENANT)
