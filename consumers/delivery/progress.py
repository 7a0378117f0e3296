"""Is a member alive: does it move where there is something to do?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.ports.system import Clock

TURNS_WITHIN_S = 10.0
MOVES_WITHIN_S = 120.0
WAITS_WITHIN_S = 10.0
TRIED_WITHIN_S = 300.0
"""What waits, once it is tried again, and what is held: four tries, each as long as a
database that says nothing takes to be away. Silence for longer is no reason to stand.
"""


@dataclass(slots=True)
class Progress:
    """What was seen of one member's partitions.

    Law: a partition stands still once it had lag, without a known reason, for 120 s in
    which nothing of it was taken or finished.
    """

    clock: Clock
    _moved: dict[int, float] = field(default_factory=dict)
    _seen: dict[int, tuple[int, int]] = field(default_factory=dict)

    def saw(
        self,
        partition: int,
        *,
        taken: int,
        finished: int,
        lag: int | None,
        excused: bool,
    ) -> None:
        """Look at one partition.

        Args:
            partition: which.
            taken: how far it was handed to us, in any rising measure.
            finished: how far it is finished.
            lag: records to do; None: the broker answers others, but not us.
            excused: it stands for a reason that we know, or no broker answers.
        """
        now = self.clock.monotonic()
        if excused or lag == 0 or self._seen.get(partition) != (taken, finished):
            self._moved[partition] = now
            self._seen[partition] = (taken, finished)

    def keep(self, assigned: Mapping[int, object] | frozenset[int]) -> None:
        """Forget partitions that are not ours."""
        for partition in set(self._moved) - set(assigned):
            del self._moved[partition]
            del self._seen[partition]

    @property
    def stalled(self) -> bool:
        """Does one stand still?"""
        now = self.clock.monotonic()
        return any(now - moved > MOVES_WITHIN_S for moved in self._moved.values())
