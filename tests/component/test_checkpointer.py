"""The checkpointer: what it signs, what it refuses, what a crash leaves behind."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from typing_extensions import override

from infra.log import Log
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key
from infra.signer.state import FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT
from pipeline.checkpoint import Checkpoint, open_checkpoint
from pipeline.errors import IntegrityError, RetryableError
from pipeline.merkle import leaf_hash
from pipeline.passes import Refused
from pipeline.ports.ledger import Deleted
from pipeline.ports.signer import Signed
from pipeline.presence import fewer
from pipeline.root import Rooted
from producers.checkpointer import Checkpointer
from producers.cli.adoption import adopted
from schemas.ids import TenantId
from tests.support.audit import NOON, OTHER, TENANT, recorded
from tests.support.bent import BentLedger

CLOCK = SystemClock()
BOTH = (TENANT, ROOT)


class Ledger(BentLedger):
    """The twin, whose rows and tiles can be bent as a superuser would."""

    async def names(self, *names: str, tenant: TenantId = TENANT) -> None:
        await self.append([recorded(each, tenant=tenant) for each in names])

    def rewrite(self, seq: int, tenant: TenantId = TENANT) -> None:
        """Change a row so that it holds for itself."""
        entries = self._entries[tenant]
        body = entries[seq].body.replace(b'"system:', b'"person:')
        leaf = leaf_hash(body)
        actor = entries[seq].actor.replace("system:", "person:")
        entries[seq] = entries[seq]._replace(body=body, leaf=leaf, actor=actor)

    def cut(self, other: "Ledger") -> None:
        """Take the place of an older or another ledger."""
        self._heads.update(other._heads)
        self._entries.update(other._entries)


@dataclass(frozen=True)
class Busy(Ledger):
    """A ledger on which something else happens before a checkpoint is published."""

    meanwhile: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @override
    async def publish(
        self, tenant: TenantId, note: str, at: datetime, rooted: Rooted | None = None
    ) -> None:
        if tenant == TENANT and self.meanwhile:
            await self.meanwhile.pop()()
        await Ledger.publish(self, tenant, note, at, rooted)


class Forgetful(FileState):
    """A signer's memory that fails after it was written."""

    @override
    async def swap(self, before: Signed | None, after: Signed) -> bool:
        await super().swap(before, after)
        raise RetryableError("killed")


@pytest.fixture
def keys(tmp_path: Path) -> PublicKeys:
    return ensure_key(tmp_path, bytes(32), NOON)


@pytest.fixture
def state(tmp_path: Path) -> FileState:
    return FileState(tmp_path / "state")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("test.example", SystemEntropy())


@pytest.fixture
def checkpointer(
    tmp_path: Path, keys: PublicKeys, state: FileState, ledger: Ledger
) -> Checkpointer:
    return Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(tmp_path, CLOCK),
        state=state,
        clock=CLOCK,
        log=Log("test"),
    )


async def published(ledger: Ledger, keys: PublicKeys) -> list[Checkpoint]:
    head = await ledger.head(TENANT)
    assert head is not None
    notes = await ledger.checkpoints(TENANT)
    return [open_checkpoint(note, keys.named(head.origin)) for note in notes]


async def test_a_log_that_grew_is_signed_and_published(
    checkpointer: Checkpointer, ledger: Ledger, keys: PublicKeys
) -> None:
    await ledger.names("a", "b")
    await checkpointer.round()
    await ledger.names(*map(str, range(600)))
    await checkpointer.round()

    head = await ledger.head(TENANT)
    assert head is not None
    checkpoints = await published(ledger, keys)
    assert [3, 603] == [each.size for each in checkpoints]
    assert head.tree.root() == checkpoints[-1].root


async def test_an_unchanged_log_is_not_signed_again(
    checkpointer: Checkpointer, ledger: Ledger, keys: PublicKeys
) -> None:
    await ledger.names("a")
    for _ in range(3):
        await checkpointer.round()

    assert 1 == len(await published(ledger, keys))


