"""What processes say of themselves, and whether it is so.

Each is asked at intervals, as whoever runs it would: ``/livez`` and ``/readyz`` of the
very app that it serves. Who is not alive is started anew, and that must have a reason;
who stands still must not say that all is well.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from consumers.delivery.progress import MOVES_WITHIN_S, TRIED_WITHIN_S
from schemas.topics import WEBHOOKS_RETRY_5M
from tests.simulation.asking import Asked, serve
from tests.simulation.loop import Owner, at_once

if TYPE_CHECKING:
    from tests.simulation.broker import Group, Seat
    from tests.simulation.world import World

ASK_EVERY_S = 10.0
SAYS_WITHIN_S = MOVES_WITHIN_S + 100.0
"""In which who stands still says so: delivery looks every 40 s here, and an answer may
be late by 10 s."""
DIES_WITHIN_S = TRIED_WITHIN_S + SAYS_WITHIN_S + 60.0
"""In which who hangs says that only a new process helps: it may have waited before."""
NOES = 3
"""So often in a row: who thaws before its first turn takes that 20 s later here."""
WELL_WITHIN_S = 90.0
"""Of all, once nothing is left to do: a rebalance's 45 s, and one of those looks."""
LIVE = Asked(method="GET", path="/livez", token="")
READY = Asked(method="GET", path="/readyz", token="")


@dataclass(frozen=True, slots=True)
class Said:
    """What one process said.

    Attributes:
        alive: None: nobody answers: it serves nothing, or its machine stands still.
    """

    alive: bool | None
    reasons: Sequence[str] = ()

    @property
    def well(self) -> bool:
        """Alive, and ready for work."""
        return self.alive is True and not self.reasons


class Health:
    """Asks all processes, judges what they say, and starts anew who is to be."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._said: dict[Owner, Said] = {}
        self._noes = Counter[Owner]()
        self._stood: dict[tuple[str, int], tuple[int, Owner, float]] = {}

    def begin(self) -> None:
        """From now on."""
        self._world.later(ASK_EVERY_S, self._ask)

    def unwell(self) -> list[str]:
        """Who is not alive and ready now, and what they say.

        But whom something hangs in: where nothing comes, nothing of it stands.
        """
        living = self._world.processes.living
        hangs = self._world.hangs.owner
        asked = {
            name: self._asked(name)
            for name in self._world.processes.names
            if hangs is None or living.get(name) is not hangs
        }
        return [
            f"{name} says {' '.join(said.reasons) or 'nothing'}"
            for name, said in asked.items()
            if not said.well
        ]

    def _ask(self) -> None:
        now = {
            owner: self._asked(name)
            for name, owner in self._world.processes.living.items()
        }
        for owner, said in now.items():
            self._heard(owner, said, self._said.get(owner))
        self._said = now
        self._moved()
        self.begin()

    def _heard(self, owner: Owner, said: Said, before: Said | None) -> None:
        world = self._world
        if said != before:
            world.say("health", owner.name, said.alive, *said.reasons)
        self._noes[owner] = self._noes[owner] + 1 if said.alive is False else 0
        if self._noes[owner] < NOES:
            return
        if owner is world.hangs.owner:
            world.processes.restart(owner)
        else:
            told = " ".join(said.reasons)
            world.watch.wrong(f"{owner.name} is not alive, and nothing hangs: {told}")

    def _moved(self) -> None:
        """Whose partitions stand although there is something to do, and who is well."""
        stood, now = self._stood, self._world.loop.time()
        self._stood = {}
        for group, seat, partition, at in self._behind():
            place = group.name, partition
            before = stood.get(place)
            same = before is not None and before[:2] == (at, seat.owner)
            since = before[2] if before is not None and same else now
            self._stood[place] = at, seat.owner, since
            said = self._said.get(seat.owner)
            if now - since > SAYS_WITHIN_S and said is not None and said.well:
                self._world.watch.wrong(
                    f"{seat.owner.name} says it is well, and {place} stands at {at}"
                )

    def _behind(self) -> "Iterator[tuple[Group, Seat, int, int]]":
        log = self._world.log
        for topic, group in self._world.groups.items():
            if topic == WEBHOOKS_RETRY_5M.name:
                continue  # it is not due
            for seat in group.seats:
                for partition in sorted(seat.partitions.assigned()):
                    at = log.begin(topic, group.name, partition)
                    if at < log.segment(topic, partition).end:
                        yield group, seat, partition, at

    def _asked(self, name: str) -> Said:
        owner, app = self._world.ports.get(name, (None, None))
        if owner is None or owner.dead or self._world.loop.stands(owner):
            return Said(None)
        alive, ready = self._answer(app, LIVE), self._answer(app, READY)
        if ready["ok"] and not alive["ok"]:
            self._world.watch.wrong(f"{owner.name} is ready, and not alive")
        return Said(alive["ok"], ready["reasons"])

    def _answer(self, app: Any, asked: Asked) -> Any:
        told = self._world.loop.create_future()
        with self._world.entropy.untouched():
            at_once(serve(app, asked, told))
        return orjson.loads(told.result().body)
