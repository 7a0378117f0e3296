"""What ``make up`` leaves behind: who runs, how to reach it, and an environment."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from demo.launch import Access
from demo.processes import STOP_WITHIN_S, Process
from demo.stack.daemon import started, until
from demo.stack.files import replace

RUNS: Final = (
    "schemas",
    "pipeline",
    "infra",
    "consumers",
    "producers",
    "demo",
    "requirements",
)
"""What the processes are made of."""
OURS: Final = 0o600
"""Each of these files holds a secret."""


@dataclass(frozen=True, slots=True)
class Running:
    """Processes that were started and not stopped.

    Attributes:
        pids: by name: the process id and when it started.
        settings: a digest of what they were started with.
    """

    pids: Mapping[str, tuple[int, str | None]]
    settings: str

    @property
    def ended(self) -> list[str]:
        """Names of those that do not run any more."""
        return [n for n, (pid, since) in self.pids.items() if started(pid) != since]


@dataclass(frozen=True, slots=True)
class Left:
    """The files in ``folder``."""

    folder: Path

    @property
    def environment(self) -> Path:
        """For a shell: ``. FILE``."""
        return self.folder / "env"

    def access(self) -> Access | None:
        """Of the last up; a down keeps it, as it keeps the data."""
        found = self._read("access.json")
        return None if found is None else Access(**json.loads(found))

    def keep_access(self, access: Access) -> None:
        """Remember it, for the next up."""
        self._write("access.json", json.dumps(asdict(access)))

    def running(self) -> Running | None:
        """What was started and not stopped; some of it may have ended."""
        found = self._read("running.json")
        return None if found is None else Running(**json.loads(found))

    def keep_running(self, processes: Mapping[str, Process], settings: str) -> None:
        """Remember who runs."""
        pids = {name: (each.pid, started(each.pid)) for name, each in processes.items()}
        self._write("running.json", json.dumps({"pids": pids, "settings": settings}))

    def keep_environment(self, settings: Mapping[str, str], access: Access) -> None:
        """Write what the operator's commands, and groups by hand, are told."""
        told = {**settings, "TENANT": access.tenant_id}
        lines = [f"export {name}={shlex.quote(told[name])}" for name in sorted(told)]
        programs = shlex.quote(str(Path(sys.executable).parent))
        lines.append(f'export PATH={programs}:"$PATH"')
        self._write("env", "\n".join(lines) + "\n")

    def stop(self) -> None:
        """End what runs: asked first, then killed."""
        running = self.running()
        if running is not None:
            self._signal(running, signal.SIGTERM)
            if not until(
                lambda: len(running.ended) == len(running.pids), STOP_WITHIN_S
            ):
                self._signal(running, signal.SIGKILL)
        (self.folder / "running.json").unlink(missing_ok=True)

    def _signal(self, running: Running, number: signal.Signals) -> None:
        for name in running.pids.keys() - set(running.ended):
            with suppress(ProcessLookupError):
                os.kill(running.pids[name][0], number)

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return None

    def _write(self, name: str, text: str) -> None:
        new = self.folder / (name + ".new")
        new.touch(mode=OURS)
        replace(self.folder / name, text)


def digest(*settings: Mapping[str, str]) -> str:
    """Tells settings apart without showing them."""
    text = json.dumps(settings, sort_keys=True)
    return sha256(text.encode()).hexdigest()


def code(checkout: Path) -> Mapping[str, str]:
    """What the processes would run, by file: the digest of what each holds."""
    files = (path for each in RUNS for path in (checkout / each).rglob("*"))
    return {
        str(path.relative_to(checkout)): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }
