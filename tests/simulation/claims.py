"""Provider calls: each under a claim, and again only where the first may be unfinished.

A call may be repeated if whoever claimed it died, stood still or was stopped: then its
result was never durable. A claim, if nobody learnt that it was given. Else one request
is one claim: whoever lives holds on to its result until it is durable.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from typing_extensions import override

from infra.memory.requests import MemoryProviderCalls
from pipeline.ports.requests import Done, Held, Spent, Taken
from pipeline.provider import ATTEMPTS
from schemas.ids import RequestId, TenantId
from tests.simulation.loop import Owner

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_CLAIMS = 2


class Claims:
    """Who claimed which call, and whether a repeat has its reason."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._given: dict[RequestId, list[Owner]] = defaultdict(list)
        self._made: dict[tuple[RequestId, Owner], int] = defaultdict(int)
        self._excused: set[RequestId] = set()
        self._troubled: set[Owner] = set()
        self.numbers: dict[int, RequestId] = {}

    def given(self, request: RequestId) -> None:
        """A claim was given to whoever asks right now."""
        claims, owner = self._given[request], self._world.network.caller
        for before in claims:
            if request not in self._excused and before not in self._troubled:
                self._world.watch.wrong(f"{request} was claimed again for no reason")
        claims.append(owner)
        if len(claims) > MAX_CLAIMS:
            self._world.watch.wrong(f"{request} was claimed {len(claims)} times")

    def failed(self, label: str) -> None:
        """Who asked for a claim had no answer, or a late one."""
        verb, _, request = label.partition(" ")
        if verb == "calls.take":
            self._excused.add(RequestId(request))

    def trouble(self, owner: Owner) -> None:
        """A process died, stood still, or was stopped."""
        self._troubled.add(owner)

    def called(self, number: int, owner: Owner) -> None:
        """The provider is called now."""
        request = self.numbers.get(number)
        if request is None:
            self._world.watch.wrong(f"a call of nobody's request {number}")
            return
        self._made[request, owner] += 1
        given = self._given[request].count(owner)
        if self._made[request, owner] > given * ATTEMPTS:
            made = self._made[request, owner]
            self._world.watch.wrong(f"{request}: {made} calls under {given} claims")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimCalls(MemoryProviderCalls):
    """The twin, which tells to whom it gave a claim."""

    claims: Claims

    @override
    async def take(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> Taken | Held | Done | Spent:
        answer = await MemoryProviderCalls.take(self, tenant, request, lease)
        if isinstance(answer, Taken):
            self.claims.given(request)
        return answer
