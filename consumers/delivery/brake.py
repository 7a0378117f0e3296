"""The brake: a burst of dead letters is our fault more likely than the records'."""

from collections import deque

IN_A_ROW = 20
WINDOW = 1_000
COUNTED_FROM = 200
SHARE = 0.05


class Brake:
    """Sees each record's end, and says when to stop.

    Law: it is pulled by 20 burials in a row, or by 5 % of the last 1,000 ends once
    there were 200.
    """

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._row = self._buried = 0

    def handled(self) -> None:
        """A record was handled."""
        self._row = 0
        self._saw(buried=False)

    def buried(self) -> None:
        """A record was buried."""
        self._row += 1
        self._saw(buried=True)

    @property
    def pulled(self) -> bool:
        """Stop."""
        share = self._buried >= SHARE * len(self._last)
        return self._row >= IN_A_ROW or (len(self._last) >= COUNTED_FROM and share)

    def release(self) -> None:
        """An operator looked: count anew."""
        self._last.clear()
        self._row = self._buried = 0

    def _saw(self, *, buried: bool) -> None:
        if len(self._last) == WINDOW:
            self._buried -= self._last[0]
        self._last.append(buried)
        self._buried += buried
