"""Who is killed together with whom, and when: all that a seed decides."""

import random  # noqa: TID251 - seeded: the same seed makes the same plan
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from consumers.app import GROUPS

PARTS: Final = ("kafka", "postgres")
OTHERS: Final = ("gateway", "timed", "checkpointer")
KINDS: Final = (*GROUPS, *OTHERS, *PARTS)
"""Each a process of its own."""
AT_ONCE: Final = (1, 1, 2, 2, 3)
AWAY_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Blow:
    """Kinds that are killed at once.

    Attributes:
        pause_s: load without trouble before it.
        away_s: how long a broker or a database then stays away; workers are started
            again at once, as whoever runs them would.
    """

    victims: Sequence[str]
    pause_s: float
    away_s: float


def plan(seed: int, kills: int) -> Sequence[Blow]:
    """So many kills in blows; every kind is killed as often as any other, or once more.

    The same seed makes the same plan.
    """
    dice = random.Random(seed)  # noqa: S311 - not a secret
    order = _order(dice, kills)
    blows = []
    while order:
        victims: list[str] = []
        for name in order[: dice.choice(AT_ONCE)]:
            if name in victims:
                break
            victims.append(name)
        del order[: len(victims)]
        blows.append(Blow(victims, dice.uniform(0.1, 1.5), dice.uniform(0, AWAY_S)))
    return blows


def _order(dice: random.Random, kills: int) -> list[str]:
    order: list[str] = []
    while len(order) < kills:
        turn = [*KINDS]
        dice.shuffle(turn)
        order += turn
    return order[:kills]
