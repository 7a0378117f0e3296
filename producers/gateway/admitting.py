"""Admissions that know how they go: who answers may still take no rows."""

from typing import Final

from typing_extensions import override

from pipeline.errors import RetryableError
from pipeline.ports.admissions import Admissions
from pipeline.ports.keys import Destroyed, NewKey
from pipeline.ports.requests import Fresh, Known, NewRequest
from pipeline.ports.system import Clock

QUIET_S: Final = 10.0
"""After a failure, so long without another try: the next caller finds out."""


class Admitting(Admissions):
    """Remembers whether the last admission failed.

    A database whose disk is full, or that was made read-only, answers every question.
    """

    def __init__(self, admissions: Admissions, clock: Clock) -> None:
        self._admissions = admissions
        self._clock = clock
        self._failed: float | None = None

    @override
    async def admit(
        self, key: NewKey, request: NewRequest
    ) -> Fresh | Known | Destroyed:
        try:
            found = await self._admissions.admit(key, request)
        except RetryableError:
            self._failed = self._clock.monotonic()
            raise
        self._failed = None
        return found

    async def answers(self) -> bool:
        """False: the last one failed, less than ``QUIET_S`` ago."""
        failed = self._failed
        return failed is None or self._clock.monotonic() - failed >= QUIET_S
