"""What no storm's end mends: in some seeds one thing of one worker hangs for good.

Either a member's fetches come back no more although its heartbeats go on, or one call
of a database gets no answer, as over a connection whose other end is gone. Only a new
process helps, so somebody must learn of it from what the process says.
"""

import random  # noqa: TID251 - seeded: the same seed makes the same run
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import OWNER, Owner

if TYPE_CHECKING:
    from tests.simulation.broker import Seat
    from tests.simulation.world import World

ONE_IN = 16
"""So many seeds have one in which something hangs: it takes minutes to be noticed."""
DATABASES = ("requests.", "calls.", "keystore.", "ledger.", "tenants.", "webhooks.")


class Hangs:
    """Whether, when and where; by dice of its own, so no other seed plays otherwise.

    Attributes:
        owner: whose life it befell; None: nobody's yet.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._dice = random.Random(f"hang {world.seed}")  # noqa: S311 - as in chance
        self._armed = False
        self.some = self._dice.randrange(ONE_IN) == 0
        self.owner: Owner | None = None

    def begin(self) -> None:
        """It befalls somebody, at some time in the storm."""
        if not self.some:
            return
        at = self._dice.uniform(0, self._world.chance.plan.storm_s)
        act = self._dice.choice((self._arm, self._fetch))
        self._world.later(at, act)

    def befalls(self, label: str) -> bool:
        """Does this call, which somebody makes now, get no answer for good?"""
        owner = OWNER.get()
        if not self._armed or not label.startswith(DATABASES):
            return False
        if all(seat.owner is not owner for seat in self._seats()):
            return False
        self._armed = False
        self._befell(owner, label)
        return True

    def lands(self) -> bool:
        """Is it done all the same?"""
        return self._dice.random() < 1 / 2

    def _arm(self) -> None:
        self._armed = True

    def _fetch(self) -> None:
        seats = [seat for seat in self._seats() if not seat.owner.dead]
        if not seats:
            self._world.later(1.0, self._fetch)
            return
        seat: Any = self._dice.choice(seats)
        seat.partitions.deaf = True
        self._befell(seat.owner, f"fetch of {seat.partitions.group}")

    def _befell(self, owner: Owner, what: str) -> None:
        self.owner = owner
        self._world.say("HANGS", owner.name, what)
        self._world.claims.trouble(owner)

    def _seats(self) -> "list[Seat]":
        return [seat for group in self._world.groups.values() for seat in group.seats]