async def test_each_tenant_has_its_own(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    await ledger.names("a")
    await ledger.names("a", "b", tenant=OTHER)

    await checkpointer.round()

    assert [1, 1] == [len(await ledger.checkpoints(t)) for t in (TENANT, OTHER)]


async def test_the_root_log_is_signed_and_held_against_what_was_signed(
    checkpointer: Checkpointer, ledger: Ledger, keys: PublicKeys
) -> None:
    for name in ("a", "b"):
        await ledger.names(name)
        await checkpointer.round()
    head, note = await ledger.head(ROOT), await ledger.latest(ROOT)
    assert head is not None
    assert note is not None

    assert head.tree.size == open_checkpoint(note, keys.named(head.origin)).size

    ledger.rewrite(head.size - 1, ROOT)

    with pytest.raises(IntegrityError):
        await checkpointer.round()
    assert note == await ledger.latest(ROOT)


async def test_a_bent_end_keeps_no_other_log_from_being_signed(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    for tenant in (TENANT, OTHER):
        await ledger.names("a", tenant=tenant)
    await checkpointer.round()
    for tenant in (TENANT, OTHER):
        await ledger.names("b", tenant=tenant)
    ledger.bent.add(min(TENANT, OTHER))

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await checkpointer.round()

    numbers = [len(await ledger.checkpoints(each)) for each in sorted((TENANT, OTHER))]
    assert [1, 2] == numbers
    assert None is await fewer(ledger)


async def test_a_row_that_is_nested_too_deep_keeps_no_other_log_from_being_signed(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    for tenant in (TENANT, OTHER):
        await ledger.names("a", tenant=tenant)
    body = b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"
    entries = ledger._entries[min(TENANT, OTHER)]
    entries[1] = entries[1]._replace(body=body, leaf=leaf_hash(body))

    with pytest.raises(IntegrityError):
        await checkpointer.round()

    numbers = [len(await ledger.checkpoints(each)) for each in sorted((TENANT, OTHER))]
    assert [0, 1] == numbers


@pytest.mark.parametrize(
    "proof",
    [
        "c2sp.org/tlog-proof@v1\nindex " + "9" * 5000 + "\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 0\n\u00e9\n\nx",
    ],
    ids=["an index of 5,000 digits", "base64 of other letters"],
)
async def test_a_bent_proof_of_a_deleted_log_stops_no_signer(
    checkpointer: Checkpointer, ledger: Ledger, proof: str
) -> None:
    await ledger.names("a")
    ledger._deleted[OTHER] = Deleted(OTHER, "x/y", b"{}", proof, Rooted(bytes(32), 0))

    await checkpointer.round()

    assert 1 == len(await ledger.checkpoints(TENANT))


async def other_ledger(ledger: Ledger, *names: str) -> Ledger:
    """A ledger of the same origin with another history."""
    head = await ledger.head(TENANT)
    assert head is not None
    random = bytes.fromhex(head.origin.rpartition("/")[2])

    class Fixed(SystemEntropy):
        @override
        def bytes(self, count: int) -> bytes:
            return random

    made = Ledger("test.example", Fixed())
    await made.names(*names)
    return made


@pytest.mark.parametrize(
    ("history", "seq"),
    [(("a",), 2), (("a", "c"), 3), (("a", "c", "d", "e"), 3)],
    ids=["rollback", "fork", "a rewritten history that grew"],
)
async def test_another_history_is_refused(
    checkpointer: Checkpointer,
    ledger: Ledger,
    history: Sequence[str],
    seq: int,
) -> None:
    await ledger.names("a", "b")
    await checkpointer.round()
    ledger.cut(await other_ledger(ledger, *history))
    head = await ledger.head(TENANT)
    assert head is not None

    with pytest.raises(Refused) as refused:
        await checkpointer.checkpoint(TENANT, head)

    assert seq == refused.value.broken.seq
    assert 1 == len(await ledger.checkpoints(TENANT))
    with pytest.raises(IntegrityError):
        await checkpointer.round()


@pytest.mark.parametrize("seq", [4, 5])
async def test_a_new_row_that_does_not_hold_is_refused(
    checkpointer: Checkpointer, ledger: Ledger, seq: int
) -> None:
    await ledger.names("a", "b")
    await checkpointer.round()
    await ledger.names("c", "d", "e")
    ledger.rewrite(seq)
    head = await ledger.head(TENANT)
    assert head is not None

    with pytest.raises(Refused) as refused:
        await checkpointer.checkpoint(TENANT, head)

    assert seq == refused.value.broken.seq


async def test_old_tiles_that_do_not_prove_the_new_tree_are_refused(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    await ledger.names(*map(str, range(10)))
    await checkpointer.round()
    await ledger.names("new")
    ledger.rewrite(3)

    with pytest.raises(IntegrityError):
        await checkpointer.round()


async def test_a_log_that_vanished_is_told(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    await ledger.names("a")
    await ledger.names("a", tenant=OTHER)
    await checkpointer.round()
    await ledger.names("b")
    del ledger._heads[OTHER]

    with pytest.raises(IntegrityError):
        await checkpointer.round()

    assert 2 == len(await ledger.checkpoints(TENANT))


async def test_what_was_persisted_before_a_crash_is_published_after_it(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState, keys: PublicKeys
) -> None:
    await ledger.names("a")
    crashing = replace(checkpointer, state=Forgetful(state.folder))
    with pytest.raises(RetryableError):
        await crashing.round()
    assert [] == await published(ledger, keys)
    await ledger.names("b")

    await checkpointer.round()

    assert [2, 3] == [each.size for each in await published(ledger, keys)]


async def test_of_two_checkpointers_one_publishes(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState, keys: PublicKeys
) -> None:
    await ledger.names("a")
    head = await ledger.head(TENANT)
    assert head is not None

    unsigned = [None]

    class Late(FileState):
        """Looks before the other signs, swaps after it."""

        @override
        async def last(self, origin: str) -> Signed | None:
            return unsigned.pop() if unsigned else await super().last(origin)

    first = await checkpointer.checkpoint(TENANT, head)
    late = replace(checkpointer, state=Late(state.folder))

    assert None is await late.checkpoint(TENANT, head)
    assert first is not None
    assert [first.checkpoint] == await published(ledger, keys)


async def test_who_was_overtaken_while_publishing_refuses_nothing(
    checkpointer: Checkpointer, keys: PublicKeys
) -> None:
    busy = Busy("test.example", SystemEntropy())
    first = replace(checkpointer, ledger=busy, logs=busy)

    async def quicker() -> None:
        await busy.names("b")
        await replace(first).round()

    await busy.names("a")
    busy.meanwhile.append(quicker)
    await first.round()

    assert [] == busy.meanwhile
    assert 2 == len(await published(busy, keys))


async def test_who_looked_before_another_signed_refuses_nothing(
    checkpointer: Checkpointer, ledger: Ledger, keys: PublicKeys
) -> None:
    await ledger.names("a")
    stale = await ledger.head(TENANT)
    assert stale is not None
    await ledger.names("b")
    await replace(checkpointer).round()

    assert await checkpointer.checkpoint(TENANT, stale) is None
    assert 1 == len(await published(ledger, keys))


async def test_a_log_that_another_was_first_to_sign_is_not_gone(
    checkpointer: Checkpointer, state: FileState, ledger: Ledger
) -> None:
    class Late(FileState):
        @override
        async def origins(self) -> Sequence[str]:
            await ledger.names("b", tenant=OTHER)
            await checkpointer.round()
            return await FileState.origins(self)

    await ledger.names("a")
    await replace(checkpointer, state=Late(state.folder)).round()

    assert 1 == len(await ledger.checkpoints(OTHER))


async def test_a_published_checkpoint_that_was_replaced_is_told(
    checkpointer: Checkpointer, ledger: Ledger
) -> None:
    await ledger.names("a")
    await checkpointer.round()
    notes = ledger._notes[TENANT]
    notes[2] = notes[2].replace("\n2\n", "\n3\n")

    with pytest.raises(IntegrityError):
        await checkpointer.round()


def forget(state: FileState) -> None:
    for path in state.folder.glob("*.note"):
        path.unlink()


async def test_a_signer_that_forgot_signs_nothing(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState
) -> None:
    await ledger.names("a")
    await checkpointer.round()
    forget(state)
    await ledger.names("b")
    await ledger.names("new", tenant=OTHER)

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await checkpointer.round()

    assert 1 == len(await ledger.checkpoints(TENANT))
    # A log that nobody ever signed has nothing to remember.
    assert 1 == len(await ledger.checkpoints(OTHER))


async def test_it_goes_on_from_what_it_was_told_to_believe(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState
) -> None:
    await ledger.names("a")
    await checkpointer.round()
    forget(state)
    await ledger.names("b")

    held = [await adopted(ledger, each, state.folder.parent, ()) for each in BOTH]
    await checkpointer.round()

    assert [True, True] == held
    assert 2 == len(await ledger.checkpoints(TENANT))


async def test_it_believes_nothing_that_does_not_hold(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState
) -> None:
    await ledger.names("a", "b")
    await checkpointer.round()
    kept = await ledger.latest(TENANT)
    assert kept is not None
    forget(state)
    ledger.rewrite(1)

    assert not await adopted(ledger, TENANT, state.folder.parent, ())
    assert [] == await state.origins()


async def test_a_kept_checkpoint_tells_of_a_ledger_that_went_back(
    checkpointer: Checkpointer, ledger: Ledger, state: FileState
) -> None:
    await ledger.names("a")
    await checkpointer.round()
    await ledger.names("b")
    await checkpointer.round()
    kept = await ledger.latest(TENANT)
    assert kept is not None
    forget(state)
    ledger.cut(await other_ledger(ledger, "a"))
    del ledger._notes[TENANT][3]

    assert not await adopted(ledger, TENANT, state.folder.parent, (kept,))
    assert [] == await state.origins()
    # Without it, inside, nothing is wrong: the command says what it believes.
    assert await adopted(ledger, TENANT, state.folder.parent, ())
