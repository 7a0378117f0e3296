"""Starting Sluice's own processes, and knowing when they are ready."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

READY_WITHIN_S = 180.0
STOP_WITHIN_S = 20.0


class NotReady(RuntimeError):
    """A process ended, or took too long; the text says where its log lies."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of ours.

    Attributes:
        health: base URL of ``/livez``, ``/readyz`` and ``/metrics``.
        log: where its standard output and error go.
    """

    name: str
    popen: subprocess.Popen[bytes]
    health: str
    log: Path

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self.popen.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait()


def spawn(
    name: str,
    module: Sequence[str],
    *,
    environment: Mapping[str, str],
    port: int,
    logs: Path,
) -> Process:
    """Start ``python -m module…``; ``port`` is where its health is served."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={**os.environ, **environment},  # noqa: TID251 - a child's own
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).parents[1],
        )
    return Process(name, popen, f"http://127.0.0.1:{port}", log)


async def ready(process: Process, within_s: float = READY_WITHIN_S) -> None:
    """Wait until ``/readyz`` says yes.

    Raises:
        NotReady: the process ended first, or the time is up.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.popen.poll() is not None:
            raise NotReady(f"{process.name} ended at its start; see {process.log}")
        if await asyncio.to_thread(_says_yes, process.health + "/readyz"):
            return
        await asyncio.sleep(0.1)  # noqa: TID251 - polls another process
    raise NotReady(
        f"{process.name} is not ready after {within_s:.0f} s; see {process.log}"
    )


def _says_yes(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - a loopback URL of ours
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def stop(processes: Sequence[Process]) -> Mapping[str, int]:
    """Ask all to stop, wait, and end the rest; exit codes by name."""
    for process in processes:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGTERM)
    return {process.name: _ended(process) for process in processes}


def _ended(process: Process) -> int:
    try:
        return process.popen.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.popen.kill()
        return process.popen.wait()
