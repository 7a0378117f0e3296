"""Exports made to deceive ``sluice audit verify``: what nobody signed does not hold."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from socket import AF_UNIX, socket
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result

from infra.exported import ExportedLogs
from infra.exports import vkeys
from infra.signer.ed25519 import FileSigner, ensure_key
from infra.system import SystemClock
from pipeline.audit import Head, chain, created, empty
from pipeline.checkpoint import Checkpoint, parse_note
from pipeline.merkle import CompactRange, extend, leaf_hash
from pipeline.proofs import TlogProof
from pipeline.root import committed
from producers.cli.audit import audit
from schemas.ids import TenantId
from tests.support.audit import NOON, recorded
from tests.support.exports import SIZE, Exported, make

MEMORY = 2 << 30
ROOT_SIZE = 8


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return asyncio.run(make(tmp_path))


@pytest.fixture
def keys(exported: Exported, tmp_path: Path) -> str:
    """The log's keys, as an auditor had them before."""
    return str(shutil.copy(exported.place / "vkeys.json", tmp_path / "keys.json"))


def verify(exported: Exported, *options: str) -> Result:
    command = ["verify", "--export", str(exported.folder), *options]
    return CliRunner().invoke(audit, command)


def origin_of(exported: Exported) -> str:
    return (exported.place / "checkpoint").read_text().splitlines()[0]


def forged(exported: Exported, size: int) -> list[bytes]:
    """The first ``size`` records, and forged ones behind them that follow from them."""
    first = exported.bodies[:size]
    tree, _ = extend(CompactRange(), map(leaf_hash, first))
    head = Head(origin_of(exported), sha256(first[-1]).digest(), tree)
    events = [recorded(f"forged {each}", "request.redacted") for each in range(343)]
    return first + [each.body for each in chain(head, events).entries]


def test_a_history_that_nobody_signed_does_not_hold(
    exported: Exported, keys: str
) -> None:
    """Whole in itself, and without any checkpoint."""
    origin = origin_of(exported)
    events = [recorded(str(each), "request.redacted") for each in range(SIZE - 1)]
    made = chain(empty(origin), [created(origin, events[0]), *events])
    exported.rewrite([each.body for each in made.entries])
    shutil.rmtree(exported.place / "checkpoints")
    shutil.rmtree(exported.place / "root")

    result = verify(exported, "--keys", keys)

    assert 1 == result.exit_code, result.output
    assert "record 0: nobody signed the records from here on" in result.output


def test_records_behind_the_last_checkpoint_do_not_hold(
    exported: Exported, keys: str
) -> None:
    """What was kept is of the true beginning, so it tells of nothing."""
    kept = exported.place / "checkpoints" / "258"
    exported.rewrite(forged(exported, 258))
    exported.end_at(258)

    result = verify(exported, "--keys", keys, "--known", str(kept))

    assert 1 == result.exit_code, result.output
    assert "record 258: nobody signed the records from here on" in result.output


def test_a_record_behind_an_export_that_is_whole_does_not_hold(
    exported: Exported,
) -> None:
    """With the tile that it would be in, beside the true one."""
    bodies = forged(exported, SIZE)[: SIZE + 1]
    with (exported.place / "records.jsonl").open("ab") as file:
        file.write(bodies[-1] + b"\n")
    leaves = b"".join(map(leaf_hash, bodies[512:]))
    (exported.place / "tile/0/002.p/90").write_bytes(leaves)

    assert 1 == verify(exported).exit_code


NO_LAST: dict[str, Callable[[Path], object]] = {
    "an older one": lambda path: shutil.copy(path.parent / "checkpoints/258", path),
    "another root": lambda path: path.write_text(
        path.read_text().replace(path.read_text().splitlines()[2], "A" * 43 + "=")
    ),
    "none": Path.unlink,
}


@pytest.mark.parametrize("how", NO_LAST)
def test_the_checkpoint_is_the_last_of_them(exported: Exported, how: str) -> None:
    """Other tools open this one alone."""
    NO_LAST[how](exported.place / "checkpoint")

    result = verify(exported)

    assert 1 == result.exit_code, result.output
    assert "`checkpoint` is not the last" in result.output


def test_the_last_checkpoint_is_the_log_s_by_its_size(exported: Exported) -> None:
    """Not by the name of its file."""
    place = exported.place / "checkpoints"
    (place / "258").rename(place / "9999")

    assert 1 == verify(exported).exit_code


BENT: dict[str, Callable[[Path], object]] = {
    "altered": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"X"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"X"),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("how", BENT)
@pytest.mark.parametrize("index", ["001", "002.p/89"])
def test_a_bundle_that_is_not_that_of_the_records_is_told(
    exported: Exported, how: str, index: str
) -> None:
    """Other tools read the records out of bundles."""
    BENT[how](exported.place / "tile/entries" / index)

    result = verify(exported)

    assert 1 == result.exit_code, result.output
    assert f"record {int(index[:3]) * 256}: a bundle is not" in result.output


