"""The broker's jars, fetched once a machine."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from demo.stack.errors import StackError
from demo.stack.files import locked
from demo.stack.java import ADVICE, java

KAFKA = "4.3.1"
POM = Path(__file__).parents[1] / "kafka" / "pom.xml"


def jars() -> Path:
    """The folder of the broker's jars; the first call of a machine fetches them.

    Whoever finds the folder finds it whole: it is filled elsewhere and renamed. A
    second caller waits for the first.

    Raises:
        StackError: Maven is missing, or fails.
    """
    lib = cache() / f"kafka-{KAFKA}" / "lib"
    if not lib.is_dir():
        lib.parent.mkdir(parents=True, exist_ok=True)
        with locked(lib.with_name("lock")):
            if not lib.is_dir():
                _fetch(lib)
    return lib


def cache() -> Path:
    """Where downloads lie, for all checkouts of this user (XDG base directories)."""
    home = os.environ.get("XDG_CACHE_HOME")  # noqa: TID251 - asks the machine
    return (Path(home) if home else Path.home() / ".cache") / "sluice"


def _fetch(lib: Path) -> None:
    if (maven := shutil.which("mvn")) is None:
        raise StackError(f"Kafka's jars are not here and Maven is missing: {ADVICE}")
    with tempfile.TemporaryDirectory(dir=lib.parent, prefix="fetching-") as folder:
        shutil.copy(POM, folder)
        done = subprocess.run(
            [maven, "-q", "-B", "-Dstyle.color=never", "-Dlib=lib", "package"],
            cwd=folder,
            env={**os.environ, "JAVA_HOME": _home()},  # noqa: TID251 - a child's own
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"Maven could not fetch Kafka:\n{done.stdout[-2000:]}")
        (Path(folder) / "lib").rename(lib)


def _home() -> str:
    return str(java().resolve().parents[1])
