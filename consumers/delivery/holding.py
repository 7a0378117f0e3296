"""What handlers hold in their hands, because nobody takes it just now."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pipeline.ports.system import Clock


class Holding:
    """Since when: a handler that tries by itself waits too, and shall not do it unseen.

    Give it to the handler and to its subscription.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """Something is held as long as this is open."""
        mark = object()
        self._since[mark] = self._clock.monotonic()
        try:
            yield
        finally:
            del self._since[mark]

    @property
    def since(self) -> float | None:
        """Monotonic seconds at which the longest began; None: nothing is held."""
        return earliest(self._since.values())


def earliest(times: Iterable[float | None]) -> float | None:
    """The earliest of these, of which some may be none; None: all are."""
    return min((each for each in times if each is not None), default=None)
