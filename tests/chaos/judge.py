"""Is every promise kept, though everything was killed? Each finding is a sentence."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Final
from urllib.request import urlopen

from pipeline.provider import ATTEMPTS
from schemas.audit import TERMINAL
from tests.chaos.house import Death, House
from tests.chaos.load import NUMBER, Load, Sent, sleep
from tests.support.evidence import ended

QUIET_WITHIN_S: Final = 420.0
"""A webhook that was refused twice comes again after five minutes; a request that was
admitted and never published is ended at its deadline."""
DONE_WITHIN_S: Final = 30.0
"""So long a webhook that comes again may be on its way, once all were told."""
CLAIMS: Final = 2
OK: Final = 200
ANSWERED: Final = frozenset({200, 400, 410, 502, 504})
"""Completed; blocked; answered before, forgotten since; failed; past its deadline."""

LAG: Final = ("lag", "--over", "0")

Run = Callable[..., CompletedProcess[str]]
Spans = Mapping[int, Sequence[Sequence[float]]]
Records = Sequence[Mapping[str, Any]]


async def quiet(house: House) -> list[str]:
    """Wait until nobody has anything to do; what was still to do at the end of it."""
    until, waited = time.monotonic() + QUIET_WITHIN_S, ""
    while time.monotonic() < until:
        behind, untold = await house.behind(), len(untold_of(house.load))
        waited = f"lag is {behind}, and {untold} requests lack their webhook"
        if not behind and not untold:
            return []
        await sleep(1)
    return [f"after {QUIET_WITHIN_S:.0f} s {waited}"]


def untold_of(load: Load) -> list[Sent]:
    """Requests of which no webhook was taken yet."""
    asked = [each for each in load.sent.values() if each.request_id is not None]
    return [each for each in asked if each.request_id not in load.subscriber.taken]


def answers(load: Load) -> Iterator[str]:
    """Everyone was answered, and by an answer to what they asked."""
    for each in load.sent.values():
        if each.status == 0:
            yield f"request {each.number} ({each.model}) was never answered"
        elif each.status is not None and each.status not in ANSWERED:
            yield f"request {each.number} ({each.model}): {each.status}: {each.text}"
        elif each.status == OK and f"number {each.number}" not in each.text:
            yield f"request {each.number} got the answer of another"


def ends(load: Load, records: Records) -> Iterator[str]:
    """Every accepted request ends exactly once."""
    ended = Counter(r["request_id"] for r in records if r["action"] in TERMINAL)
    accepted = {r["request_id"] for r in records if r["action"] == "request.accepted"}
    ours = {each.request_id for each in load.sent.values() if each.request_id}
    for request in sorted(accepted | ours):
        if ended[request] != 1:
            yield f"{request} has {ended[request]} ends on the ledger"
    if not accepted:
        yield "the ledger holds no accepted request at all"


def calls(load: Load, spans: Spans, deaths: Sequence[Death]) -> Iterator[str]:
    """A provider call is repeated only where its worker died without a result.

    A database that dies is no reason: whoever made the call lives, and holds on to the
    result. Nor is a worker that stood still: nobody else could take its calls.
    """
    for number, made in spans.items():
        model, request = load.sent[number].model, load.sent[number].request_id
        each_claim = ATTEMPTS if model == "failing" else 1
        claims = made[::each_claim]
        if len(claims) > CLAIMS:
            yield f"the provider was asked {len(made)} times for {number} ({model})"
        for first, second in pairwise(claims):
            between = [d for d in deaths if first[0] <= d.at <= second[0]]
            if not any(request in death.unfinished for death in between):
                said = f"the provider was asked again for {number}, without a reason"
                yield f"{said}: {_evidence(first, second, between)}"


def uncalled(load: Load, spans: Spans) -> Iterator[str]:
    """Each answer had a call: where nobody tells of any, none repeats either."""
    for each in load.sent.values():
        if each.status == OK and each.number not in spans:
            said = "was answered, and the provider tells of no call"
            yield f"request {each.number} ({each.model}) {said}"


def _evidence(
    first: Sequence[float], second: Sequence[float], between: Sequence[Death]
) -> str:
    """What lay between two calls; in seconds since the first began."""
    begin = first[0]
    ended = f"ended after {first[1] - begin:.1f} s" if len(first) > 1 else "never ended"
    told = [
        f"{death.victim} stood after {death.frozen - begin:.1f} s and was killed after"
        f" {death.at - begin:.1f} s"
        for death in between
    ]
    again = f"the second began after {second[0] - begin:.1f} s"
    return f"the first {ended}, {again}; {'; '.join(told) or 'nobody died'}"


def webhooks(load: Load) -> Iterator[str]:
    """Each request is told of at least once, always under one id."""
    subscriber = load.subscriber
    for each in untold_of(load):
        yield f"no webhook told of request {each.number}"
    for request, ids in subscriber.taken.items():
        if len(ids) != 1:
            yield f"{request} was told of under {len(ids)} ids"
    differing = [name for name, bodies in subscriber.bodies.items() if len(bodies) > 1]
    if differing:
        yield f"{len(differing)} webhooks came with different bodies under one id"
    if subscriber.forged:
        yield f"{subscriber.forged} webhooks did not verify"


def behind(run: Run) -> list[str]:
    """Who is behind. What comes late, a webhook again for one, is soon done."""
    until = time.monotonic() + DONE_WITHIN_S
    while (found := complaint(run, *LAG)) and time.monotonic() < until:
        time.sleep(1)
    return found


def complaint(run: Run, *command: str) -> list[str]:
    """What a command says that found something wrong."""
    done = run(*command)
    said = (done.stdout + done.stderr).strip()
    return [f"sluice {' '.join(command)}: {said[-500:]}"] if done.returncode else []


@dataclass(frozen=True, slots=True)
class Judge:
    """Looks at a house that is quiet, through the operator's commands."""

    house: House
    folder: Path

    def judge(self, deaths: Sequence[Death]) -> list[str]:
        """What is wrong. Blocks."""
        load = self.house.load
        found = [*answers(load), *ends(load, self._records()), *webhooks(load)]
        spans = self._spans()
        found += [*calls(load, spans, deaths), *uncalled(load, spans)]
        found += complaint(self.house.sluice.run, "audit", "verify")
        found += complaint(self.house.sluice.run, "completeness", "--settled-s", "0")
        found += behind(self.house.sluice.run)
        return [*found, *self._buried(), *self._receipts(), *self._ended()]

    def _records(self) -> Records:
        load, tenant = self.house.load, self.house.access.tenant_id
        wanted = {each.request_id for each in load.sent.values() if each.request_id}
        return ended(self.house.sluice, tenant, wanted, self.folder)

    def _spans(self) -> Spans:
        with urlopen(self.house.access.stand_in + "/calls", timeout=30) as answer:
            found = json.load(answer)
        numbered = {NUMBER.search(text): made for text, made in found.items()}
        return {int(name[1]): made for name, made in numbered.items() if name}

    def _buried(self) -> Iterator[str]:
        letters = self.house.sluice.ask("dead", "list")
        if letters:
            yield f"{len(letters)} records were buried: {letters[:3]}"

    def _receipts(self) -> Iterator[str]:
        tenant = ("--tenant", self.house.access.tenant_id)
        given = Counter(e["job"] for e in self.house.sluice.ask("receipts", *tenant))
        for job in self.house.load.erased.values():
            if given[job] != 1:
                yield f"the order {job} to forget has {given[job]} receipts"

    def _ended(self) -> Iterator[str]:
        for name in sorted(self.house.ended()):
            yield f"{name} ended by itself"


async def judged(house: House, folder: Path, deaths: Sequence[Death]) -> list[str]:
    """Wait for quiet, then judge."""
    loud = await quiet(house)
    return loud + await asyncio.to_thread(Judge(house, folder).judge, deaths)
