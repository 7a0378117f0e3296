"""Outsiders over HTTP on loopback, a real ledger, and what an auditor takes away."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from demo.stack import Stack
from infra.anchors import authority as http_authority
from infra.anchors.witness import HttpWitness
from infra.exports import export
from infra.log import Log
from infra.postgres.anchors import PostgresAnchors
from infra.postgres.logs import PostgresLogs
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock
from pipeline.anchors.cosignatures import cosignatures
from pipeline.audit import ROOT
from pipeline.checkpoint import log_id, parse_note
from pipeline.errors import IntegrityError, RetryableError
from producers.anchoring import Anchoring
from producers.checkpointer import Checkpointer
from producers.cli.audit import audit
from schemas.ids import TenantId
from tests.support.anchors import (
    Authority,
    Observer,
    authority,
    authority_at,
    witness_at,
)
from tests.support.audit import recorded
from tests.support.ledger import Books, Database, database, new_tenant, opened

pytestmark = pytest.mark.integration
CLOCK = SystemClock()


@pytest.fixture
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Scene:
    """A signed ledger of one tenant, its anchors, and those who gave them."""

    books: Books
    anchors: PostgresAnchors
    checkpointer: Checkpointer
    worker: Anchoring
    authority: Authority
    observer: Observer
    keys: PublicKeys
    tenant: TenantId

    async def round(self, name: str) -> str:
        await self.books.ledger.append([recorded(name, tenant=self.tenant)])
        await self.checkpointer.round()
        await self.worker.round()
        note = await self.books.logs.latest(ROOT)
        assert note is not None
        return note

    async def exported(self, folder: Path) -> tuple[Path, Path]:
        """The folders of the tenant's log and of the root log."""
        heads = [
            await export(self.books.logs, each, self.keys, folder, self.anchors)
            for each in (self.tenant, ROOT)
        ]
        mine, root = (folder / log_id(head.origin) for head in heads)
        return mine, root

    async def verify(self, folder: Path, *words: str) -> Result:
        """In a thread: the command runs an event loop of its own."""
        command = ["verify", "--export", str(folder), *words]
        return await asyncio.to_thread(CliRunner().invoke, audit, command)


