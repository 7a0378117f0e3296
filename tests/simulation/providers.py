"""The model's provider: answers what it was asked, and remembers who asked."""

import re
from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import orjson
from typing_extensions import override

from pipeline.ports.providers import Answered, Providers, Refused, Unanswered
from pipeline.reasons import Reason
from schemas.requests import Dialect, Route
from tests.simulation.loop import OWNER

if TYPE_CHECKING:
    from tests.simulation.world import World

TROUBLE: Sequence[Answered | Refused | Unanswered] = (
    Refused(400),
    Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=True),
    Unanswered(Reason.UPSTREAM_GARBAGE, retry=False),
    Answered(b"not what was agreed"),
)
NUMBER = re.compile(rb"number-(\d+)-")


class SimProviders(Providers):
    """Far away: a call takes its time, and may end in any way a call can."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.calls: dict[int, list[str]] = defaultdict(list)
        """By the number in the prompt, which life of which process called."""
        self.bodies: list[bytes] = []
        self.said: dict[int, list[str]] = defaultdict(list)
        """By the number in the prompt, what was answered."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    @override
    def knows(self, provider: str) -> bool:
        return True

    @override
    async def call(
        self, route: Route, dialect: Dialect, body: bytes, timeout_s: float
    ) -> Answered | Refused | Unanswered:
        world, owner = self._world, OWNER.get()
        found = NUMBER.search(body)
        number = int(found[1]) if found else -1
        self.calls[number].append(owner.name)
        self.bodies.append(body)
        world.claims.called(number, owner)
        world.say("provider", number)
        takes = world.chance.thinking()
        await world.clock.sleep(min(takes, timeout_s))
        if takes >= timeout_s:
            return Unanswered(Reason.UPSTREAM_TIMEOUT, retry=False)
        return self._answer(body, number)

    def _answer(self, body: bytes, number: int) -> Answered | Refused | Unanswered:
        chance = self._world.chance
        if chance.storm and chance.uniform(0, 1) < 0.1:
            return chance.one(TROUBLE)
        asked = orjson.loads(body)
        heard = asked["input"] if "input" in asked else asked["messages"][-1]["content"]
        # A model never says the same twice, so two results can be told apart.
        text = f"Answer {len(self.calls[number])}: you said: {heard}"
        self.said[number].append(text)
        return Answered(responded(text) if "input" in asked else completion(text))


def completion(text: str) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    return orjson.dumps({"model": "m", "choices": [choice], "usage": usage})


def responded(text: str) -> bytes:
    """A response."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 3, "output_tokens": 4}
    made = {"model": "m", "status": "completed", "output": [item], "usage": usage}
    return orjson.dumps(made)
