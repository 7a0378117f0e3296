"""Files that strangers wrote: none is read further than it may be long."""

from errno import EINVAL
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO


def opened(path: Path) -> BinaryIO:
    """A stranger's file, to be read.

    Raises:
        OSError: it cannot be read, or is no regular file: a pipe would be waited for,
            and what a device holds has no end.
    """
    if not S_ISREG(path.stat().st_mode):
        raise OSError(EINVAL, "expected a regular file", str(path))
    return path.open("rb")


def start_of(path: Path, most: int) -> bytes:
    """A file's first ``most`` bytes; of one that may be as long, ask for one more.

    Raises:
        OSError: as of :func:`opened`.
    """
    with opened(path) as file:
        return file.read(most)