@pytest.fixture
async def scene(made: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    signer = tmp_path / "signer"
    keys = ensure_key(signer, bytes(32), CLOCK.now())
    async with AsyncExitStack() as stack:
        books = await stack.enter_async_context(opened(made))
        pool = await stack.enter_async_context(
            asyncpg.create_pool(made.checkpointer, min_size=1, max_size=2)
        )
        checkpointer = Checkpointer(
            ledger=books.ledger,
            logs=books.logs,
            signer=FileSigner(signer, CLOCK),
            state=FileState(signer / STATE),
            clock=CLOCK,
            log=Log("test"),
        )
        await checkpointer.round()
        head = await books.logs.head(ROOT)
        assert head is not None
        stamping = authority(tmp_path / "tsa")
        observer = Observer(keys.named(head.origin)[0])
        tsa_url = await stack.enter_async_context(authority_at(stamping))
        witness_url = await stack.enter_async_context(witness_at(observer))
        anchors = PostgresAnchors(pool=pool, role="sluice_ledger_signer")
        worker = Anchoring(
            logs=PostgresLogs(pool=pool, role="sluice_ledger_signer"),
            anchors=anchors,
            clock=CLOCK,
            log=Log("test"),
            stampers={"tsa": http_authority.Authority(tsa_url, stamping.trusted)},
            witnesses={"w1": HttpWitness(witness_url, observer.key)},
        )
        yield Scene(
            books=books,
            anchors=anchors,
            checkpointer=checkpointer,
            worker=worker,
            authority=stamping,
            observer=observer,
            keys=keys,
            tenant=new_tenant(),
        )


def openssl(root: Path, size: int, made: Authority) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("openssl", "ts", "-verify", "-in", f"anchors/{size}.tsa.tsr"),
            *("-data", f"checkpoints/{size}"),
            *("-CAfile", str(made.folder / "ca.pem")),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_openssl_verifies_the_exported_stamp(
    scene: Scene, tmp_path: Path
) -> None:
    note = await scene.round("a")
    _, root = await scene.exported(tmp_path / "out")
    size = parse_note(note).size

    done = await asyncio.to_thread(openssl, root, size, scene.authority)

    assert "Verification: OK" in done.stdout, done.stderr


async def test_the_exported_cosignature_is_a_signed_note(
    scene: Scene, tmp_path: Path
) -> None:
    note = await scene.round("a")
    _, root = await scene.exported(tmp_path / "out")
    text = (root / "anchors" / f"{parse_note(note).size}.w1.cosigned").read_text()

    (found,) = cosignatures(text, [scene.observer.key])

    assert note + found.line == text
    assert timedelta(minutes=1) > abs(CLOCK.now() - found.at)


async def test_a_tenant_learns_when_its_checkpoint_was_there(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.round("a")
    await scene.round("b")
    await scene.exported(tmp_path / "out")

    result = await scene.verify(
        tmp_path / "out",
        *("--authority", str(scene.authority.folder / "ca.pem")),
        *("--witness", scene.observer.key.text),
    )

    assert 0 == result.exit_code, result.output
    assert "the checkpoint at 3 is in ledger.test.example/root" in result.output
    assert "3 records at the latest " in result.output
    assert "says tsa" in result.output
    assert "says witness.example/w1" in result.output


def bend(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


async def test_bent_evidence_does_not_hold(scene: Scene, tmp_path: Path) -> None:
    note = await scene.round("a")
    size = parse_note(note).size
    trusted = (
        *("--authority", str(scene.authority.folder / "ca.pem")),
        *("--witness", scene.observer.key.text),
    )
    cases = {
        f"anchors/{size}.tsa.tsr": -20,
        f"anchors/{size}.w1.cosigned": -10,
        "root/record": 30,
        "root/salt": 5,
        "root/proof": 60,
        f"root/anchors/{size}.tsa.tsr": -20,
    }
    for name, at in cases.items():
        out = tmp_path / name.replace("/", "-")
        mine, root = await scene.exported(out)
        place = mine if name.startswith("root/") else root
        bend(place / name, at)

        assert (await scene.verify(out, *trusted)).exit_code in {1, 3}, name
        (place / name).unlink()
        assert (await scene.verify(out, *trusted)).exit_code in {1, 3}, name


async def test_who_is_trusted_and_attested_nothing_is_told(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.round("a")
    await scene.exported(tmp_path / "out")
    other = authority(tmp_path / "other")

    result = await scene.verify(
        tmp_path / "out", "--authority", str(other.folder / "ca.pem")
    )

    assert 1 == result.exit_code
    assert "DOES NOT HOLD" in result.output


async def test_the_witness_is_proved_to_over_many_rounds(scene: Scene) -> None:
    sizes = [parse_note(await scene.round(name)).size for name in "abc"]

    assert [0, *sizes[:2]] == scene.observer.asked
    assert sizes[-1] == scene.observer.size


async def test_a_witness_that_remembers_more_than_our_rows(scene: Scene) -> None:
    """The first answer is 409 with the size that it knows."""
    await scene.round("a")
    held = scene.observer.size
    scene.observer.asked.clear()
    await scene.books.ledger.append([recorded("b", tenant=scene.tenant)])
    await scene.checkpointer.round()
    note = await scene.books.logs.latest(ROOT)
    assert note is not None

    witness = scene.worker.witnesses["w1"]
    found = await scene.worker._cosigned(witness, 0, note)

    assert [0, held] == scene.observer.asked
    assert found.startswith("\u2014 witness.example/w1 ".encode())


async def test_a_witness_refuses_a_rewritten_history(scene: Scene) -> None:
    """What it saw was another log of that size: it answers 422, and we alarm."""
    await scene.round("a")
    scene.observer.root = bytes(32)

    with pytest.raises(IntegrityError):
        await scene.round("b")


async def test_a_stamp_of_somebody_else_is_not_stored(
    scene: Scene, tmp_path: Path
) -> None:
    other = authority(tmp_path / "other")
    async with authority_at(other) as url:
        stamper = http_authority.Authority(url, scene.authority.trusted)

        with pytest.raises(IntegrityError):
            await stamper.stamp(b"note")


async def test_an_authority_that_is_away_is_asked_again(scene: Scene) -> None:
    stamper = http_authority.Authority("http://127.0.0.1:9/", scene.authority.trusted)

    with pytest.raises(RetryableError):
        await stamper.stamp(b"note")


async def test_the_copy_s_place_is_exported(scene: Scene, tmp_path: Path) -> None:
    from_json = json.dumps({"name": "n", "version": "v"}).encode()
    note = await scene.round("a")
    size = parse_note(note).size
    (held, *_) = await scene.anchors.anchored(ROOT)
    copy = type(held)(size, type(held.kind).COPY, "shelf", from_json, CLOCK.now())
    await scene.anchors.keep(ROOT, copy)

    _, root = await scene.exported(tmp_path / "out")

    assert from_json == (root / "anchors" / f"{size}.shelf.json").read_bytes()
