"""``sluice audit verify`` on an export: what holds, what does not, the exit codes."""

import asyncio
import csv
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from typing_extensions import override

from infra.exported import ExportedLogs
from infra.exports import export, vkeys
from infra.log import Log
from infra.memory.anchors import MemoryAnchors
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, ensure_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline import passes
from pipeline.audit import Head, chain, empty
from pipeline.checkpoint import Checkpoint
from pipeline.errors import HeadBent
from pipeline.ports import ledger as ports
from pipeline.ports.anchors import Anchored
from producers.checkpointer import Checkpointer
from producers.cli import adoption, evidence
from producers.cli import audit as commands
from producers.cli.audit import audit
from producers.cli.books import Books
from schemas.ids import TenantId
from tests.support.anchors import authority
from tests.support.audit import NOON, TENANT, recorded, request_id
from tests.support.exports import SIZE, Exported, make, signed


def verify(exported: Exported, *options: str) -> Result:
    command = ["verify", "--export", str(exported.folder), *options]
    return CliRunner().invoke(audit, command)


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return asyncio.run(make(tmp_path))


def test_an_untouched_export_holds(exported: Exported) -> None:
    result = verify(exported)

    assert 0 == result.exit_code, result.output
    assert "601 records, 3 checkpoints" in result.output


def test_a_log_whose_records_are_gone_is_not_passed_over(exported: Exported) -> None:
    other = exported.folder / "other"
    shutil.copytree(exported.place, other)
    (other / "records.jsonl").unlink()

    result = verify(exported)

    assert 3 == result.exit_code, result.output
    assert "records.jsonl" in result.output


def test_a_checkpoint_that_is_signed_during_an_export_is_not_in_it(
    tmp_path: Path,
) -> None:
    """Nor is the root log's commitment to it, which would be to nothing that is."""
    ledger, keys = asyncio.run(signed(tmp_path))
    clock = SystemClock()
    checkpointer = Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(tmp_path / "signer", clock),
        state=FileState(tmp_path / "signer" / STATE),
        clock=clock,
        log=Log("test"),
    )

    class Signing(MemoryAnchors):
        @override
        async def anchored(self, tenant: TenantId) -> Sequence[Anchored]:
            await checkpointer.round()
            return await super().anchored(tenant)

    asyncio.run(export(ledger, TENANT, keys, tmp_path / "export", Signing()))
    (place,) = (tmp_path / "export").iterdir()
    result = verify(Exported(tmp_path / "export", place, tmp_path / "signer"))

    assert 0 == result.exit_code, result.output
    assert f"the checkpoint at {SIZE} is in" in result.output


