"""Files that several processes share."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never a half."""
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.replace(file)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a file's lock; the kernel frees it when the holder dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