@pytest.mark.parametrize("how", BENT)
def test_a_partial_tile_is_read_where_others_read_it(
    exported: Exported, how: str
) -> None:
    """Its true hashes lie beside it, under the name of another width."""
    place = exported.place / "tile/0/002.p"
    shutil.copy(place / "89", place / "9")
    BENT[how](place / "89")

    assert 1 == verify(exported).exit_code


def test_the_characters_of_a_checkpoint_are_its_own(exported: Exported) -> None:
    for path in ("checkpoints/601", "checkpoint"):
        note = (exported.place / path).read_bytes()
        (exported.place / path).write_bytes(note.replace(b"\n", b"\r\n"))

    assert 1 == verify(exported).exit_code


def test_a_checkpoint_that_is_no_text_is_told(exported: Exported) -> None:
    (exported.place / "checkpoints/601").write_bytes(b"\xff")

    result = verify(exported)

    assert 1 == result.exit_code
    assert "a checkpoint does not open" in result.output


@pytest.mark.parametrize("folder", ["checkpoints", "root/anchors"])
def test_what_a_desktop_leaves_in_a_folder_is_no_part_of_it(
    exported: Exported, folder: str
) -> None:
    (exported.place / folder).mkdir(exist_ok=True)
    (exported.place / folder / ".DS_Store").write_bytes(b"\xff\xfe")

    result = verify(exported)

    assert 0 == result.exit_code, result.output


@pytest.mark.parametrize("end", [b"", b"X"], ids=["none", "another"])
def test_the_last_record_ends_as_the_others_do(exported: Exported, end: bytes) -> None:
    exported.line(SIZE - 1, lambda line: line[:-1] + end)

    result = verify(exported)

    assert 1 == result.exit_code
    assert f"record {SIZE - 1}: expected records, one a line" in result.output


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("records.jsonl", 1),
        ("checkpoint", 1),
        ("checkpoints/601", 1),
        ("tile/0/000", 1),
        ("tile/entries/000", 1),
        ("root/record", 1),
        ("root/proof", 1),
        ("vkeys.json", 3),
    ],
)
def test_a_file_without_an_end_is_not_read_to_its_end(
    exported: Exported, path: str, code: int
) -> None:
    os.truncate(exported.place / path, 1 << 40)

    command = ["audit", "verify", "--export", str(exported.folder)]

    done = subprocess.run(
        [sys.executable, "-m", "producers.cli", *command],
        preexec_fn=little_memory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert code == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def a_socket(path: Path) -> None:
    with socket(AF_UNIX) as listening:
        listening.bind(str(path))


# None has an end that a reader comes to.
NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "folder": Path.mkdir,
    "socket": a_socket,
}


