"""``sluice audit verify`` on an export: what holds, what does not, the exit codes."""

import asyncio
import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.exported import ExportedLogs
from infra.exports import export
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, ensure_key
from infra.system import SystemClock, SystemEntropy
from pipeline.checkpoint import Checkpoint
from producers.cli.audit import audit
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
    assert "5 checkpoints" in result.output


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
    """The tiles are cut as well: inside, nothing is wrong."""
    for seq in range(SIZE - 1, 257, -1):
        exported.line(seq, lambda _: b"")
    (exported.place / "checkpoints" / "601").unlink()
    rooted = verify(exported)
    shutil.rmtree(exported.place / "root")

    alone = verify(exported)
    signer = verify(exported, "--signer", str(exported.signer))

    assert 0 == alone.exit_code, alone.output
    # The root log committed to a checkpoint that is not there any more.
    assert 1 == rooted.exit_code
    assert 1 == signer.exit_code
    assert "record 258: records are missing" in signer.output


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

    assert 3 == verify(exported).exit_code
    assert 3 == CliRunner().invoke(audit, ["verify", "--export", str(empty)]).exit_code


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
    assert "601 records, 3 checkpoints" in result.output


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
