"""Files that strangers wrote: none is read further than it may be long."""

from pathlib import Path


def start_of(path: Path, most: int) -> bytes:
    """A file's first ``most`` bytes; of one that may be as long, ask for one more.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(most)
