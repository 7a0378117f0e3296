"""A process that outlives the one that started it, and is found again by a file."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stack.errors import StackError
from demo.stack.files import replace

LAUNCH = """
log=$1; shift
("$@" </dev/null >>"$log" 2>&1 & echo $!; exec >/dev/null 2>&1; wait) &
"""
"""Leaves the process behind with a shell that waits for it.

The first process of a container often reaps nobody, and Postgres does not start while
the zombie of its last postmaster is there.
"""
ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
NO_PORTS: Mapping[str, int] = {}
KILLED_WITHIN_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One start of a process.

    Attributes:
        started: as ``started(pid)`` says; a pid alone may name a stranger by now.
        ports: by name; the next start asks for the same ones.
    """

    pid: int
    started: str
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Daemon:
    """The process that ``file`` remembers."""

    file: Path

    @property
    def last(self) -> Running | None:
        """The last start, whether it still runs or not."""
        try:
            return Running(**json.loads(self.file.read_text()))
        except FileNotFoundError:
            return None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        last = self.last
        alive = last is not None and started(last.pid) == last.started
        return last.pid if last is not None and alive else None

    def port(self, name: str) -> int | None:
        """A port of the last start."""
        last = self.last
        return None if last is None else last.ports[name]

    def spawn(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path = Path("/"),
        env: Mapping[str, str] = ENVIRONMENT,
        ports: Mapping[str, int] = NO_PORTS,
    ) -> None:
        """Start the command in a session of its own, and remember it.

        Neither a terminal's Ctrl-C nor a kill of the caller's process group reaches it.
        It inherits no file descriptor of the caller.
        """
        if not Path("/proc/self/stat").exists():
            raise StackError("local processes need Linux; start Docker")
        done = subprocess.run(
            ["/bin/sh", "-c", LAUNCH, "sh", log, *command],
            start_new_session=True,
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            check=True,
        )
        pid = int(done.stdout)
        run = Running(pid=pid, started=started(pid) or "ended at once", ports=ports)
        replace(self.file, json.dumps(asdict(run)))

    def end(self, how: signal.Signals, within_s: float) -> None:
        """Send a signal, wait for the end, and kill when the time is up."""
        if not self._ends(how, within_s):
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would.

        Raises:
            StackError: it is still there; it hangs in the kernel.
        """
        if not self._ends(signal.SIGKILL, KILLED_WITHIN_S):
            raise StackError(f"process {self.pid} does not end")

    def _ends(self, how: signal.Signals, within_s: float) -> bool:
        if (pid := self.pid) is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        return until(lambda: self.pid is None, within_s)


def until(happened: Callable[[], bool], within_s: float) -> bool:
    """Ask again and again; whether it happened in time."""
    deadline = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def started(pid: int) -> str | None:
    """When a process started, in a form that is only good for comparing.

    None where there is no such process any more, or only its zombie. A zombie whose
    threads still end is a process yet: it still holds its ports (proc(5), ``stat``).
    """
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        threads = len(list((process / "task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" and threads == 1 else fields[19]
