"""What the figures were measured on."""

import platform
import subprocess
from pathlib import Path

from demo.stack.java import java


def machine() -> dict[str, object]:
    """Processor, cores, memory in MiB, and versions of what ran."""
    cpus = Path("/proc/cpuinfo").read_text()
    memory = Path("/proc/meminfo").read_text().split(maxsplit=2)[1]
    return {
        "cpu": _after("model name", cpus),
        "cpus": cpus.count("processor\t"),
        "memory_mib": int(memory) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "java": _first_line(str(java()), "-version"),
    }


def commit() -> str:
    """The commit, and whether something was changed since."""
    head = _first_line("git", "rev-parse", "--short", "HEAD")
    changed = _first_line("git", "status", "--porcelain", "--untracked-files=no")
    return f"{head}+changes" if changed else head


def _after(name: str, text: str) -> str:
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()