def in_place_of(path: Path, make: Callable[[Path], object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_not_read(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(exported.place)
    in_place_of(Path("records.jsonl"), NO_FILES[kind])

    result = verify(exported)

    assert 3 == result.exit_code, result.output
    assert result.stderr.endswith("/records.jsonl: expected a regular file\n")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("checkpoint", 3),
        ("checkpoints/601", 3),
        ("tile/0/000", 3),
        ("tile/entries/000", 3),
        ("root/record", 1),
        ("root/anchors/1.tsa.tsr", 3),
        ("root/vkeys.json", 1),
        ("vkeys.json", 3),
    ],
)
def test_no_pipe_is_waited_for(exported: Exported, path: str, code: int) -> None:
    in_place_of(exported.place / path, os.mkfifo)

    result = verify(exported)

    assert code == result.exit_code, result.output
    assert "expected" in result.output.splitlines()[-1]


def test_a_file_of_no_year_is_read(exported: Exported) -> None:
    """An archive may bring any time, and some file systems keep it."""
    shm = "/dev/shm"  # noqa: S108 - such a one
    with TemporaryDirectory(dir=shm) as anchors:
        stamp = Path(anchors) / "601.tsa.tsr"
        stamp.write_bytes(b"no stamp")
        os.utime(stamp, (1e12, 1e12))
        shutil.rmtree(exported.place / "root")
        (exported.place / "anchors").symlink_to(anchors)

        result = verify(exported)

    assert 0 == result.exit_code, result.output


def test_keys_may_come_by_a_pipe(exported: Exported, keys: str) -> None:
    """They are the auditor's own: ``--keys <(…)``."""
    shutil.rmtree(exported.place / "root")
    command = f"{sys.executable} -m producers.cli audit verify --keys <(cat {keys})"

    done = subprocess.run(
        ["bash", "-c", f"{command} --export {exported.folder}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_what_cannot_be_read_says_nothing_by_its_name(exported: Exported) -> None:
    place = exported.folder / "of\nx: holds"
    exported.place.rename(place)
    (place / "records.jsonl").unlink()

    result = verify(exported)

    assert 3 == result.exit_code
    assert 1 == len(result.stderr.splitlines())
    assert "/of?x: holds/records.jsonl: No such file" in result.stderr


def test_records_that_are_nothing_take_no_memory(
    exported: Exported,
) -> None:
    """Where each begins is kept of one in many."""
    size = 1 << 18
    (exported.place / "records.jsonl").write_bytes(b"\n" * size)
    logs = ExportedLogs(exported.folder)
    tracemalloc.start()

    try:
        head = asyncio.run(logs.head(TenantId(exported.place.name)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert head is not None
    assert size == head.size
    assert most < 4 * size


@pytest.mark.parametrize("seq", [0, 1, 255, 256, 257, 511, 512, SIZE - 1])
@pytest.mark.parametrize("limit", [1, 2, 257, SIZE])
def test_records_are_read_from_wherever_one_begins(
    exported: Exported, seq: int, limit: int
) -> None:
    logs = ExportedLogs(exported.folder)

    found = asyncio.run(logs.read(TenantId(exported.place.name), seq, limit))

    assert exported.bodies[seq : seq + limit] == [each.body for each in found]


@pytest.mark.parametrize("of", ["t_01", "root"])
def test_a_checkpoint_that_was_kept_says_nothing_by_its_log(
    exported: Exported, tmp_path: Path, of: str
) -> None:
    """A note holds no C0 controls; C1 and what turns a line around it may hold."""
    _, *rest = (exported.place / "checkpoint").read_text().split("\n")
    kept = tmp_path / "kept"
    kept.write_text("\n".join([f"holds\x9b8m\u202e/{of}", *rest]))

    result = verify(exported, "--known", str(kept))

    assert f"holds?8m?/{of}: " in result.output
    assert "\x9b" not in result.output
    assert "\u202e" not in result.output


def test_a_checkpoint_of_a_log_that_is_not_there_is_told(
    exported: Exported, tmp_path: Path
) -> None:
    """Who is given another log, made anew, sees that by what was kept."""
    kept = str(exported.place / "checkpoint")
    other = asyncio.run(make(tmp_path / "anew"))
    none = tmp_path / "none"
    none.mkdir()

    known, since = verify(other, "--known", kept), verify(other, "--since", kept)
    nothing = CliRunner().invoke(
        audit, ["verify", "--export", str(none), "--known", kept]
    )

    assert [1, 1, 1] == [each.exit_code for each in (known, since, nothing)]
    told = f"{origin_of(exported)}: DOES NOT HOLD: it was signed, and is not here"
    assert told in known.output
    assert told in since.output
    assert told in nothing.output


def kept_of_the_root(exported: Exported, size: int, root: bytes | None) -> str:
    """A checkpoint of the root log, from a bucket; None: the one beside the export."""
    path = exported.place / "root" / "checkpoints" / str(ROOT_SIZE)
    if root is not None:
        origin = parse_note(path.read_text()).origin
        signer = FileSigner(exported.signer, SystemClock())
        path = exported.folder.parent / "root"
        path.write_text(asyncio.run(signer.sign(Checkpoint(origin, size, root))))
    return str(path)


@pytest.mark.parametrize(
    ("size", "root", "code", "said"),
    [
        (ROOT_SIZE, None, 0, False),
        (ROOT_SIZE, bytes(32), 1, False),
        (ROOT_SIZE - 2, bytes(32), 0, True),
    ],
)
def test_a_checkpoint_of_the_root_log_is_held_against_the_one_beside(
    exported: Exported, size: int, root: bytes | None, code: int, *, said: bool
) -> None:
    result = verify(exported, "--known", kept_of_the_root(exported, size, root))

    assert code == result.exit_code, result.output
    told = f"/root: nothing here tells of its {size} records"
    assert said == (told in result.stderr)


def foreign_root(exported: Exported, folder: Path) -> None:
    """The way to a root log that somebody else made and signs."""
    origin = "ledger.another.example/root"
    own = ensure_key(folder, bytes([9] * 32), NOON)
    event = committed((exported.place / "checkpoint").read_text(), bytes(32), NOON)
    made = chain(empty(origin), [event])
    signed = Checkpoint(origin, 1, made.head.tree.root())
    note = asyncio.run(FileSigner(folder, SystemClock()).sign(signed))
    root = exported.place / "root"
    (root / "salt").write_text(bytes(32).hex())
    (root / "record").write_bytes(made.entries[0].body)
    (root / "proof").write_text(TlogProof(0, (), note).text)
    (root / "vkeys.json").write_text(vkeys(own, origin))


def test_a_foreign_root_log_is_told_by_the_given_keys(
    exported: Exported, keys: str, tmp_path: Path
) -> None:
    true = verify(exported, "--keys", keys)
    foreign_root(exported, tmp_path / "foreign")

    given, alone = verify(exported, "--keys", keys), verify(exported)

    assert [0, 1] == [true.exit_code, given.exit_code], given.output
    # Without keys from elsewhere it vouches for itself, as all that came does.
    assert 0 == alone.exit_code
    assert "nobody else vouches" in alone.stderr
