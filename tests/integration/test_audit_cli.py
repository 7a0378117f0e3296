"""``sluice audit`` on a real database, as the operator's login."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from demo.stack import Stack
from infra.log import Log
from infra.postgres.roles import dsn
from infra.signer.ed25519 import FileSigner, ensure_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock
from pipeline.audit import ROOT
from pipeline.checkpoint import Checkpoint
from producers.checkpointer import Checkpointer
from producers.cli.audit import audit
from schemas.ids import TenantId
from schemas.requests import Decision
from tests.support.audit import TENANT, recorded, request_id
from tests.support.ledger import SECRET, Database, database, execute, opened

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
GUARDS = ("phrases", "pii")
EMPTIED = """
alter table sluice.ledger_{0} disable trigger user;
delete from sluice.ledger_{0};
"""
SAID = Decision(stage="screening", control="phrases", verdict="allowed", rule="r-1")


@dataclass(frozen=True, slots=True)
class Scene:
    """A ledger with a tenant's story and its checkpoint."""

    made: Database
    url: str
    signer: Path

    def run(self, *words: str, url: str | None = None) -> Result:
        env = {
            "SLUICE_DATABASE__ADMIN_URL": url or self.url,
            "SLUICE_LEDGER__SIGNER_DIRECTORY": str(self.signer),
            "COLUMNS": "200",
        }
        return CliRunner().invoke(audit, words, env=env)


async def prepare(made: Database, signer: Path) -> None:
    await execute(made.admin, f"alter role sluice_operator password '{SECRET}'")
    ensure_key(signer, bytes(32), CLOCK.now())
    async with opened(made) as books:
        steps = ("accepted", "screened", "completed")
        await books.ledger.append(
            [
                recorded(
                    step,
                    f"request.{step}",
                    request="r",
                    status="allowed",
                    decision=(SAID,),
                    guards_required=GUARDS,
                    guards_ran=GUARDS[:1],
                )
                for step in steps
            ]
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


@pytest.fixture(scope="module")
def scene(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    signer = tmp_path_factory.mktemp("signer")
    with database(stack.postgres_url) as made:
        asyncio.run(prepare(made, signer))
        name = made.admin.rpartition("/")[2]
        yield Scene(
            made, dsn(stack.postgres_url, name, "sluice_operator", SECRET), signer
        )


def test_every_log_holds(scene: Scene) -> None:
    result = scene.run("verify")

    assert 0 == result.exit_code, result.output
    lines = result.output.splitlines()
    assert 2 == len([line for line in lines if line.endswith("holds")])
    assert "/root: 4 records" in result.output


def test_a_request_tells_its_story(scene: Scene) -> None:
    result = scene.run("show", request_id("r"))

    assert 0 == result.exit_code, result.output
    for word in ("request.accepted", "incident.coverage", "(r-1)", "pii"):
        assert word in result.output


def test_the_raw_records_are_the_exact_bytes(scene: Scene) -> None:
    result = scene.run("show", request_id("r"), "--raw", "--tenant", TENANT)

    records = [json.loads(line) for line in result.output.splitlines()]
    assert [1, 2, 3, 4] == [each["seq"] for each in records]


def test_an_export_holds_with_the_network_cut(scene: Scene, tmp_path: Path) -> None:
    exported = scene.run("export", str(tmp_path / "out"))
    nowhere = "postgresql://nobody@127.0.0.1:1/none"

    again = scene.run("export", str(tmp_path / "out"))
    result = scene.run("verify", "--export", str(tmp_path / "out"), url=nowhere)

    assert 0 == exported.exit_code, exported.output
    assert 2 == again.exit_code
    assert "another FOLDER" in again.output
    assert str(tmp_path / "out") in again.output
    assert 0 == result.exit_code, result.output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", request_id("never")), 3),
        (("show", "no id"), 2),
        (("verify", "--tenant", "no id"), 2),
        (("verify", "--tenant", request_id("nobody")), 3),
        (("verify", "--known", "/nowhere"), 2),
    ],
)
def test_what_is_asked_wrongly_is_told(
    scene: Scene, words: Sequence[str], code: int
) -> None:
    result = scene.run(*words)

    assert code == result.exit_code, result.output
    assert result.output
    assert "Traceback" not in result.output


def test_a_database_that_is_away_or_wrong_is_told(scene: Scene) -> None:
    away = scene.run("verify", url="postgresql://nobody@127.0.0.1:1/none")
    wrong = scene.run("verify", url=scene.url.replace(SECRET, "another"))

    assert 3 == away.exit_code, away.output
    assert 2 == wrong.exit_code, wrong.output
    assert "another" not in wrong.output


