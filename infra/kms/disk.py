"""Files that are whole or absent after a power cut, and one writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import IntegrityError

_MODE = 0o600
_OTHERS = 0o077


def write(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, readable by its owner alone: all of it, or nothing.

    Written beside, synced, renamed, and the folder synced: after a crash the path
    holds the old bytes or the new ones, and after the return the new ones for good.
    """
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rename(beside, path)


def rename(old: Path, new: Path) -> None:
    """Rename within one folder, for good."""
    old.replace(new)
    sync(new.parent)


def unlink(path: Path) -> None:
    """Take the name away, for good; nothing if there is none."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def read(path: Path) -> bytes | None:
    """The bytes, or None where there is no such file.

    Raises:
        IntegrityError: others than its owner may read or write it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise IntegrityError("expected a key file of mode 0600", "kms.file")
            return file.read()
    except FileNotFoundError:
        return None


def sync(folder: Path) -> None:
    """Make what happened to the names in ``folder`` last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, alone: bool) -> Iterator[None]:
    """Hold the lock file, alone or beside other readers; blocks until it is free.

    The kernel gives it back when the process dies.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
