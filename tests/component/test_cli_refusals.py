"""Whoever mistypes, or calls while all is away, is told in a line: never a traceback.

Exit codes: 1 it is not so, 2 wrong usage, 3 not now.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from infra.signer.ed25519 import KEYS, PUBLIC, ensure_key
from producers.cli import books, erasure, main
from producers.cli.desk import operator, shown
from tests.support.audit import NOON, TENANT
from tests.support.started import ROOT

NOWHERE = "127.0.0.1:1"
PASSWORD = "made-up-and-not-to-be-shown"
DATABASE = "SLUICE_DATABASE__ADMIN_URL"
KEYSTORE = "SLUICE_DATABASE__KEYSTORE_ADMIN_URL"
AWAY = {
    DATABASE: f"postgresql://sluice:{PASSWORD}@{NOWHERE}/sluice",
    KEYSTORE: f"postgresql://sluice:{PASSWORD}@{NOWHERE}/keys",
    "SLUICE_KEYS__DIRECTORY": "keys",
    "SLUICE_KEYS__ROOT": "root.key",
    "SLUICE_KAFKA__BOOTSTRAP": NOWHERE,
}
OF = f"--tenant {TENANT}"
SERVED = "audit verify --url http://127.0.0.1:1"
# A command line, its exit code, and a word of what is said.
LINES = [
    ("tenant list", 3, "--database-url: the database is away"),
    ("tenant create \udcff", 2, "words in UTF-8"),
    (f"audit query {OF} --actor \udcff", 2, "words in UTF-8"),
    (f"receipts {OF}", 3, "the database is away"),
    ("route set --tenant ACME m --provider openai", 2, "a tenant's id"),
    (f"route set {OF} m --provider OpenAI", 2, "--provider"),
    (f"route set {OF} m --provider open/ai", 2, "--provider"),
    (f"route set {OF} m --provider {'o' * 65}", 2, "--provider"),
    (f"route set {OF} m --provider openai", 3, "the database is away"),
    (f"route set {OF} {'m' * 129} --provider openai", 2, "MODEL"),
    (f"route set {OF} m\x07 --provider openai", 2, "MODEL"),
    (f"policy set {OF} absent", 2, "No such file"),
    (f"policy set {OF} folder", 2, "folder"),
    (f"key rotate {OF} nokey", 2, "KEY_ID"),
    (f"key rotate {OF} {TENANT} --grace-s soon", 2, "--grace-s"),
    ("key rotate --help", 0, "86400"),
    (f"erase request {OF} norequest", 2, "REQUEST_ID"),
    (f"erase subject {OF} -", 2, "standard input"),
    ("release nobody", 2, "nobody"),
    ("completeness", 3, "Kafka"),
    (f"completeness --settled-s {10**15}", 2, "--settled-s"),
    ("lag", 3, "Kafka"),
    ("lag --kafka host:port", 2, "--kafka"),
    ("lag --kafka host:99999", 2, "--kafka"),
    ("lag --watch nan", 2, "--watch"),
    ("dead list", 3, "Kafka"),
    ("dead show noletter", 2, "LETTER_ID"),
    (f"dead replay {TENANT}", 3, "the database is away"),
    (f"webhook deliveries {OF}", 3, "the database is away"),
    (f"webhook deliveries {OF} --endpoint one", 2, "--endpoint"),
    (f"webhook deliveries {OF} --state failed", 2, "--state"),
    (f"webhook deliveries {OF} --limit 1001", 2, "--limit"),
    (f"webhook deliveries {OF} --after msg_1", 2, "--after"),
    (f"webhook retry {OF}", 2, "IDS"),
    (f"webhook retry {OF} {TENANT}", 3, "the database is away"),
    (f"webhook retry {OF} evt_{26 * 'Z'}", 3, "the database is away"),
    (f"webhook retry {OF} msg_{26 * 'u'}", 2, "a delivery's id, a webhook-id"),
    ("audit verify", 3, "the database is away"),
    ("audit verify --tenant ACME", 2, "--tenant"),
    ("audit verify --known bytes", 2, "--known"),
    ("audit verify --since bytes", 2, "--since"),
    ("audit verify --authority bytes", 2, "certificates"),
    ("audit verify --witness odd", 2, "name+id+key"),
    ("audit verify --export folder", 3, "there is no log in a folder of folder"),
    ("audit verify --url host --credential-file words", 2, "--url"),
    ("audit verify --url http://[::1 --credential-file word", 2, "--url"),
    (f"{SERVED} --credential-file bytes", 2, "--credential-file"),
    (f"{SERVED} --credential-file words", 2, "--credential-file"),
    (f"{SERVED} --credential-file word", 3, "the gateway is away"),
    (f"audit show {TENANT}", 3, "the database is away"),
    ("audit show norequest", 2, "REQUEST_ID"),
    (f"audit query {OF} --after {10**30}", 2, "--after"),
    (f"audit query {OF} --since tomorrow", 2, "--since"),
    (f"audit proof {TENANT} out --signer folder", 3, "public.json"),
    (f"audit proof {TENANT} out --signer bent", 3, "public keys"),
    ("audit export out --signer folder", 3, "public.json"),
    ("audit rotate-key --signer folder", 2, "--signer"),
    ("audit rotate-key --signer bent", 1, "signer.keys"),
    ("audit rotate-key --signer signer --overlap-days nan", 2, "--overlap-days"),
    ("audit adopt --signer folder --known bytes", 2, "--known"),
    ("audit content", 3, "the database is away"),
    ("audit content --again-after-s inf", 2, "--again-after-s"),
    ("audit copies out --bucket b --endpoint host", 2, "--endpoint"),
    ("detect absent", 2, "No such file"),
    ("detect bytes", 2, "UTF-8"),
    ("detect words --policy words", 2, "--policy"),
]
ADDRESSES = [
    f"nonsense {PASSWORD}",
    f"mysql://sluice:{PASSWORD}@host/sluice",
    f"postgresql://sluice:{PASSWORD}@host:port/sluice",
]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "words").write_text("two\nwords")
    (tmp_path / "word").write_text("word\n")
    for name in ("signer", "bent"):
        ensure_key(tmp_path / name, bytes(32), NOON)
    for name in (KEYS, PUBLIC):
        (tmp_path / "bent" / name).write_text("bent")


def asked(line: str, env: Mapping[str, str]) -> Result:
    return CliRunner().invoke(main, line.split(" "), env=env)


def assert_told(done: Result, code: int, word: str) -> None:
    assert done.exception is None or isinstance(done.exception, SystemExit), (
        done.exception
    )
    assert (code, True) == (done.exit_code, word in done.output), done.output
    assert "Traceback" not in done.output
    assert PASSWORD not in done.output


@pytest.mark.parametrize(("line", "code", "word"), LINES)
def test_what_cannot_be_done_is_told_in_a_line(line: str, code: int, word: str) -> None:
    assert_told(asked(line, AWAY), code, word)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("J\u00fcrgen Beispiel\r\n", "J\u00fcrgen Beispiel"),
        ("-\nmore", "-"),
        (b"J\xfcrgen\n", None),
        ("\nmore", None),
    ],
)
def test_a_person_may_be_named_where_no_list_of_processes_shows_it(
    given: str | bytes, said: str | None
) -> None:
    @click.command()
    @click.argument("person", callback=erasure.named)
    def tell(person: str) -> None:
        click.echo(person)

    done = CliRunner().invoke(tell, ["-"], input=given)

    assert (2 if said is None else 0) == done.exit_code
    assert said is None or f"{said}\n" == done.output
    assert "rgen" not in done.output or said


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("tenant list", DATABASE),
        ("lag", "SLUICE_KAFKA__BOOTSTRAP"),
        ("audit verify", DATABASE),
    ],
)
def test_without_its_environment_a_command_names_what_is_missing(
    line: str, name: str
) -> None:
    assert_told(asked(line, {}), 2, name)


@pytest.mark.parametrize("columns", [80, 400])
def test_a_list_is_shown_whole_however_narrow_the_screen_is(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    row = {"id": TENANT, "name": "n" * 30, "secret": "s" * 90}

    shown([row, row], as_json=False)

    printed = capsys.readouterr().out
    assert [2, 2, 2] == [printed.count(value) for value in row.values()]


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    shown([], as_json=False)

    assert "none\n" == capsys.readouterr().out


@pytest.mark.parametrize("line", ["lag", "dead list", "completeness"])
def test_without_kafka_nothing_but_our_line_is_printed(line: str) -> None:
    """In a process of its own: only there Python prints what libraries log."""
    done = subprocess.run(
        [sys.executable, "-m", "producers.cli", *line.split()],
        env=AWAY,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("", 3) == (done.stdout, done.returncode)
    assert ["not now: expected an answer from Kafka"] == done.stderr.splitlines()


def test_a_database_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(books, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = (
            f"postgresql://sluice:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/s"
        )
        begun = time.monotonic()
        done = asked("tenant list", {**AWAY, DATABASE: address})

    assert_told(done, 3, "--database-url: the database is away")
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("line", "name", "option"),
    [
        ("tenant list", DATABASE, "--database-url"),
        ("audit verify", DATABASE, "--database-url"),
    ],
)
def test_what_is_no_address_is_not_repeated(
    line: str, name: str, option: str, address: str
) -> None:
    assert_told(asked(line, {**AWAY, name: address}), 2, option)


@pytest.mark.parametrize(
    ("login", "actor"),
    [("anna", "user:anna"), ("COMPANY\\jörg", "user:COMPANY_j_rg")],
)
def test_an_operator_has_a_name_that_the_ledger_takes(
    login: str, actor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", login)

    assert actor == operator()


def test_an_operator_without_a_name_has_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("producers.cli.desk.getuser", nobody)

    assert operator().removeprefix("user:").isdecimal()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="expected Linux's /dev/full")
@pytest.mark.parametrize("told", ["detect -", "policy --help"])
def test_where_what_is_told_finds_no_room_one_line_says_so(told: str) -> None:
    """A list that goes into a file, and the disk is full."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "producers.cli", *told.split()],
            input="Call me at +49 30 1234567.",
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert 1 == done.returncode
    assert ["No space left on device"] == done.stderr.splitlines()
