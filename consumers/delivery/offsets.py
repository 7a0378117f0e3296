"""What of a partition may be committed while its records finish in any order."""

from collections import deque
from collections.abc import Sequence

from pipeline.ports.bus import Record


class Window:
    """The records of one partition that were taken and not yet committed.

    Law: :meth:`ready` never passes an unfinished offset, never moves backwards, and
    is one past the last offset taken once all are finished.

    Offsets are taken in rising order and may have gaps.
    """

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self._ready: int | None = None

    def __len__(self) -> int:
        """How many are taken and unfinished, or wait for one that is."""
        return len(self._taken)

    @property
    def unfinished(self) -> int:
        """How many are taken and unfinished."""
        return len(self._taken) - len(self._finished)

    @property
    def ready(self) -> int | None:
        """What may be committed: one past the contiguous finished; None: nothing."""
        return self._ready

    def take(self, offset: int) -> bool:
        """Begin with ``offset``. False: it is not above the last one taken."""
        if self._taken and offset <= self._taken[-1]:
            return False
        if self._ready is not None and offset < self._ready:
            return False
        self._taken.append(offset)
        return True

    def finish(self, offset: int) -> None:
        """``offset``, which was taken, had its effects."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            head = self._taken.popleft()
            self._finished.remove(head)
            self._ready = head + 1


def firsts(records: Sequence[Record]) -> dict[int, int]:
    """The first offset of each partition."""
    first: dict[int, int] = {}
    for record in records:
        first.setdefault(record.partition, record.offset)
    return first
