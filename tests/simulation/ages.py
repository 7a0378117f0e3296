"""Days pass at once: what has expired must go, and everybody must be told."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.keystore import TRANSIENT, KeyId, Partition, partition_of
from schemas.ids import TenantId
from tests.simulation.outside import receipts

if TYPE_CHECKING:
    from tests.simulation.world import World

ONE_IN = 3
"""So many seeds have one whose world grows old."""
DAYS = (2, 9)
STORM_S = 20.0


class Ages:
    """What had keys before, and whether it is all gone."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.held: Counter[tuple[TenantId, Partition]] = Counter()
        self.days = world.chance.one(DAYS) if world.chance.some(ONE_IN) == 1 else 0

    def pass_by(self) -> None:
        """From now on it is days later; and things go wrong again for a while."""
        world = self._world
        self.held.update(
            (tenant, partition_of(KeyId(key_id))) for tenant, key_id in world.keys._keys
        )
        world.say("LATER", self.days)
        world.clock.step(timedelta(days=self.days))
        world.chance.storm = True
        world.later(world.chance.uniform(0, STORM_S), world.calm)

    @property
    def left(self) -> int:
        """How much is there whose time is over."""
        there = *self._keys(), *self._answers(), *self._calls()
        return len(there) + self._letters()

    def wrongs(self) -> Iterator[str]:
        """Everybody who had keys of a day that is over has its receipt."""
        stated = {(each.tenant, each.scope.ref): each for each in receipts(self._world)}
        for (tenant, partition), count in self.held.items():
            if not self._is_over(partition):
                continue
            found = stated.get((tenant, partition.name))
            if found is None:
                yield f"{tenant} has no receipt of its keys of {partition.name}"
            elif partition.retention_class is not TRANSIENT and count not in {
                target.deleted for target in found.targets
            }:
                yield f"the receipt of {partition.name} does not count {count} keys"

    def _keys(self) -> Iterator[Partition]:
        there = self._world.now(self._world.keys.there())
        return (partition for partition in there if self._is_over(partition))

    def _answers(self) -> Iterator[object]:
        for row in self._world.requests.rows.values():
            over = self._is_over(partition_of(KeyId(row.terms.key_id)))
            if over and row.finished is not None and row.finished.answer is not None:
                yield row

    def _calls(self) -> Iterator[object]:
        before = self._world.clock.now() - timedelta(days=1)
        calls = self._world.calls.taken.values()
        return (call for call in calls if call.until < before)

    def _letters(self) -> int:
        """Keys of letters that are taken no more, and whose topic was read."""
        now, letters = self._world.clock.now(), self._world.letters
        return sum(name.last_use(letters.period) <= now for name in letters.names)

    def _is_over(self, partition: Partition) -> bool:
        return partition.drops_at <= self._world.clock.now()
