"""The broker's classes, read once a machine: a start then costs two fifths less."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from demo.stack.files import locked

Made = Callable[[Path], None]
"""Makes the archive, or, on a Java that cannot, nothing."""


def classes(java: Path, jars: Path, make: Made) -> tuple[str, ...]:
    """Options under which ``java`` starts with the archived classes of ``jars``.

    The first call of a machine makes the archive; a second one waits. Java itself
    reads the jars where an archive is not of them (JEP 350).
    """
    archive = jars.with_name(f"classes-{_identity(java)}.jsa")
    if not archive.exists():
        with locked(archive.with_suffix(".lock")):
            if not archive.exists():
                _make(archive, make)
    return (f"-XX:SharedArchiveFile={archive}",) if archive.stat().st_size else ()


def _make(archive: Path, make: Made) -> None:
    new = archive.with_suffix(".new")
    new.unlink(missing_ok=True)
    make(new)
    new.touch()  # where there is none it is not tried again
    new.replace(archive)


def _identity(java: Path) -> str:
    """Another Java makes an archive of its own."""
    found = java.resolve()
    said = found.stat()
    told = f"{found} {said.st_size} {said.st_mtime_ns}"
    return sha256(told.encode()).hexdigest()[:16]
