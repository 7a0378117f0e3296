"""A process that outlives the one that started it, and is found again by a file."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stack.errors import StackError

LAUNCH = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
"""Leaves the process behind as an orphan, so that nobody has to reap it."""
CHECKOUT = Path(__file__).parents[2]
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

    def remembered(self) -> Running | None:
        """The last start, whether it still runs or not."""
        try:
            return Running(**json.loads(self.file.read_text()))
        except FileNotFoundError:
            return None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        last = self.remembered()
        alive = last is not None and started(last.pid) == last.started
        return last.pid if last is not None and alive else None

    def port(self, name: str) -> int | None:
        """A port of the last start."""
        last = self.remembered()
        return None if last is None else last.ports[name]

    def spawn(
        self, command: Sequence[str | Path], *, log: Path, ports: Mapping[str, int]
    ) -> None:
        """Start the command in a session of its own, and remember it.

        Neither a terminal's Ctrl-C nor a kill of the caller's process group reaches it.
        It inherits no file descriptor and no environment of the caller.
        """
        done = subprocess.run(
            ["/bin/sh", "-c", LAUNCH, "sh", log, *command],
            start_new_session=True,
            cwd=CHECKOUT,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            check=True,
        )
        pid = int(done.stdout)
        run = Running(pid=pid, started=started(pid) or "ended at once", ports=ports)
        replace(self.file, json.dumps(asdict(run)))

    def end(self, how: signal.Signals, within_s: float) -> None:
        """Send a signal, wait for the end, and kill when the time is up."""
        if (pid := self.pid) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        if not self._ends(within_s):
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would.

        Raises:
            StackError: it is still there; it hangs in the kernel.
        """
        if (pid := self.pid) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if not self._ends(KILLED_WITHIN_S):
            raise StackError(f"process {pid} does not end")

    def _ends(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while self.pid is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True


def started(pid: int) -> str | None:
    """When a process started, in a form that is only good for comparing.

    None where there is no such process, or only its zombie (proc(5), ``stat``).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def replace(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never a half."""
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.replace(file)
