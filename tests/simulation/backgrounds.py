"""Responses in the background: asked for, looked at, called off, deleted."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from pipeline.dialects.openai_responses import response_id
from pipeline.keystore import KeyId
from pipeline.sealing import DataKey, Purpose
from schemas.requests import Outcome
from tests.simulation.asking import Answer, Asked
from tests.simulation.clients import ATTEMPTS, BACKGROUND, WAITS, Caller, until_known

if TYPE_CHECKING:
    from pipeline.ports.requests import RequestState
    from tests.simulation.world import World

OK, GONE = 200, 410
ONE_IN = 3
"""So many responses have one that is deleted."""
LOOKS_AFTER_S = 4.0
"""A caller waits no longer from one look to the next."""
ENDS = {
    Outcome.COMPLETED: {"completed"},
    Outcome.CANCELLED: {"cancelled"},
    Outcome.FAILED: {"failed"},
    Outcome.BLOCKED: {"failed", "incomplete"},
}
"""By outcome, how a response stands."""
ENDED = frozenset().union(*ENDS.values())
DESTROYED = "destroyed"


async def call(world: "World", caller: Caller) -> None:
    """One client's whole conversation, at some time in the storm."""
    await world.clock.sleep(world.chance.uniform(0, world.chance.plan.storm_s))
    answer = await until_known(world, caller, caller.asked)
    if caller.way == BACKGROUND and answer.status == OK:
        await _followed(world, caller)
    caller.done = True


async def _followed(world: "World", caller: Caller) -> None:
    """Until it has ended: look at it; or call it off, and look."""
    chance = world.chance
    called_off = chance.either()
    while not _over(caller):
        await world.clock.sleep(chance.uniform(0.0, LOOKS_AFTER_S))
        if called_off:
            answer = await until_known(world, caller, _cancel(caller))
        else:
            answer = await until_known(world, caller, _look(caller))
        _note(caller, answer)
    if caller.told[-1] != DESTROYED and chance.some(ONE_IN) == 1:
        await _deleted(world, caller)
    await look(world, caller)


async def look(world: "World", caller: Caller) -> None:
    """How does it stand?"""
    _note(caller, await until_known(world, caller, _look(caller)))


async def _deleted(world: "World", caller: Caller) -> None:
    for _ in range(ATTEMPTS):
        answer = await until_known(world, caller, _delete(caller))
        if answer.status in (OK, GONE):
            caller.deleted = True
            return


def _over(caller: Caller) -> bool:
    return bool(caller.told) and caller.told[-1] in (*ENDED, DESTROYED)


def _note(caller: Caller, answer: Answer) -> None:
    if answer.status == OK:
        caller.told.append(orjson.loads(answer.body)["status"])
    elif answer.status == GONE:
        caller.told.append(DESTROYED)
    elif answer.known:
        caller.told.append(f"http {answer.status}")


def _look(caller: Caller) -> Asked:
    return Asked(method="GET", path=_path(caller), token=caller.token)


def _cancel(caller: Caller) -> Asked:
    return Asked(method="POST", path=f"{_path(caller)}/cancel", token=caller.token)


def _delete(caller: Caller) -> Asked:
    return Asked(method="DELETE", path=_path(caller), token=caller.token)


def _path(caller: Caller) -> str:
    return f"{BACKGROUND}/{response_id(caller.request)}"


def misled(world: "World", callers: list[Caller]) -> Iterator[str]:
    """A response has one end, it stays, and its answer is what the provider said."""
    for caller in callers:
        yield from _misquoted(world, caller)
        if caller.way == BACKGROUND:
            yield from _changed(caller)
            yield from _untrue(world, caller)


def _changed(caller: Caller) -> Iterator[str]:
    """Open, then ended, then perhaps destroyed; and never back."""
    ends = list(dict.fromkeys(told for told in caller.told if told in ENDED))
    if len(ends) > 1:
        yield f"the response {caller.number} had the ends {ends}"
    places = [_place(told) for told in caller.told]
    if places != sorted(places):
        yield f"the response {caller.number} stood as {caller.told}"
    if any(told.startswith("http") for told in caller.told):
        yield f"the response {caller.number} was answered by {caller.told}"


def _place(told: str) -> int:
    return 2 if told == DESTROYED else int(told in ENDED)


def _untrue(world: "World", caller: Caller) -> Iterator[str]:
    """What was told is what its row says, and what is destroyed is unreadable."""
    row = world.requests.rows.get((caller.tenant, caller.request))
    ends = {told for told in caller.told if told in ENDED}
    if ends and (row is None or row.finished is None):
        yield f"the response {caller.number} was told {ends}, and is open"
    if row is None or row.finished is None:
        return
    if not ends <= ENDS[row.finished.outcome]:
        yield f"the response {caller.number} was told {ends}: {row.finished.outcome}"
    key = _key(world, row)
    if key is not None and (caller.deleted or DESTROYED in caller.told):
        yield f"the response {caller.number} was said to be gone, and its key lives"


def _misquoted(world: "World", caller: Caller) -> Iterator[str]:
    """What callers were given, and what lies in the row, is what the provider said."""
    said = {_start(text) for text in world.providers.said[caller.number]}
    bodies = {answer.body for answer in caller.answers if answer.status == OK}
    bodies |= set(_stored(world, caller))
    found = {_start(text) for body in bodies if (text := _text(caller, body))}
    if found - said:
        yield f"caller {caller.number} was given what the provider never said"
    if len(found) > 1:
        yield f"caller {caller.number} was given two answers"


def _stored(world: "World", caller: Caller) -> Iterator[bytes]:
    row = world.requests.rows.get((caller.tenant, caller.request))
    if row is None or row.finished is None or row.finished.answer is None:
        return
    if (key := _key(world, row)) is not None:
        contents = world.contents
        yield contents.open(key, Purpose.COMPLETION, row.finished.answer)


def _key(world: "World", row: "RequestState") -> DataKey | None:
    """The key of a request, where it lives."""
    made = world.keys._keys.get((row.tenant_id, KeyId(row.terms.key_id)))
    return None if made is None else made.key


def _text(caller: Caller, body: bytes) -> str | None:
    """What a body says in the provider's words; None: nothing."""
    found = orjson.loads(body)
    if caller.way == WAITS:
        return str(found["choices"][0]["message"]["content"])
    output = found.get("output")
    return str(output[0]["content"][0]["text"]) if output else None


def _start(text: str) -> str:
    """Without what redaction may have touched."""
    return text.partition(";")[0]
