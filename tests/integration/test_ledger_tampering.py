"""The tamper matrix: a superuser who switches every fence off, and what tells of it.

Each case names the exact record, or the outside copy without which nobody could tell.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

import asyncpg
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.stack import Stack
from infra.log import Log
from infra.signer.ed25519 import FileSigner, ensure_key, public_keys, rotate_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock
from pipeline.audit import Recorded, chain, created, empty
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note, sign
from pipeline.closing import ended, kept_of
from pipeline.completeness import reconcile
from pipeline.errors import HeadBent, IntegrityError
from pipeline.passes import Refused, Report, full_pass, nothing_behind
from pipeline.ports.ledger import Deleted
from pipeline.presence import vanished
from pipeline.proofs import prove
from producers.checkpointer import Checkpointer
from producers.cli.adoption import adopted
from producers.cli.audit import audit
from producers.cli.judging import Trust, verify_one
from schemas.audit import CLOSED
from schemas.ids import TenantId
from tests.support.audit import NOON, recorded, request_id
from tests.support.ledger import Books, Database, database, new_tenant, opened

pytestmark = pytest.mark.integration

SIZE = 701
WIDE = 1 << 16
"""Records of a full tile of level 1."""
SEQ = 300
CLOCK = SystemClock()
SAID = ("request.screened", "request.redacted")
TABLES = ("ledger_entry", "ledger_head", "ledger_tile", "ledger_checkpoint")
FLIPPED = "set_byte({0}, 30, get_byte({0}, 30) # 1)"


def rewritten(pattern: str, new: str) -> str:
    """Another text in the record, under a leaf hash that is right for it."""
    text = f"regexp_replace(convert_from(body, 'UTF8'), '{pattern}', '{new}')"
    body = f"convert_to({text}, 'UTF8')"
    return f"body = {body}, leaf_hash = sha256('\\x00'::bytea || {body})"


ALTERED = {
    "a byte of the record": f"body = {FLIPPED.format('body')}",
    "a byte of the leaf hash": f"leaf_hash = {FLIPPED.format('leaf_hash')}",
    "the actor": "actor = 'key:other'",
    "the action": "action = 'request.accepted'",
    "the time": "ts = ts + interval '1 microsecond'",
    "the request": "request_id = null",
    "the event": "event_id = gen_random_uuid()",
    "the record with its leaf hash": rewritten("screened", "redacted")
    + ", action = 'request.redacted'",
    "prev with its leaf hash": rewritten('"prev":"[0-9a-f]+', f'"prev":"{"0" * 64}'),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A log of 701 records with checkpoints, and the way behind its fences."""

    admin: str
    books: Books
    tenant: TenantId
    signer: Path

    @property
    def checkpointer(self) -> Checkpointer:
        return Checkpointer(
            ledger=self.books.ledger,
            logs=self.books.logs,
            signer=FileSigner(self.signer, CLOCK),
            state=FileState(self.signer / STATE),
            clock=CLOCK,
            log=Log("test"),
        )

    async def signed(self) -> None:
        head = await self.books.logs.head(self.tenant)
        assert head is not None
        await self.checkpointer.checkpoint(self.tenant, head)

    async def judged(self, outside: Sequence[str] = ()) -> Report:
        head = await self.books.logs.head(self.tenant)
        assert head is not None
        keys = public_keys(self.signer).named(head.origin)
        report = await full_pass(self.books.logs, self.tenant, keys, outside)
        assert report is not None
        return report

    async def broken(self, outside: Sequence[str] = ()) -> int | None:
        report = await self.judged(outside)
        return report.broken.seq if report.broken else None

    async def kept(self) -> list[str]:
        """What the signer remembers."""
        head = await self.books.logs.head(self.tenant)
        assert head is not None
        last = await FileState(self.signer / STATE).last(head.origin)
        assert last is not None
        return [last.note]

    @asynccontextmanager
    async def unfenced(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.admin)
        try:
            for table in TABLES:
                await connection.execute(
                    f"alter table sluice.{table} disable trigger user"
                )
            yield connection
            for table in TABLES:
                await connection.execute(
                    f"alter table sluice.{table} enable trigger user"
                )
        finally:
            await connection.close()

    async def tamper(self, statement: str, *values: object) -> None:
        async with self.unfenced() as connection:
            done = await connection.execute(statement, self.tenant, *values)
        assert not done.endswith(" 0"), "nothing was tampered with"

    async def rewrite(self, events: Sequence[Recorded]) -> None:
        """Put another history, whole in itself, in the place of the log's."""
        head = await self.books.logs.head(self.tenant)
        assert head is not None
        first = created(head.origin, events[0])
        made = chain(empty(head.origin), [first, *events])
        leaves = b"".join(entry.leaf for entry in made.entries)
        async with self.unfenced() as connection:
            for table in ("ledger_entry", "ledger_tile", "ledger_checkpoint"):
                await connection.execute(
                    f"delete from sluice.{table} where tenant_id = $1",  # noqa: S608
                    self.tenant,
                )
            await connection.executemany(
                "insert into sluice.ledger_entry values ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                [
                    (
                        self.tenant,
                        entry.seq,
                        entry.event_id,
                        entry.request_id,
                        entry.action,
                        entry.actor,
                        NOON,
                        entry.body,
                        entry.leaf,
                    )
                    for entry in made.entries
                ],
            )
            await connection.executemany(
                "insert into sluice.ledger_tile values ($1, 0, $2, $3, $4)",
                [
                    (
                        self.tenant,
                        tile.index,
                        leaves[tile.index * 8192 : (tile.index + 1) * 8192],
                        tile.hash,
                    )
                    for tile in made.filled
                ],
            )
            await connection.execute(
                "update sluice.ledger_head set size = $2, last_hash = $3, range = $4"
                " where tenant_id = $1",
                self.tenant,
                made.head.size,
                made.head.last,
                b"".join(made.head.tree.hashes),
            )


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def scene(made: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    ensure_key(tmp_path, bytes(32), CLOCK.now())
    async with opened(made) as books:
        scene = Scene(
            admin=made.admin, books=books, tenant=new_tenant(), signer=tmp_path
        )
        for start, end in ((0, 400), (400, 700)):
            events = history(scene.tenant, end)[start:]
            await books.ledger.append(events)
            await scene.signed()
        yield scene


def history(
    tenant: TenantId, count: int, action: str = "request.screened"
) -> list[Recorded]:
    return [
        recorded(str(each), action, tenant=tenant, request=str(each))
        for each in range(count)
    ]


async def test_untouched_it_holds(scene: Scene) -> None:
    report = await scene.judged(await scene.kept())

    assert None is report.broken
    assert (SIZE, 2) == (report.size, report.checkpoints)


@pytest.mark.parametrize("how", ALTERED)
@pytest.mark.parametrize("seq", [SEQ, SIZE - 1])
async def test_an_altered_row_is_named(scene: Scene, how: str, seq: int) -> None:
    await scene.tamper(
        f"update sluice.ledger_entry set {ALTERED[how]}"  # noqa: S608
        " where tenant_id = $1 and seq = $2",
        seq,
    )

    assert seq == await scene.broken()


async def test_a_deleted_row_is_named(scene: Scene) -> None:
    await scene.tamper(
        "delete from sluice.ledger_entry where tenant_id = $1 and seq = $2", SEQ
    )

    assert SEQ == await scene.broken()


async def test_swapped_rows_are_named(scene: Scene) -> None:
    for old, new in ((SEQ, -1), (SEQ + 1, SEQ), (-1, SEQ + 1)):
        async with scene.unfenced() as connection:
            await connection.execute(
                "alter table sluice.ledger_entry"
                " drop constraint if exists ledger_entry_seq_check"
            )
        await scene.tamper(
            "update sluice.ledger_entry set seq = $3 where tenant_id = $1 and seq = $2",
            old,
            new,
        )

    assert SEQ == await scene.broken()


async def test_a_row_behind_the_end_is_named(scene: Scene) -> None:
    await scene.tamper(
        "insert into sluice.ledger_entry select tenant_id, seq + 1,"
        " gen_random_uuid(), null, action, actor, ts, body, leaf_hash"
        " from sluice.ledger_entry where tenant_id = $1 and seq = $2",
        SIZE - 1,
    )

    assert SIZE == await scene.broken()


async def put_outside(scene: Scene, seq: int, events: Sequence[Recorded]) -> None:
    """Rows that the tree does not hold, of events that come only now."""
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    async with scene.unfenced() as connection:
        await connection.execute(
            "alter table sluice.ledger_entry"
            " drop constraint if exists ledger_entry_seq_check"
        )
        for at, entry in enumerate(chain(head, events).entries, seq):
            await connection.execute(
                "insert into sluice.ledger_entry values ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                scene.tenant,
                at,
                entry.event_id,
                entry.request_id,
                entry.action,
                entry.actor,
                NOON,
                entry.body,
                entry.leaf,
            )


def story(tenant: TenantId) -> list[Recorded]:
    return [
        recorded(f"x {step}", f"request.{step}", tenant=tenant, request="x")
        for step in ("accepted", "completed")
    ]


OUTSIDE = (-10, 10**12)


@pytest.mark.parametrize("seq", OUTSIDE)
async def test_rows_outside_of_the_log_are_no_end_of_a_request(
    scene: Scene, seq: int
) -> None:
    """They make the true records repeats; so the request is missing."""
    events = story(scene.tenant)
    await put_outside(scene, seq, events)

    done = await scene.books.ledger.append(events)

    asked = [request_id("x")]
    found = reconcile(asked, await scene.books.logs.actions(scene.tenant, asked))
    assert 2 == done.repeats
    assert (tuple(asked), tuple(asked)) == (found.unrecorded, found.unended)


@pytest.mark.parametrize("seq", OUTSIDE)
async def test_rows_outside_of_the_log_are_named(scene: Scene, seq: int) -> None:
    await put_outside(scene, seq, story(scene.tenant))

    assert {-10: 0}.get(seq, seq) == await scene.broken()


async def test_a_row_far_behind_the_end_of_a_busy_log_is_named(scene: Scene) -> None:
    """Rows that came meanwhile lie between the end that was read and it."""
    await put_outside(scene, 10**12, story(scene.tenant))
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    more = [recorded(f"m {each}", tenant=scene.tenant) for each in range(300)]
    await scene.books.ledger.append(more)

    with pytest.raises(Refused) as refused:
        await nothing_behind(scene.books.logs, scene.tenant, head)

    assert 10**12 == refused.value.broken.seq


async def test_a_bent_end_is_told_and_other_logs_have_their_turn(scene: Scene) -> None:
    """Its range has not the hashes that its size wants."""
    async with scene.unfenced() as connection:
        await connection.execute(
            "alter table sluice.ledger_head drop constraint if exists ledger_head_check"
        )
    await scene.tamper("update sluice.ledger_head set range = '' where tenant_id = $1")
    last = TenantId("f" * 8 + scene.tenant[8:])
    await scene.books.ledger.append([recorded("a", tenant=last)])

    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()

    assert await scene.books.logs.latest(last) is not None
    trust = Trust(signer=scene.signer)
    assert not await verify_one(scene.books.logs, None, scene.tenant, trust)
    with pytest.raises(HeadBent):
        await scene.books.ledger.append([recorded("b", tenant=scene.tenant)])


@pytest.mark.parametrize("bent", ["null, root_seq = null", "sha256('x')"])
@pytest.mark.parametrize("size", [401, SIZE])
async def test_an_altered_commitment_is_told(
    scene: Scene, size: int, bent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, trust = scene.books.logs, Trust(signer=scene.signer)
    held = await verify_one(logs, None, scene.tenant, trust)

    await scene.tamper(
        f"update sluice.ledger_checkpoint set root_salt = {bent}"  # noqa: S608
        " where tenant_id = $1 and size = $2",
        size,
    )

    assert held
    assert not await verify_one(logs, None, scene.tenant, trust)
    assert f"checkpoint {size}: " in capsys.readouterr().out


async def test_an_inserted_row_is_named(scene: Scene) -> None:
    """Everything behind it moved on by one, and the head counts it."""
    await scene.tamper(
        "update sluice.ledger_entry set seq = seq + 1000001"
        " where tenant_id = $1 and seq >= $2",
        SEQ,
    )
    await scene.tamper(
        "update sluice.ledger_entry set seq = seq - 1000000"
        " where tenant_id = $1 and seq >= 1000000"
    )
    await scene.tamper(
        "insert into sluice.ledger_entry select tenant_id, seq + 1,"
        " gen_random_uuid(), null, action, actor, ts, body, leaf_hash"
        " from sluice.ledger_entry where tenant_id = $1 and seq = $2",
        SEQ - 1,
    )
    await scene.tamper(
        "update sluice.ledger_head set size = size + 1 where tenant_id = $1"
    )

    assert SEQ == await scene.broken()


@pytest.mark.parametrize("column", ["hashes", "root"])
async def test_an_altered_tile_is_told(scene: Scene, column: str) -> None:
    flipped = FLIPPED.format(column)
    await scene.tamper(
        f"update sluice.ledger_tile set {column} = {flipped}"  # noqa: S608
        " where tenant_id = $1 and n = 1"
    )

    assert {"hashes": 256, "root": 512}[column] == await scene.broken()


async def test_a_tile_that_was_put_before_its_time_is_told(scene: Scene) -> None:
    await scene.tamper(
        "insert into sluice.ledger_tile select tenant_id, 0, 2, hashes, root"
        " from sluice.ledger_tile where tenant_id = $1 and n = 1"
    )

    assert 512 == await scene.broken()


@pytest.mark.parametrize(
    ("level", "n", "first"), [(0, 1000, 256_000), (1, 3, 3 << 16), (5, 7, 7 << 48)]
)
async def test_a_tile_far_behind_the_end_is_told(
    scene: Scene, level: int, n: int, first: int
) -> None:
    await scene.tamper(
        "insert into sluice.ledger_tile select tenant_id, $2, $3, hashes, root"
        " from sluice.ledger_tile where tenant_id = $1 and n = 1",
        level,
        n,
    )

    assert first == await scene.broken()


async def test_a_premature_tile_with_a_true_beginning_is_told(scene: Scene) -> None:
    """No partial tile differs; the append that fills it would be refused."""
    await scene.tamper(
        "insert into sluice.ledger_tile select tenant_id, 0, 2,"
        " rpad(string_agg(leaf_hash, ''::bytea order by seq)::text, 16386, '0')::bytea,"
        " sha256('') from sluice.ledger_entry"
        " where tenant_id = $1 and seq >= 512 group by tenant_id"
    )

    assert 512 == await scene.broken()


async def test_an_altered_head_is_told(scene: Scene) -> None:
    await scene.tamper(
        "update sluice.ledger_head set last_hash = sha256('') where tenant_id = $1"
    )

    assert SIZE - 1 == await scene.broken()


async def forged(scene: Scene, key: VerifyKey, seed: bytes) -> str:
    """A checkpoint of another history, under whatever key."""
    text = Checkpoint(key.name, 401, bytes(32)).text
    return sign(text, [(key, Ed25519PrivateKey.from_private_bytes(seed).sign)])


@pytest.mark.parametrize("seed", [bytes(32), bytes([1] * 32)], ids=["ours", "another"])
async def test_a_replaced_checkpoint_is_told(scene: Scene, seed: bytes) -> None:
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    note = await forged(scene, VerifyKey(head.origin, public), seed)
    await scene.tamper(
        "update sluice.ledger_checkpoint set note = $2"
        " where tenant_id = $1 and size = 401",
        note,
    )

    expected = 401 if seed == bytes(32) else SIZE  # wrong root; or does not open at all
    assert expected == await scene.broken()


async def test_a_key_of_the_past_is_told(scene: Scene, tmp_path: Path) -> None:
    """Stolen after it was handed over, it signs nothing that comes later."""
    old = FileSigner(tmp_path, CLOCK)
    keys = (tmp_path / "keys.json").read_bytes()
    rotate_key(tmp_path, bytes([1] * 32), CLOCK.now(), overlap=timedelta(0))
    await scene.books.ledger.append([recorded("new", tenant=scene.tenant)])
    await scene.signed()
    await scene.books.ledger.append([recorded("newer", tenant=scene.tenant)])
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    assert None is await scene.broken()
    rotated = (tmp_path / "keys.json").read_bytes()
    (tmp_path / "keys.json").write_bytes(keys)
    note = await old.sign(Checkpoint(head.origin, head.size, head.tree.root()))
    (tmp_path / "keys.json").write_bytes(rotated)

    await scene.books.logs.publish(scene.tenant, note, CLOCK.now())

    assert head.size == await scene.broken()


async def test_a_cut_tail_is_told_by_the_signer_alone(scene: Scene) -> None:
    kept = await scene.kept()
    await scene.rewrite(history(scene.tenant, 500))

    assert None is await scene.broken()
    assert 501 == await scene.broken(kept)
    with pytest.raises(IntegrityError):
        await scene.signed()


async def test_a_rewritten_history_is_told_by_the_signer_alone(scene: Scene) -> None:
    kept = await scene.kept()
    await scene.rewrite(history(scene.tenant, 700, "request.redacted"))

    assert None is await scene.broken()
    assert SIZE == await scene.broken(kept)
    with pytest.raises(IntegrityError):
        await scene.signed()


async def test_a_rewritten_history_is_told_by_a_checkpoint_that_stayed(
    scene: Scene,
) -> None:
    (first, *_) = await scene.books.logs.checkpoints(scene.tenant)
    await scene.rewrite(history(scene.tenant, 700, "request.redacted"))
    await scene.books.logs.publish(scene.tenant, first, CLOCK.now())

    assert 401 == await scene.broken()


async def test_an_old_backup_is_told_by_the_signer_alone(scene: Scene) -> None:
    """Rows, tiles, head and checkpoints, all as they were at 401 records."""
    kept = await scene.kept()
    (first, *_) = await scene.books.logs.checkpoints(scene.tenant)
    await scene.rewrite(history(scene.tenant, 400))
    await scene.books.logs.publish(scene.tenant, first, CLOCK.now())

    report = await scene.judged()

    assert (None, 401, 1) == (report.broken, report.size, report.checkpoints)
    assert 401 == await scene.broken(kept)
    with pytest.raises(IntegrityError):
        await scene.signed()


async def test_a_fork_that_grew_is_told_by_the_signer_alone(scene: Scene) -> None:
    """Another history, longer than the one that was signed."""
    kept = await scene.kept()
    await scene.rewrite(history(scene.tenant, 800, "request.redacted"))

    assert None is await scene.broken()
    assert SIZE == await scene.broken(kept)
    with pytest.raises(IntegrityError):
        await scene.signed()


async def test_a_rewritten_history_is_told_by_a_copy_elsewhere(scene: Scene) -> None:
    """A witness's or a bucket's, though the signer's memory was rewritten with it."""
    bucket = await scene.kept()
    await scene.rewrite(history(scene.tenant, 800, "request.redacted"))
    rmtree(scene.signer / STATE)
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    signed = Checkpoint(head.origin, head.size, head.tree.root())
    note = await FileSigner(scene.signer, CLOCK).sign(signed)
    await scene.books.logs.publish(scene.tenant, note, CLOCK.now())

    assert None is await scene.broken()
    assert SIZE == await scene.broken(bucket)


async def test_a_changed_list_of_keys_is_told(scene: Scene) -> None:
    """Whose keys they are nobody can tell from them: but then nothing opens."""
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    ensure_key(scene.signer / "other", bytes([7] * 32), CLOCK.now())
    keys = public_keys(scene.signer / "other").named(head.origin)

    report = await full_pass(scene.books.logs, scene.tenant, keys)

    assert report is not None
    assert report.broken is not None


async def test_an_altered_tile_of_level_1_is_told(scene: Scene) -> None:
    """There is one from 65,536 records on."""
    for start in range(SIZE, WIDE, 5_000):
        names = (f"wide {seq}" for seq in range(start, start + 5_000))
        await scene.books.ledger.append(
            [recorded(each, tenant=scene.tenant) for each in names]
        )
    flipped = FLIPPED.format("hashes")
    await scene.tamper(
        f"update sluice.ledger_tile set hashes = {flipped}"  # noqa: S608
        " where tenant_id = $1 and level = 1"
    )

    assert 0 == await scene.broken()


async def drop(scene: Scene) -> None:
    """Nothing of the log is left."""
    tables = ("entry", "tile", "checkpoint", "head", "log")
    async with scene.unfenced() as connection:
        await connection.execute("alter table sluice.ledger_log disable trigger user")
        for table in tables:
            await connection.execute(
                f"delete from sluice.ledger_{table} where tenant_id = $1",  # noqa: S608
                scene.tenant,
            )
        await connection.execute("alter table sluice.ledger_log enable trigger user")


async def close(scene: Scene) -> Deleted:
    """The log's last record, signed with all before it; what is to be kept."""
    await scene.books.ledger.append([recorded("end", CLOSED, tenant=scene.tenant)])
    with suppress(IntegrityError):  # logs of other cases of this module were bent
        await scene.checkpointer.round()
    keys = public_keys(scene.signer).named
    head = await scene.books.logs.head(scene.tenant)
    assert head is not None
    return await kept_of(scene.books.logs, scene.tenant, keys(head.origin))


async def gone(scene: Scene, remembered: Sequence[Checkpoint]) -> Sequence[str]:
    ends = await ended(scene.books.logs, public_keys(scene.signer).named)
    return await vanished(scene.books.logs, remembered, ends)


async def test_a_dropped_log_is_told_by_the_signer(scene: Scene) -> None:
    signed = [parse_note(each) for each in await scene.kept()]
    await drop(scene)

    with pytest.raises(IntegrityError):
        await scene.checkpointer.round()
    assert [signed[0].origin] == await gone(scene, signed)


async def test_a_log_that_was_closed_and_deleted_did_not_vanish(scene: Scene) -> None:
    before = [parse_note(each) for each in await scene.kept()]
    kept = await close(scene)
    after = [parse_note(each) for each in await scene.kept()]
    await scene.books.deleter.delete(kept)

    assert [] == await gone(scene, [*before, *after])


async def test_a_closed_log_that_was_deleted_in_part_is_told(scene: Scene) -> None:
    """With the deleter's own rights, and behind no fence."""
    kept = await close(scene)
    connection = await asyncpg.connect(scene.admin)
    try:
        async with connection.transaction():
            await connection.execute(
                "select auth.become($1),"
                " set_config('role', 'sluice_ledger_deleter', true)",
                scene.tenant,
            )
            await connection.execute(
                "insert into sluice.ledger_deleted"
                " (origin, record, proof, root_salt, root_seq)"
                " values ($1, $2, $3, $4, $5)",
                kept.origin,
                kept.record,
                kept.proof,
                kept.rooted.salt,
                kept.rooted.seq,
            )
            await connection.execute(
                "delete from sluice.ledger_entry"
                " where tenant_id = $1 and seq between 100 and 199",
                scene.tenant,
            )
    finally:
        await connection.close()

    assert 100 == await scene.broken()


async def test_a_closed_log_that_was_dropped_is_told(scene: Scene) -> None:
    """Without what is to be kept of it, nobody can see that it was closed."""
    await close(scene)
    signed = [parse_note(each) for each in await scene.kept()]
    await drop(scene)

    assert [signed[0].origin] == await gone(scene, signed)


async def test_a_forged_end_of_a_dropped_log_is_told(scene: Scene) -> None:
    """A record that was never there, under the true last checkpoint."""
    signed = [parse_note(each) for each in await scene.kept()]
    rooted = await scene.books.logs.rooted(scene.tenant, SIZE)
    (note,) = await scene.kept()
    (last,) = await scene.books.logs.read(scene.tenant, SIZE - 1, 1)
    proof = await prove(scene.books.logs, scene.tenant, SIZE - 1, signed[0], note)
    forged = last.body.replace(b"request.screened", CLOSED.encode())
    await drop(scene)
    async with scene.unfenced() as connection:
        await connection.execute(
            "alter table sluice.ledger_deleted disable trigger user"
        )
        for tenant, record in ((scene.tenant, forged), (new_tenant(), last.body)):
            await connection.execute(
                "insert into sluice.ledger_deleted values ($1, $2, $3, $4, $5, $6)",
                tenant,
                signed[0].origin if tenant == scene.tenant else "another",
                record,
                proof.text,
                rooted.salt if rooted else bytes(32),
                rooted.seq if rooted else 0,
            )
        await connection.execute(
            "alter table sluice.ledger_deleted enable trigger user"
        )

    assert [signed[0].origin] == await gone(scene, signed)


async def test_the_signer_goes_on_from_the_record_that_it_signed(
    scene: Scene,
) -> None:
    """It is another one now, under the old leaf hash, and the head names it as last."""
    text = "regexp_replace(convert_from(body, 'UTF8'), 'screened', 'redacted')"
    await scene.tamper(
        f"update sluice.ledger_entry set body = convert_to({text}, 'UTF8'),"  # noqa: S608
        " action = 'request.redacted' where tenant_id = $1 and seq = $2",
        SIZE - 1,
    )
    await scene.tamper(
        "update sluice.ledger_head set last_hash = (select sha256(body)"
        " from sluice.ledger_entry where tenant_id = $1 and seq = $2)"
        " where tenant_id = $1",
        SIZE - 1,
    )
    await scene.books.ledger.append([recorded("new", tenant=scene.tenant)])

    with pytest.raises(Refused, match=f"record {SIZE - 1}: "):
        await scene.signed()


async def forgotten(scene: Scene) -> str:
    """The signer's memory is lost; what lay in a bucket."""
    (bucket,) = await scene.kept()
    rmtree(scene.signer / STATE)
    return bucket


async def adopt(scene: Scene, *known: str) -> bool:
    return await adopted(scene.books.logs, scene.tenant, scene.signer, known)


async def test_adoption_tells_of_a_rewritten_history_by_what_was_known(
    scene: Scene,
) -> None:
    """Its checkpoints went with it, so none is published."""
    bucket = await forgotten(scene)
    await scene.rewrite(history(scene.tenant, 800, "request.redacted"))

    assert not await adopt(scene, bucket)
    assert await FileState(scene.signer / STATE).origins() == []


async def test_adoption_takes_the_longest_that_was_known(scene: Scene) -> None:
    """By the published one a fork behind it would be signed."""
    bucket = await forgotten(scene)
    (first, *_) = await scene.books.logs.checkpoints(scene.tenant)
    await scene.tamper(
        "delete from sluice.ledger_checkpoint where tenant_id = $1 and size = $2", SIZE
    )

    assert await adopt(scene, first, bucket, first)

    assert [bucket] == await scene.kept()
    same, other = (history(scene.tenant, 900, each) for each in SAID)
    await scene.rewrite([*same[:400], *other[400:]])
    await scene.books.logs.publish(scene.tenant, first, CLOCK.now())
    with pytest.raises(IntegrityError):
        await scene.signed()


async def test_adoption_tells_of_a_known_log_that_is_gone(
    scene: Scene, made: Database
) -> None:
    bucket = await forgotten(scene)
    (scene.signer / "bucket").write_text(bucket)
    await drop(scene)
    there = new_tenant()
    await scene.books.ledger.append([recorded("there", tenant=there)])
    command = ["adopt", "--signer", str(scene.signer), "--tenant", there]
    command += ["--database-url", made.operator]

    result, known = [
        await asyncio.to_thread(CliRunner().invoke, audit, [*command, *words])
        for words in ([], ["--known", str(scene.signer / "bucket")])
    ]

    assert [0, 1] == [result.exit_code, known.exit_code], known.output
    origin = parse_note(bucket).origin
    assert f"{origin}: NOT ADOPTED: it was signed, and is gone" in known.output


async def test_a_record_behind_the_end_is_refused_by_the_database(
    scene: Scene,
) -> None:
    """Also for whoever may append, and does not ask us."""
    await close(scene)
    connection = await asyncpg.connect(scene.admin)
    try:
        for role in ("sluice_ledger_writer", "none"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await behind_the_end(connection, scene.tenant, role)
    finally:
        await connection.close()


async def behind_the_end(
    connection: asyncpg.Connection, tenant: TenantId, role: str
) -> None:
    async with connection.transaction():
        await connection.execute(
            "select auth.become($1), set_config('role', $2, true)", tenant, role
        )
        await connection.execute(
            "insert into sluice.ledger_entry select tenant_id, seq + 1,"
            " gen_random_uuid(), null, 'a.b', actor, ts, body, leaf_hash"
            " from sluice.ledger_entry where tenant_id = $1 order by seq desc limit 1",
            tenant,
        )


async def test_a_checkpoint_that_lies_at_another_size_is_told(scene: Scene) -> None:
    """So an old checkpoint becomes the last one: what is served and exported is it."""
    await scene.tamper(
        "update sluice.ledger_checkpoint set size = 702"
        " where tenant_id = $1 and size = 401"
    )

    assert 401 == await scene.broken()
