"""Everything that a seed decides: what runs next, and what goes wrong."""

import random  # noqa: TID251 - seeded: the same seed makes the same run
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import Enum
from hashlib import sha256
from typing import TypeVar

from typing_extensions import override

from pipeline.ports.system import Entropy
from tests.simulation.loop import Chooser, Owner

T = TypeVar("T")


class Fate(Enum):
    """What becomes of one call over the network."""

    DONE = "done"
    REFUSED = "refused"
    TORN = "torn"
    LOST = "lost"


DONE = Fate.DONE


class Blow(Enum):
    """What befalls a process between two of its steps."""

    CRASH = "crash"
    FREEZE = "freeze"
    STOP = "stop"
    REBALANCE = "rebalance"


FOCUS = 8.0
FOCUSES = (
    "nothing",
    "commit ",
    "publish",
    "requests.",
    "calls.",
    "keystore.",
    "ledger.",
    "tenants.",
    "outbox",
    "webhooks.",
    "purges.",
)
LONGEST_OUTAGE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a seed plays: which faults it knows, and how often they come.

    Attributes:
        storm_s: virtual seconds in which things go wrong; then they mend.
        crash, freeze, stop, rebalance: blows a thousand steps of a process.
        landing: crashes a thousand calls, right when the call had its effect.
        refused, torn, lost: a thousand calls: no effect and an error; effect and an
            error; effect or not, and an error much later.
        slow: calls a thousand that take seconds.
        dull: calls of the provider, a thousand, that take up to a minute.
        shuffle: a thousand steps that are not taken in the order they became ready.
        focus: calls that begin with this word meet trouble far more often.
        outage: calls that begin with this word are refused, one and all, from
            ``away_from`` to ``away_until``, also when the storm is over.
    """

    storm_s: float
    crash: float
    freeze: float
    stop: float
    rebalance: float
    landing: float
    refused: float
    torn: float
    lost: float
    slow: float
    dull: float
    shuffle: float
    focus: str
    outage: str
    away_from: float
    away_until: float


def plan(dice: random.Random) -> Plan:
    """A seed's plan.

    Each fault is left out of half of the seeds: a storm of one hides what another
    would show.
    """
    most = {
        "crash": 6.0,
        "freeze": 1.0,
        "stop": 1.0,
        "rebalance": 8.0,
        "landing": 30.0,
        "refused": 50.0,
        "torn": 50.0,
        "lost": 10.0,
        "slow": 60.0,
        "dull": 400.0,
        "shuffle": 200.0,
    }
    chosen = {
        name: dice.choice((0.0, dice.random() * top)) for name, top in most.items()
    }
    storm_s, focus = dice.uniform(5.0, 20.0), dice.choice(FOCUSES)
    outage = dice.choice(("", dice.choice(FOCUSES)))
    away_from = dice.uniform(0, storm_s) if outage else 0.0
    away_until = away_from + dice.uniform(0, LONGEST_OUTAGE_S) if outage else 0.0
    return Plan(
        storm_s=storm_s,
        focus=focus,
        outage=outage,
        away_from=away_from,
        away_until=away_until,
        **chosen,
    )


class Chance(Chooser):
    """The dice of one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.plan = plan(self.dice)
        self.storm = True
        self.blow: Callable[[Blow, Owner], None] = lambda *_: None
        self._until_blow = self._steps()
        self._fates = tuple(
            (fate, float(getattr(self.plan, fate.value)))
            for fate in (Fate.REFUSED, Fate.TORN, Fate.LOST)
        )
        self._latency_s = self.dice.choice((0.0005, 0.002, 0.01))

    @override
    def owner(self, count: int) -> int:
        return int(self.dice.random() * count)

    @override
    def handle(self, count: int) -> int:
        if not self.plan.shuffle:
            return 0
        if self.dice.random() * 1000 >= self.plan.shuffle:
            return 0
        return int(self.dice.random() * count)

    @override
    def after(self, owner: Owner) -> None:
        self._until_blow -= 1
        if self._until_blow <= 0 and self.storm:
            self._until_blow = self._steps()
            self.blow(self._kind(), owner)

    def latency(self, label: str = "") -> float:
        """Seconds that a message is on its way."""
        if self.storm and self._happens(self.plan.slow * self._weight(label)):
            return self.dice.uniform(0.05, 8.0)
        return self.dice.random() * self._latency_s

    def thinking(self) -> float:
        """Seconds that a provider takes."""
        if self.storm and self._happens(self.plan.dull):
            return self.dice.uniform(2.0, 60.0)
        return self.dice.uniform(0.01, 1.0)

    def fate(self, label: str, now: float) -> Fate:
        """What becomes of a call."""
        plan = self.plan
        if plan.away_from <= now < plan.away_until and label.startswith(plan.outage):
            return Fate.REFUSED
        if not self.storm:
            return DONE
        at = self.dice.random() * 1000 / self._weight(label)
        for fate, rate in self._fates:
            at -= rate
            if at < 0:
                return fate
        return DONE

    def crashes_on_landing(self, label: str) -> bool:
        """Does the caller die right after its call had its effect?"""
        return self.storm and self._happens(self.plan.landing * self._weight(label))

    def either(self) -> bool:
        """Yes or no."""
        return self.dice.random() < 0.5

    def uniform(self, low: float, high: float) -> float:
        """A number in between."""
        return self.dice.uniform(low, high)

    def some(self, most: int) -> int:
        """1 to ``most``."""
        return self.dice.randint(1, most)

    def one(self, of: Sequence[T]) -> T:
        """One of them."""
        return self.dice.choice(of)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """In any order."""
        return self.dice.sample(items, len(items))

    def _weight(self, label: str) -> float:
        return FOCUS if label and label.startswith(self.plan.focus) else 1.0

    def _happens(self, a_thousand: float) -> bool:
        return a_thousand > 0 and self.dice.random() * 1000 < a_thousand

    def _rate(self) -> float:
        return float(sum(getattr(self.plan, blow.value) for blow in Blow))

    def _steps(self) -> float:
        rate = self._rate()
        return self.dice.expovariate(rate / 1000) if rate else float("inf")

    def _kind(self) -> Blow:
        weights = [getattr(self.plan, blow.value) for blow in Blow]
        return self.dice.choices(list(Blow), weights)[0]


