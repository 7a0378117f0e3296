"""A real Kafka and a real Postgres for the demo, the tests and the bench.

``start`` decides where they come from (``choice.py``), starts what does not run, and
remembers it in its root folder, where all data lies; ``stop`` stops it.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.stack import record as records
from demo.stack.choice import KAFKA_ADDRESS, POSTGRES_ADDRESS, Source, choose
from demo.stack.daemon import Daemon, started
from demo.stack.errors import StackError
from demo.stack.jars import locked
from demo.stack.kafka import Kafka
from demo.stack.part import Given, Part
from demo.stack.postgres import Postgres
from demo.stack.record import Record

__all__ = ["ROOT", "Part", "Stack", "StackError", "find", "start", "stop", "temporary"]

CHECKOUT = Path(__file__).parents[2]
ROOT = CHECKOUT / ".sluice" / "local"
"""Where the stack of ``make up`` and ``make demo`` lies; ignored by git."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A Kafka and a Postgres that clients can use.

    Attributes:
        chosen: what was chosen and why, in one line.
        found: it ran before; whoever started it wants to stop it.
    """

    kafka: Part
    postgres: Part
    chosen: str
    found: bool

    @property
    def kafka_bootstrap(self) -> str:
        """``host:port``."""
        return self.kafka.address

    @property
    def postgres_url(self) -> str:
        """The DSN of a superuser on the database ``postgres``, with the password."""
        return self.postgres.address

    @property
    def kafka_log_dir(self) -> Path | None:
        """The folder of Kafka's segments, where it is a local process."""
        return self.kafka.data

    @property
    def postgres_data_dir(self) -> Path | None:
        """Postgres's data directory, where it is a local process."""
        return self.postgres.data

    @property
    def kafka_pid(self) -> int | None:
        """The broker now, where it is a local process and runs."""
        return self.kafka.pid

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster now, where it is a local process and runs."""
        return self.postgres.pid


def start(root: Path = ROOT, *, durable: bool = True, detached: bool = False) -> Stack:
    """Start what does not run, wait for it, and say where it is.

    Args:
        root: the folder of the data; made where it is missing.
        durable: off, Postgres does not wait for the disk. For tests only.
        detached: the stack outlives this process; else it ends when this one does,
            even by a kill.

    Raises:
        StackError: it cannot be had; the text says what to do.
    """
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "lock"):
        record = _record(root, durable=durable)
        parts = _parts(root, record)
        missing = [part for part in parts if not part.running]
        _watch(root, anew=len(missing) == len(parts), detached=detached)
        for part in missing:
            part.launch()
        for part in missing:
            part.wait()
    return _stack(parts, record, found=not missing)


def find(root: Path = ROOT) -> Stack | None:
    """The stack that was started in a root and not stopped, running or not."""
    record = records.read(root.resolve())
    if record is None:
        return None
    return _stack(_parts(root.resolve(), record), record, found=True)


def stop(root: Path = ROOT) -> None:
    """Stop cleanly what was started in a root; the data stays."""
    root = root.resolve()
    if not root.exists():
        return
    with locked(root / "lock"):
        _stop(root)


@contextmanager
def temporary(*, durable: bool = False) -> Iterator[Stack]:
    """A stack of one's own for the length of a block; its data goes with it."""
    root = Path(tempfile.mkdtemp(prefix="sluice-"))
    try:
        yield start(root, durable=durable)
    finally:
        stop(root)
        shutil.rmtree(root)


def _record(root: Path, *, durable: bool) -> Record:
    """What runs there already, where it fits; else a new choice, remembered."""
    record = records.read(root)
    if record is not None and record.choice.matches(os.environ):  # noqa: TID251 - the user's addresses
        if record.durable != durable:
            raise StackError(f"{root} holds a stack with durable={record.durable}")
        return record
    _stop(root)
    record = Record(choose(os.environ, lambda: False), durable)  # noqa: TID251 - as above
    records.write(root, record)
    return record


def _stop(root: Path) -> None:
    record = records.read(root)
    if record is None:
        return
    for part in _parts(root, record):
        part.stop()
    records.forget(root)
    watcher = _watcher(root)
    if watcher.pid != os.getpid():
        watcher.kill()


def _parts(root: Path, record: Record) -> tuple[Part, Part]:
    return _kafka(root, record), _postgres(root, record)


def _kafka(root: Path, record: Record) -> Part:
    if record.choice.kafka is Source.GIVEN:
        return Given(os.environ[KAFKA_ADDRESS])  # noqa: TID251 - the user's address
    return Kafka(root / "kafka")


def _postgres(root: Path, record: Record) -> Part:
    if record.choice.postgres is Source.GIVEN:
        return Given(os.environ[POSTGRES_ADDRESS])  # noqa: TID251 - as above
    return Postgres(root / "postgres", record.durable)


def _stack(parts: tuple[Part, Part], record: Record, *, found: bool) -> Stack:
    kafka, postgres = parts
    chosen = record.choice.sentence
    return Stack(kafka=kafka, postgres=postgres, chosen=chosen, found=found)


def _watcher(root: Path) -> Daemon:
    return Daemon(root / "watcher.json")


def _watch(root: Path, *, anew: bool, detached: bool) -> None:
    """Tie the stack to this process, or to none; one that is found keeps its tie."""
    if detached:
        _watcher(root).kill()
    elif anew:
        _watcher(root).kill()
        parent = (str(os.getpid()), str(started(os.getpid())))
        command = [sys.executable, "-m", "demo.stack.watcher", str(root), *parent]
        _watcher(root).spawn(command, log=root / "watcher.log", ports={})
