"""The local stack: found again, killed and started again, gone with its parent."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.stack import Stack, StackError, find, start, stop
from demo.stack.classes import classes
from demo.stack.daemon import started, until
from demo.stack.jars import jars
from demo.stack.java import java

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHECKOUT = Path(__file__).parents[2]
GONE_WITHIN_S = 20.0
PARENT = """
import sys, time
from pathlib import Path
from demo.stack import start
stack = start(Path(sys.argv[1]), durable=False, local=True)
print(stack.kafka_pid, stack.postgres_pid, stack.found, flush=True)
time.sleep(120)
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder for a stack; what a test leaves running there is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    yield folder
    stop(folder)
    rmtree(folder)


@pytest.fixture(scope="module")
def own_root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    yield folder
    stop(folder)
    rmtree(folder)


@pytest.fixture(scope="module")
def own(own_root: Path) -> Stack:
    """A durable stack that the tests of this module may kill, and start again."""
    return start(own_root, local=True)


async def create(stack: Stack, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def produce(stack: Stack, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def consume(stack: Stack, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=stack.kafka_bootstrap,
        group_id=f"readers-of-{topic}",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        value: bytes = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()


async def ask(stack: Stack, sql: str) -> object:
    connection = await asyncpg.connect(stack.postgres_url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m demo.stack`` to its end, where only local processes can be."""
    alone = {
        "DOCKER_HOST": "unix:///nowhere",
        "SLUICE_KAFKA_BOOTSTRAP": "",
        "SLUICE_DATABASE_URL": "",
    }
    return subprocess.run(
        [sys.executable, "-m", "demo.stack", *words],
        cwd=CHECKOUT,
        env={**os.environ, **alone, **environment},  # noqa: TID251 - a child's own
        capture_output=True,
        text=True,
        check=False,
    )


def parent(root: Path) -> subprocess.Popen[str]:
    """A process that starts a stack, says its pids, and lives on."""
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(root)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def processes_of(root: Path) -> set[int]:
    """Every process whose command line names the folder, zombies left out."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(folder.name)
            if str(root).encode() in (folder / "cmdline").read_bytes() and started(pid):
                found.add(pid)
    return found


async def test_a_record_goes_through_kafka(own: Stack) -> None:
    await create(own, "round-trip")
    await produce(own, "round-trip", b"hello")

    value = await consume(own, "round-trip")

    assert b"hello" == value


def test_the_broker_starts_with_the_classes_of_an_earlier_start(own: Stack) -> None:
    """Not on a Java that came without the archive which ours would add to."""
    mapped = Path(f"/proc/{own.kafka_pid}/maps").read_text()
    known = [
        path for path in jars().parent.glob("classes-*.jsa") if str(path) in mapped
    ]

    options = classes(java(), jars(), lambda _: pytest.fail("made at the start"))

    assert [f"-XX:SharedArchiveFile={path}" for path in known] == list(options)


async def test_postgres_is_18_and_asks_for_the_password(own: Stack) -> None:
    wrong = own.postgres_url.replace("@", "x@")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)

    assert "18" == str(await ask(own, "SHOW server_version")).partition(".")[0]
    assert "scram-sha-256" == await ask(
        own, "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
    )


async def test_a_durable_stack_waits_for_the_disk(own: Stack) -> None:
    assert "on" == await ask(own, "SHOW fsync")


def test_the_password_is_its_owners_alone(own_root: Path, own: Stack) -> None:
    secret = own_root / "postgres" / "password"

    assert 0o600 == secret.stat().st_mode & 0o777
    assert secret.read_text() not in repr(own)


def test_a_second_start_finds_the_first(own_root: Path, own: Stack) -> None:
    pids = (own.kafka_pid, own.postgres_pid)

    again = start(own_root, local=True)

    assert again.found
    assert pids == (again.kafka_pid, again.postgres_pid)
    assert own.kafka_bootstrap == again.kafka_bootstrap


def test_a_second_start_does_not_change_what_is_durable(
    own_root: Path, own: Stack
) -> None:
    assert own.postgres_pid

    with pytest.raises(StackError, match="durable=True"):
        start(own_root, durable=False, local=True)


async def test_a_killed_broker_comes_back_with_its_records(own: Stack) -> None:
    await create(own, "kept")
    await produce(own, "kept", b"written before the kill")
    address, pid = own.kafka_bootstrap, own.kafka_pid

    own.kafka.kill()
    assert not own.kafka.running
    own.kafka.start()

    assert address == own.kafka_bootstrap
    assert pid != own.kafka_pid
    assert b"written before the kill" == await consume(own, "kept")


async def test_a_killed_postgres_comes_back_with_its_rows(own: Stack) -> None:
    await ask(own, "CREATE TABLE kept AS SELECT 7 AS seven")
    busy = await asyncpg.connect(own.postgres_url)
    address, pid = own.postgres_url, own.postgres_pid

    own.postgres.kill()
    own.postgres.start()
    busy.terminate()

    assert address == own.postgres_url
    assert pid != own.postgres_pid
    assert 7 == await ask(own, "SELECT seven FROM kept")


async def test_a_start_starts_only_what_is_missing(own_root: Path, own: Stack) -> None:
    kafka_pid = own.kafka_pid
    own.postgres.kill()

    again = start(own_root, local=True)

    assert not again.found
    assert kafka_pid == again.kafka_pid
    assert 1 == await ask(again, "SELECT 1")


def test_given_addresses_are_used_and_left_alone(
    own: Stack, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP", own.kafka_bootstrap)
    monkeypatch.setenv("SLUICE_DATABASE_URL", own.postgres_url)

    theirs = start(root)

    assert own.kafka_bootstrap == theirs.kafka_bootstrap
    assert own.postgres_url == theirs.postgres_url
    assert (None, None) == (theirs.kafka_pid, theirs.postgres.data)
    with pytest.raises(StackError, match="not ours to kill"):
        theirs.kafka.kill()
    stop(root)
    assert own.kafka.running
    assert set() == processes_of(root)


async def test_what_was_stopped_starts_with_its_data(root: Path) -> None:
    first = start(root, durable=False, local=True)
    await ask(first, "CREATE TABLE kept AS SELECT 7 AS seven")
    await create(first, "kept")
    await produce(first, "kept", b"of the first start")
    assert "off" == await ask(first, "SHOW fsync")

    stop(root)
    assert set() == processes_of(root)
    assert None is find(root)
    second = start(root, durable=False, local=True)

    assert not second.found
    assert first.kafka_bootstrap == second.kafka_bootstrap
    assert 7 == await ask(second, "SELECT seven FROM kept")
    assert b"of the first start" == await consume(second, "kept")


def test_a_killed_parent_leaves_nothing_running(root: Path) -> None:
    with parent(root) as process:
        kafka, postgres, _ = said(process)
        assert {int(kafka), int(postgres)} <= processes_of(root)

        process.send_signal(signal.SIGKILL)

    assert until(lambda: not processes_of(root), GONE_WITHIN_S)


def test_of_two_starts_at_once_one_finds_the_other(root: Path) -> None:
    with parent(root) as first, parent(root) as second:
        both = [said(first), said(second)]
        first.terminate()
        second.terminate()

    assert both[0][:2] == both[1][:2]
    assert {"True", "False"} == {both[0][2], both[1][2]}


def test_a_detached_stack_outlives_its_command(root: Path) -> None:
    up = command("up", "--root", str(root))
    status = command("status", "--root", str(root))
    down = command("down", "--root", str(root))
    after = command("status", "--root", str(root))

    assert (0, 0, 0, 1) == tuple(x.returncode for x in (up, status, down, after))
    assert up.stdout == status.stdout
    assert "as local processes" in up.stdout
    assert f"stopped; the data stays in {root}\n" == down.stdout
    assert f"nothing runs in {root}\n" == after.stderr
    assert set() == processes_of(root)


def test_where_it_cannot_start_it_says_what_to_do_and_leaves_nothing(
    root: Path,
) -> None:
    up = command("up", "--root", str(root), PATH=str(root), JAVA_HOME="")

    assert 1 == up.returncode
    assert "error: no Java 17 or newer was found" in up.stderr
    assert "or set SLUICE_KAFKA_BOOTSTRAP" in up.stderr
    assert set() == processes_of(root)
    assert None is find(root)