def test_a_checkpoint_of_another_log_than_the_one_asked_for_is_told(
    scene: Scene, tmp_path: Path
) -> None:
    """Its tenant has another log by now, or somebody else has it."""
    root, other = asyncio.run(kept(scene, tmp_path))
    one = ("verify", "--tenant", TENANT, "--known")

    results = [scene.run(*one, str(each)) for each in (root, other)]

    assert [0, 1] == [each.exit_code for each in results], results[0].output
    assert "nothing here tells of its 4 records" in results[0].stderr
    assert "another: DOES NOT HOLD: it was signed, and is not here" in results[1].output


async def kept(scene: Scene, folder: Path) -> Sequence[Path]:
    """A checkpoint of the root log, and one of a log that there is none of."""
    async with opened(scene.made) as books:
        root = await books.logs.latest(ROOT)
    assert root is not None
    other = Checkpoint("ledger.test.example/another", 9, bytes(32))
    note = await FileSigner(scene.signer, CLOCK).sign(other)
    paths = folder / "root", folder / "other"
    for path, text in zip(paths, (root, note), strict=True):
        path.write_text(text)
    return paths


@pytest.mark.parametrize("option", ["--known", "--since"])
def test_a_checkpoint_of_no_log_is_told(
    scene: Scene, tmp_path: Path, option: str
) -> None:
    _, other = asyncio.run(kept(scene, tmp_path))

    result = scene.run("verify", option, str(other))

    assert 1 == result.exit_code
    assert "another: DOES NOT HOLD: it was signed, and is gone" in result.output


def test_an_altered_record_is_named(scene: Scene) -> None:
    asyncio.run(tamper(scene.made.admin))

    result = scene.run("verify")

    assert 1 == result.exit_code
    assert "DOES NOT HOLD: record 2:" in result.output


def test_logs_that_are_all_gone_are_told_by_the_signer(
    stack: Stack, tmp_path: Path
) -> None:
    """Whoever never signed one says that there is none."""
    with database(stack.postgres_url) as made:
        asyncio.run(prepare(made, tmp_path / "signer"))
        for each in ("entry", "tile", "checkpoint", "head", "log"):
            asyncio.run(execute(made.admin, EMPTIED.format(each)))
        ensure_key(tmp_path / "new", bytes(32), CLOCK.now())
        told, new = (
            Scene(made, made.operator, tmp_path / each).run("verify")
            for each in ("signer", "new")
        )

    assert [1, 3] == [told.exit_code, new.exit_code], told.output
    assert 2 == told.output.count("DOES NOT HOLD: it was signed, and is gone")


async def tamper(admin: str) -> None:
    connection = await asyncpg.connect(admin)
    await connection.execute("alter table sluice.ledger_entry disable trigger user")
    await connection.execute(
        "update sluice.ledger_entry set actor = 'key:other' where seq = 2 and"
        " tenant_id = $1",
        TENANT,
    )
    await connection.close()


BEND = """
alter table sluice.ledger_head drop constraint ledger_head_check;
alter table sluice.ledger_head disable trigger user;
update sluice.ledger_head set range = '' where tenant_id = '{}'
"""


async def bend(made: Database, tenant: TenantId) -> None:
    """The end of a log has not the hashes that its size wants."""
    async with opened(made) as books:
        await books.ledger.append([recorded("a", tenant=tenant)])
    await execute(made.admin, BEND.format(tenant))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("verify", "DOES NOT HOLD"),
        ("export out", "NOT EXPORTED"),
        ("adopt", "NOT ADOPTED"),
    ],
)
def test_a_bent_log_is_named_and_all_others_have_their_turn(
    stack: Stack, tmp_path: Path, command: str, said: str
) -> None:
    with database(stack.postgres_url) as made:
        asyncio.run(prepare(made, tmp_path / "signer"))
        asyncio.run(bend(made, TenantId("0" * 7 + "1" + TENANT[8:])))
        own = Scene(made, made.operator, tmp_path / "signer")
        (tmp_path / "signer" / "state").rename(tmp_path / "lost")
        verb, *words = command.split()

        result = own.run(verb, *(str(tmp_path / each) for each in words))

    assert 1 == result.exit_code, result.output
    lines = [each for each in result.output.splitlines() if "/root" not in each]
    assert 1 == sum(said in each for each in lines)
    assert 1 == sum(" 5 records" in each for each in lines)