def test_it_holds_beside_what_the_signer_and_a_stranger_kept(
    exported: Exported, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_text((exported.place / "checkpoints" / "258").read_text())
    keys = str(exported.place / "vkeys.json")

    result = verify(
        exported, "--signer", str(exported.signer), "--known", str(kept), "--keys", keys
    )

    assert 0 == result.exit_code, result.output
    assert "3 checkpoints" in result.output


@pytest.mark.parametrize("seq", [0, 1, 255, 256, 257, 511, 512, 599, 600])
def test_an_altered_record_is_named(exported: Exported, seq: int) -> None:
    exported.line(seq, lambda line: line.replace(b"system:", b"systen:"))

    result = verify(exported)

    assert 1 == result.exit_code
    assert f"record {seq}:" in result.output


@pytest.mark.parametrize("seq", [1, 256, 599])
def test_a_record_taken_out_is_named(exported: Exported, seq: int) -> None:
    exported.line(seq, lambda _: b"")

    result = verify(exported)

    assert 1 == result.exit_code
    assert f"record {seq}:" in result.output


def test_a_record_put_in_is_named(exported: Exported) -> None:
    exported.line(300, lambda line: line + line)

    assert "record 301:" in verify(exported).output


def test_a_cut_tail_is_told_by_the_checkpoints(exported: Exported) -> None:
    exported.line(600, lambda _: b"")

    result = verify(exported)

    assert 1 == result.exit_code
    assert "record 600: records are missing that a checkpoint counts" in result.output


def test_a_cut_tail_with_its_checkpoint_is_told_by_what_was_kept(
    exported: Exported,
) -> None:
    """Tiles, bundles and `checkpoint` are cut as well: inside, nothing is wrong."""
    root = shutil.copytree(exported.place / "root", exported.folder.parent / "root")
    exported.rewrite(exported.bodies[:258])
    exported.end_at(258)

    alone = verify(exported)
    signer = verify(exported, "--signer", str(exported.signer))
    shutil.copytree(root, exported.place / "root")
    rooted = verify(exported)

    assert 0 == alone.exit_code, alone.output
    # The root log committed to a checkpoint that is not there any more.
    assert 1 == rooted.exit_code
    assert 1 == signer.exit_code
    assert "record 258: records are missing" in signer.output


def test_an_export_is_of_its_day_whatever_the_environment_s_signer_signed_since(
    exported: Exported,
) -> None:
    """The operator's environment names the signer: its keys vouch, and it went on."""
    exported.rewrite(exported.bodies[:258])
    exported.end_at(258)
    env = {"SLUICE_LEDGER__SIGNER_DIRECTORY": str(exported.signer)}

    command = ["verify", "--export", str(exported.folder)]
    result = CliRunner().invoke(audit, command, env=env)

    assert 0 == result.exit_code, result.output
    assert "nobody else vouches" not in result.output


@pytest.mark.parametrize(
    ("path", "at", "seq"),
    [("tile/0/000", 0, 0), ("tile/0/001", 8191, 511), ("tile/0/002.p/89", 32, 513)],
)
def test_an_altered_tile_is_told(
    exported: Exported, path: str, at: int, seq: int
) -> None:
    exported.flip(path, at)

    result = verify(exported)

    assert 1 == result.exit_code
    assert f"record {seq}:" in result.output


def test_an_altered_tile_of_roots_is_told(exported: Exported) -> None:
    exported.flip("tile/1/000.p/2", 0)

    assert 1 == verify(exported).exit_code


@pytest.mark.parametrize("line", [0, 1, 2, 4])
def test_an_altered_checkpoint_is_told(exported: Exported, line: int) -> None:
    path = exported.place / "checkpoints" / "258"
    lines = path.read_text().split("\n")
    lines[line] = ("3" if lines[line][0] != "3" else "4") + lines[line][1:]
    path.write_text("\n".join(lines))

    assert 1 == verify(exported).exit_code


def test_a_key_that_was_put_into_the_list_is_told_by_the_true_list(
    exported: Exported, tmp_path: Path
) -> None:
    path = exported.place / "vkeys.json"
    true = tmp_path / "vkeys.json"
    true.write_bytes(path.read_bytes())
    other = ensure_key(tmp_path / "other", bytes([1] * 32), NOON)
    keys = json.loads(path.read_text())
    origin = keys["keys"][0]["vkey"].split("+")[0]
    keys["keys"][0]["vkey"] = other.named(origin)[0].text
    path.write_text(json.dumps(keys))

    assert 1 == verify(exported).exit_code
    assert 0 == verify(exported, "--keys", str(true)).exit_code


def test_what_is_no_export_cannot_be_told(exported: Exported, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (exported.place / "vkeys.json").unlink()

    nothing = CliRunner().invoke(audit, ["verify", "--export", str(empty)])

    assert 3 == verify(exported).exit_code
    assert 3 == nothing.exit_code
    assert str(empty) in nothing.output


@pytest.mark.parametrize(
    "name",
    [
        "ledger.example.com/t_01: 601 records, root AAAA: holds\n\x1b[8m",
        "ledger.example.com/t_01: holds",
    ],
)
def test_a_log_says_nothing_by_its_name(exported: Exported, name: str) -> None:
    """Record 0 is whoever's who made the export, and so is a folder's name."""
    place = exported.folder / "of\nx: holds"
    exported.place.rename(place)
    made = chain(empty(name), [recorded("a")])
    (place / "records.jsonl").write_bytes(made.entries[0].body + b"\n")

    result = verify(exported)

    assert 1 == result.exit_code
    assert ["DOES NOT HOLD"] == [
        line.split(": ")[2] for line in result.stdout.splitlines()
    ]
    assert name not in result.output


@pytest.mark.parametrize("command", ["adopt", "export", "verify"])
def test_a_bent_log_says_nothing_by_its_name(
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """Whoever bends a row of the database may bend its log's name too."""
    name = "x: adopted\nroot: adopted 3 records"

    class Bent(MemoryLedger):
        @override
        async def tenants(self) -> Sequence[TenantId]:
            return [TENANT]

        @override
        async def head(self, tenant: TenantId) -> Head | None:
            raise HeadBent(name)

    @asynccontextmanager
    async def opened(_: str | None) -> AsyncIterator[Books]:
        yield Books(Bent("test.example", SystemEntropy()), MemoryAnchors())

    for module in (adoption, evidence, commands):
        monkeypatch.setattr(module, "opened", opened)
    options = {"export": [str(tmp_path / "out")]}.get(command, [])
    signer = ["--signer", str(exported.signer)]

    result = CliRunner().invoke(audit, [command, *options, *signer])

    assert 1 == result.exit_code, result.output
    assert "bent" in result.output
    assert not [x for x in result.output.splitlines() if x.startswith("root: ")]


def test_whoever_is_said_to_have_seen_a_log_says_nothing_by_its_name(
    tmp_path: Path,
) -> None:
    stamping = authority(tmp_path / "tsa")

    def stamped(note: str) -> Anchored:
        return replace(stamping.stamped(note), by="tsa\n  the log holds\x1b[8m")

    exported = asyncio.run(make(tmp_path, anchored=[stamped]))

    result = verify(exported, "--authority", str(stamping.folder / "ca.pem"))

    assert 0 == result.exit_code, result.output
    assert "says tsa?  the log holds?[8m" in result.output


def test_an_auditor_may_trust_one_of_two_authorities(tmp_path: Path) -> None:
    here, there = (authority(tmp_path / each, each) for each in ("here", "there"))

    def stamped(note: str) -> Anchored:
        return replace(there.stamped(note), by="there")

    exported = asyncio.run(make(tmp_path, anchored=[here.stamped, stamped]))
    pems = [("--authority", str(each.folder / "ca.pem")) for each in (here, there)]
    third = authority(tmp_path / "third")

    one, both = verify(exported, *pems[0]), verify(exported, *pems[0], *pems[1])
    none = verify(exported, "--authority", str(third.folder / "ca.pem"))

    assert (0, 0, 1) == (one.exit_code, both.exit_code, none.exit_code), one.output
    assert (1, 2) == tuple(each.output.count("at the latest") for each in (one, both))


def test_the_keys_of_one_log_are_those_of_all(
    exported: Exported, tmp_path: Path
) -> None:
    """One signer signs them; its keys are named for one."""
    keys = tmp_path / "keys.json"
    shutil.copy(exported.place / "vkeys.json", keys)
    other = asyncio.run(make(tmp_path / "other"))
    shutil.copytree(other.place, exported.folder / other.place.name)
    foreign = ensure_key(tmp_path / "foreign", bytes([1] * 32), NOON)
    (tmp_path / "foreign.json").write_text(vkeys(foreign, origin_of(exported)))

    held = verify(exported, "--keys", str(keys))
    bent = verify(exported, "--keys", str(tmp_path / "foreign.json"))

    assert (0, 1) == (held.exit_code, bent.exit_code), held.output


def test_what_cannot_be_asked_of_an_export_or_a_gateway_is_wrong_usage(
    exported: Exported, tmp_path: Path
) -> None:
    credential = tmp_path / "credential"
    credential.write_text("x")
    url = ("--url", "https://localhost/ledger", "--credential-file", str(credential))
    stamping = authority(tmp_path / "tsa")
    pem = ("--authority", str(stamping.folder / "ca.pem"))

    stamps = CliRunner().invoke(audit, ["verify", *url, *pem])

    assert 2 == verify(exported, "--tenant", TENANT).exit_code
    assert 2 == stamps.exit_code
    assert "--authority" in stamps.output


def test_wrong_usage_is_said_so() -> None:
    assert 2 == CliRunner().invoke(audit, ["verify", "--export", "/nowhere"]).exit_code
    assert 2 == CliRunner().invoke(audit, ["verify"], env={}).exit_code


async def test_an_export_reads_as_the_log_that_it_was(tmp_path: Path) -> None:
    exported = await make(tmp_path)
    logs = ExportedLogs(exported.folder)
    (tenant,) = await logs.tenants()

    found = await logs.by_request(tenant, request_id("300"))

    assert [301] == [each.seq for each in found]
    assert 3 == len(await logs.checkpoints(tenant))
    assert (exported.place / "checkpoint").read_text() == await logs.latest(tenant)


async def test_no_export_is_overwritten(tmp_path: Path) -> None:
    ledger, keys = await signed(tmp_path)
    await export(ledger, TENANT, keys, tmp_path / "export")

    with pytest.raises(FileExistsError):
        await export(ledger, TENANT, keys, tmp_path / "export")


async def test_what_nobody_signed_is_not_exported(tmp_path: Path) -> None:
    ledger = MemoryLedger("test.example", SystemEntropy())
    await ledger.append([recorded("a")])
    keys = ensure_key(tmp_path / "signer", bytes(32), NOON)

    done = await export(ledger, TENANT, keys, tmp_path / "export")

    assert (0, 2) == (done.size, done.unsigned)
    assert not (tmp_path / "export").exists()


def test_a_table_goes_with_the_records(exported: Exported) -> None:
    lines = (exported.place / "records.csv").read_text().splitlines()

    rows = list(csv.DictReader(lines))

    assert [str(seq) for seq in range(SIZE)] == [row["seq"] for row in rows]
    assert request_id("300") == rows[301]["request_id"]


def since(exported: Exported, *options: str) -> Result:
    kept = exported.folder.parent / "kept"
    if not kept.exists():
        kept.write_text((exported.place / "checkpoints" / "258").read_text())
    return verify(exported, "--since", str(kept), *options)


def test_behind_a_kept_checkpoint_the_rest_holds(exported: Exported) -> None:
    result = since(exported)

    assert 0 == result.exit_code, result.output
    assert "601 records, 2 checkpoints" in result.output


@pytest.mark.parametrize("seq", [258, 300, 600])
def test_behind_it_an_altered_record_is_named(exported: Exported, seq: int) -> None:
    exported.line(seq, lambda line: line.replace(b"system:", b"systen:"))

    result = since(exported)

    assert 1 == result.exit_code
    assert f"record {seq}:" in result.output


def test_a_history_that_is_not_the_kept_one_is_told(
    exported: Exported, tmp_path: Path
) -> None:
    """Same keys, same origin: the signer signed two histories."""
    other = Checkpoint(origin_of(exported), 258, bytes(32))
    signer = FileSigner(exported.signer, SystemClock())
    kept = tmp_path / "kept"
    kept.write_text(asyncio.run(signer.sign(other)))

    result = since(exported)

    assert 1 == result.exit_code
    assert "record 258:" in result.output


def test_a_tail_that_a_checkpoint_counts_is_missed(exported: Exported) -> None:
    exported.line(600, lambda _: b"")

    result = since(exported)

    assert 1 == result.exit_code
    assert "record 600: records are missing that a checkpoint counts" in result.output


def origin_of(exported: Exported) -> str:
    return (exported.place / "checkpoint").read_text().splitlines()[0]


def test_keys_that_came_with_the_log_are_said_to_vouch_for_nothing(
    exported: Exported,
) -> None:
    alone = verify(exported)
    given = verify(exported, "--keys", str(exported.place / "vkeys.json"))

    assert "nobody else vouches" in alone.stderr
    assert "nobody else vouches" not in given.stderr


CUT = """
import socket
def refused(*_, **__):
    raise SystemExit(77)
for name in ("connect", "connect_ex", "bind", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = socket.create_connection = refused
"""
"""Any use of the network ends the process, with a code that none of ours is."""


def without_a_network(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where no socket does anything."""
    (folder / "cut").mkdir()
    (folder / "cut" / "cut.py").write_text(CUT)
    run = "import cut; from producers.cli import main; main()"
    path = os.pathsep.join([str(folder / "cut"), str(Path(__file__).parents[2])])
    return subprocess.run(
        [sys.executable, "-c", run, *words],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_export_is_verified_without_a_network(
    exported: Exported, tmp_path: Path
) -> None:
    (tmp_path / "holds").mkdir()
    (tmp_path / "bent").mkdir()
    command = ("audit", "verify", "--export", str(exported.folder))

    holds = without_a_network(tmp_path / "holds", *command)
    exported.line(300, lambda line: line.replace(b"system:", b"systen:"))
    bent = without_a_network(tmp_path / "bent", *command)

    assert 0 == holds.returncode, holds.stderr
    assert 1 == bent.returncode, bent.stderr
    assert "record 300" in bent.stdout


def test_the_network_is_cut_in_these_tests(tmp_path: Path) -> None:
    """Else the test before this says nothing."""
    url = "postgresql://nobody@127.0.0.1:1/none"

    asked = without_a_network(tmp_path, "audit", "verify", "--database-url", url)

    assert 77 == asked.returncode


async def test_a_pass_tells_how_far_it_is(tmp_path: Path) -> None:
    ledger, keys = await signed(tmp_path)
    head = await ledger.head(TENANT)
    assert head is not None
    told: list[int] = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "PORTION", 100)
        await passes.full_pass(
            ledger, TENANT, keys.named(head.origin), progress=told.append
        )

    assert [*range(100, head.size, 100), head.size] == told


def test_the_bar_is_shown_on_a_terminal_alone(exported: Exported) -> None:
    """It is drawn where somebody looks, and nothing of it in a file."""
    shown = verify(exported)
    seen = on_a_terminal("audit", "verify", "--export", str(exported.folder))

    assert "%" not in shown.output
    assert "100%" in seen


def on_a_terminal(*words: str) -> str:
    """What the command writes to its standard error where that is a terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "producers.cli", *words]
    place = {"TERM": "xterm", "COLUMNS": "100"}
    try:
        with subprocess.Popen(
            command, stderr=slave, stdout=subprocess.DEVNULL, env=place
        ) as process:
            os.close(slave)
            seen = b"".join(iter(partial(_some, master), b""))
            process.wait()
    finally:
        os.close(master)
    return seen.decode()


def _some(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:  # the other end is closed
        return b""