class DicedEntropy(Entropy):
    """Bytes from a seed; and ids that rise with them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"entropy {seed}")  # noqa: S311 - as above
        self._ids = 0

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """What is drawn meanwhile is drawn again afterwards: who looks changes none."""
        dice, ids = self._dice.getstate(), self._ids
        yield
        self._dice.setstate(dice)
        self._ids = ids

    @override
    def bytes(self, count: int) -> bytes:
        return self._dice.randbytes(count)

    @override
    def uniform(self, low: float, high: float) -> float:
        return self._dice.uniform(low, high)

    @override
    def uuid7(self) -> str:
        self._ids += 1
        text = f"018f3c1a{self._ids:04x}7000{0x8000 + self._ids:04x}"
        text += f"{self._dice.getrandbits(48):012x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True)
class Trace:
    """What happened, in order."""

    lines: list[tuple[object, ...]]

    def say(self, *line: object) -> None:
        """One thing; its parts are numbers and words."""
        self.lines.append(line)

    @property
    def digest(self) -> str:
        """The same for the same run."""
        return sha256("\n".join(map(repr, self.lines)).encode()).hexdigest()

    def told(self, last: int = 200) -> str:
        """The last lines, for a person."""
        return "\n".join(
            f"{line[0]:10.4f}  " + "  ".join(map(str, line[1:]))
            for line in self.lines[-last:]
        )


def told(found: Plan) -> str:
    """A plan in one line."""
    set_ = ((each.name, getattr(found, each.name)) for each in fields(found))
    return " ".join(f"{name}={value}" for name, value in set_ if value)
