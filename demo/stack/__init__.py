"""A real Kafka and a real Postgres for the demo, the tests and the bench.

``start`` decides where they come from (``choice.py``), starts what does not run, and
remembers it in its root folder, where all data lies; ``stop`` stops it.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.stack import record as records
from demo.stack.choice import choose
from demo.stack.daemon import Daemon, started
from demo.stack.engine import engine_answers
from demo.stack.errors import StackError
from demo.stack.files import locked
from demo.stack.part import Given, Part
from demo.stack.parts import parts
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
        found: it ran before; who started it wants to stop it.
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
    def kafka_pid(self) -> int | None:
        """The broker now, where it is a local process and runs."""
        return self.kafka.pid

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster now, where it is a local process and runs."""
        return self.postgres.pid


def start(
    root: Path = ROOT,
    *,
    durable: bool = True,
    detached: bool = False,
    local: bool = False,
) -> Stack:
    """Start what does not run, wait for it, and say where it is.

    Args:
        root: the folder of the data; made where it is missing.
        durable: off, Postgres does not wait for the disk. For tests only.
        detached: the stack outlives this process; else it ends when this one does,
            even by a kill.
        local: local processes, whatever else there is: for tests that kill them or
            read their folders.

    Raises:
        StackError: it cannot be had; the text says what to do.
    """
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "lock"):
        record = _record(root, durable=durable, local=local)
        kafka, postgres = parts(root, record)
        ours = [part for part in (kafka, postgres) if not isinstance(part, Given)]
        missing = [part for part in ours if not part.running]
        with ExitStack() as undo:
            undo.callback(_end, root)
            _tie(root, anew=bool(ours) and missing == ours, detached=detached)
            for part in missing:
                part.launch()
            for part in missing:
                part.wait()
            undo.pop_all()
    chosen = record.choice.sentence
    return Stack(kafka=kafka, postgres=postgres, chosen=chosen, found=not missing)


def find(root: Path = ROOT) -> Stack | None:
    """The stack that was started in a root and not stopped, running or not."""
    root = root.resolve()
    if (record := records.read(root)) is None:
        return None
    kafka, postgres = parts(root, record)
    chosen = record.choice.sentence
    return Stack(kafka=kafka, postgres=postgres, chosen=chosen, found=True)


def stop(root: Path = ROOT) -> None:
    """Stop cleanly what was started in a root; the data stays."""
    root = root.resolve()
    if root.exists():
        with locked(root / "lock"):
            _end(root)


@contextmanager
def temporary(*, durable: bool = False, local: bool = False) -> Iterator[Stack]:
    """A stack of one's own for the length of a block; its data goes with it.

    ``durable`` and ``local`` are those of ``start``.
    """
    root = Path(tempfile.mkdtemp(prefix="sluice-"))
    try:
        yield start(root, durable=durable, local=local)
    finally:
        with locked(root / "lock"):
            _end(root, discard=True)
        shutil.rmtree(root)


def _record(root: Path, *, durable: bool, local: bool) -> Record:
    """What was started there, where it fits; else a new choice, remembered."""
    environment = os.environ  # noqa: TID251 - the user's addresses
    record = records.read(root)
    if record is None or not record.choice.fits(environment, local=local):
        _end(root)
        choice = choose(environment, engine_answers, local=local)
        record = Record(choice, durable)
        records.write(root, record)
    if record.durable != durable:
        raise StackError(f"{root} holds a stack with durable={record.durable}")
    return record


def _tie(root: Path, *, anew: bool, detached: bool) -> None:
    """Let the stack end with this process, or with none; a found one keeps its tie."""
    watcher = _watcher(root)
    if detached or anew:
        watcher.kill()
    if anew and not detached:
        parent = (str(os.getpid()), str(started(os.getpid())))
        command = (sys.executable, "-m", "demo.stack.watcher", str(root), *parent)
        watcher.spawn(
            command,
            log=root / "watcher.log",
            cwd=CHECKOUT,
            env=os.environ,  # noqa: TID251 - says where Docker is
        )


def _end(root: Path, *, discard: bool = False) -> None:
    if (record := records.read(root)) is None:
        return
    for part in parts(root, record):
        if discard:
            part.discard()
        else:
            part.stop()
    records.forget(root)
    if _watcher(root).pid != os.getpid():
        _watcher(root).kill()


def _watcher(root: Path) -> Daemon:
    return Daemon(root / "watcher.json")
