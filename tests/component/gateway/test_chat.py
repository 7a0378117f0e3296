"""``POST /v1/chat/completions`` on twins."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.memory.keystore import MemoryKeys
from infra.memory.requests import MemoryRequests
from infra.system import SystemClock
from pipeline.acceptance import Accepted, Asked
from pipeline.admission import MAX_BODY_BYTES, READ, Draft, draft
from pipeline.dialects import read
from pipeline.errors import RetryableError
from pipeline.keystore import KeyId
from pipeline.ports.keys import KeyRef, NewKey, OfRequest
from pipeline.sealing import Purpose
from producers.gateway.edge import LINGER_BYTES
from producers.gateway.places import Places
from schemas.ids import RequestId
from schemas.policies import PolicyDocument
from schemas.requests import Dialect, Outcome, RequestAccepted
from schemas.topics import REQUESTS_ACCEPTED
from tests.support.audit import OTHER, TENANT
from tests.support.gateway import (
    ANSWER,
    BODY,
    CONTENTS,
    PARTITION,
    World,
    dumped,
    not_completed,
    opened,
)
from tests.support.keystore import erase

PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
CANARY = "zq-canary-7f3e"


async def post(
    world: World,
    content: bytes | None = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    bearer = {"authorization": f"Bearer {key or world.key()}"}
    async with world.client(**bearer, **JSON) as client:
        return await client.post(
            PATH, content=dumped() if content is None else content, headers=headers
        )


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


async def test_the_answer_is_the_bytes_that_were_sealed(world: World) -> None:
    answer = await post(world)

    assert (200, ANSWER) == (answer.status_code, answer.content)
    assert "application/json" == answer.headers["content-type"]


async def test_what_is_accepted_is_sealed_under_the_key_of_its_request(
    world: World,
) -> None:
    answer = await post(world)
    (event,) = world.pipeline.accepted
    key = await opened(world.keys, event)
    body = read(CONTENTS.open(key, Purpose.REQUEST, event.data.content))

    assert BODY == body
    assert answer.headers["x-request-id"] == event.attributes.subject
    assert PARTITION == event.data.terms.reply_partition
    assert "7d" == event.data.terms.retention.retention_class
    assert timedelta(seconds=120) == event.data.terms.deadline - event.attributes.time
    (record,) = world.log.records(REQUESTS_ACCEPTED.name)
    assert b"Vienna" not in (record.value or b"")


async def test_the_callers_trace_goes_on(world: World) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await post(world, headers={"traceparent": trace})
    await post(
        world, headers={"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}
    )
    origins = [event.attributes.origin for event in world.pipeline.accepted]

    assert trace == origins[0]
    assert origins[1] is not None
    assert "0" * 32 not in origins[1]


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (
            Outcome.BLOCKED,
            "security.prompt_injection.direct",
            (400, "content_filter", None),
        ),
        (Outcome.FAILED, "guard_unavailable", (503, "guard_unavailable", "true")),
        (Outcome.FAILED, "deadline_exceeded", (504, "deadline_exceeded", "false")),
        (Outcome.FAILED, "upstream_refused", (502, "upstream_refused", "false")),
        (Outcome.FAILED, "upstream_busy", (503, "upstream_busy", "true")),
        (Outcome.FAILED, "key_destroyed", (410, "key_destroyed", "false")),
        (
            Outcome.FAILED,
            "a_reason_of_tomorrow",
            (502, "a_reason_of_tomorrow", "false"),
        ),
    ],
)
async def test_an_end_without_an_answer_is_an_error_that_names_its_reason(
    world: World, outcome: Outcome, reason: str, expected: tuple[int, str, str | None]
) -> None:
    world.pipeline.ending = not_completed(outcome, reason)

    answer = await post(world)

    retry = answer.headers.get("x-should-retry")
    assert expected == (answer.status_code, error(answer)["code"], retry)
    assert reason == error(answer)["reason"]
    assert answer.headers["x-request-id"] == error(answer)["request_id"]


@pytest.mark.parametrize("reason", ["upstream_unreachable", "upstream_rate_limited"])
async def test_what_failed_under_a_key_is_not_to_be_sent_again_under_it(
    world: World, reason: str
) -> None:
    world.pipeline.ending = not_completed(Outcome.FAILED, reason)
    key, headers = world.key(), {"idempotency-key": "order-1"}

    answers = [await post(world, key=key, headers=headers) for _ in range(2)]
    another = await post(world, key=key, headers={"idempotency-key": "order-2"})

    assert 2 == len(world.pipeline.accepted)
    for answer in (*answers, another):
        assert reason == error(answer)["code"]
        assert "false" == answer.headers["x-should-retry"]
        assert "retry-after" not in answer.headers


async def test_an_answer_that_was_erased_meanwhile_is_told_as_that(
    world: World,
) -> None:
    world.pipeline.ending = not_completed(Outcome.COMPLETED)

    answer = await post(world)

    assert (410, "content_destroyed") == (answer.status_code, error(answer)["code"])


async def test_a_lost_reply_is_read_from_the_row(world: World) -> None:
    world.pipeline.lost = True

    assert ANSWER == (await post(world)).content


async def test_a_database_that_goes_away_meanwhile_ends_no_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()

    async def away(*_: object) -> None:
        looked.set()
        raise RetryableError("away")

    ending, world.pipeline.ending = world.pipeline.ending, lambda *_: None
    monkeypatch.setattr(MemoryRequests, "get", away)
    asking = asyncio.create_task(post(world))
    await looked.wait()
    (event,) = world.pipeline.accepted
    world.pipeline.ending = ending
    await world.pipeline.end(event)

    assert ANSWER == (await asking).content


async def test_past_its_deadline_nobody_waits_longer(world: World) -> None:
    def never(*_: object) -> None:
        world.clock.elapsed += timedelta(seconds=122)

    world.pipeline.ending = never

    answer = await post(world)

    assert (504, "deadline_exceeded") == (answer.status_code, error(answer)["code"])


async def test_without_an_acknowledgement_nothing_was_accepted(world: World) -> None:
    world.pipeline.away = True

    answer = await post(world)

    assert (503, "not_ready") == (answer.status_code, error(answer)["code"])
    assert ("true", "1") == (
        answer.headers["x-should-retry"],
        answer.headers["retry-after"],
    )


async def test_a_request_is_counted_once_it_is_durable_and_timed_once_answered(
    world: World,
) -> None:
    def counted(name: str, **labels: str) -> float | None:
        return world.registry.get_sample_value(name, labels)

    waits = asyncio.Event()
    ending, world.pipeline.ending = world.pipeline.ending, lambda *_: waits.set()
    asking = asyncio.create_task(post(world))
    await waits.wait()
    await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
    meanwhile = counted("sluice_requests_accepted_total", way="http")
    (event,) = world.pipeline.accepted
    world.pipeline.ending = ending
    world.clock.elapsed += timedelta(seconds=3)
    await world.pipeline.end(event)
    await asking

    assert 1 == meanwhile == counted("sluice_requests_accepted_total", way="http")
    assert 1 == counted("sluice_answer_seconds_count")
    assert 3 == counted("sluice_answer_seconds_sum")


async def test_where_too_many_wait_one_more_is_not_accepted(world: World) -> None:
    world.places = Places(1)
    waits = asyncio.Event()
    ending = world.pipeline.ending
    world.pipeline.ending = lambda *_: waits.set()
    asking = asyncio.create_task(post(world))
    await waits.wait()
    refused = await post(world)
    (event,) = world.pipeline.accepted
    world.pipeline.ending = ending
    await world.pipeline.end(event)

    assert (503, "overloaded") == (refused.status_code, error(refused)["code"])
    assert ("true", "2") == (
        refused.headers["x-should-retry"],
        refused.headers["retry-after"],
    )
    assert ANSWER == (await asking).content
    assert ANSWER == (await post(world)).content


async def test_a_tenant_that_fills_the_gateway_leaves_room_for_others(
    world: World,
) -> None:
    world.places = Places(4)
    mine, another = world.key(), world.key(tenant=OTHER)
    waiting = asyncio.Queue[RequestAccepted]()
    ending = world.pipeline.ending
    world.pipeline.ending = lambda event, *_: waiting.put_nowait(event)
    asking = [asyncio.create_task(post(world, key=mine)) for _ in range(3)]
    for _ in asking:
        await waiting.get()
    async with asyncio.timeout(10):  # who is let in waits, and nobody answers
        refused = await post(world, key=mine)
    asking.append(asyncio.create_task(post(world, key=another)))
    await waiting.get()
    world.pipeline.ending = ending
    for event in world.pipeline.accepted:
        await world.pipeline.end(event)

    assert (503, "overloaded") == (refused.status_code, error(refused)["code"])
    assert [200] * 4 == [answer.status_code for answer in await asyncio.gather(*asking)]


async def test_a_client_that_goes_away_loses_nothing(world: World) -> None:
    gone = asyncio.Event()

    def slow(*_: object) -> None:
        gone.set()

    world.pipeline.ending = slow
    asking = asyncio.create_task(post(world))
    await gone.wait()
    asking.cancel()
    await asyncio.wait([asking])

    (event,) = world.pipeline.accepted
    row = await world.requests.get(TENANT, RequestId(event.attributes.subject))
    assert row is not None
    assert row.finished is None


@pytest.mark.parametrize(
    ("content", "status", "code", "param"),
    [
        (b"", 400, "invalid_request", "body"),
        (b"[]", 400, "invalid_request", "body"),
        (b'{"model": "\\ud800"}', 400, "invalid_request", "body"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, 400, "invalid_request", "body"),
        (b"[" * 500_000, 400, "invalid_request", "body"),
        (b"\xff\xfe", 400, "invalid_request", "body"),
        (dumped(model=7), 400, "invalid_request", "model"),
        (dumped(messages="hello"), 400, "invalid_request", "messages"),
        (dumped(messages=[]), 400, "invalid_request", "messages"),
        (
            dumped(messages=[{"role": CANARY, "content": ""}]),
            400,
            "invalid_request",
            "messages.0.role",
        ),
        (
            dumped(messages=[{"role": "user", "content": {"a": CANARY}}]),
            400,
            "invalid_request",
            "messages.0.content",
        ),
        (dumped(temperature="hot"), 400, "invalid_request", "temperature"),
        (dumped(stream=True), 400, "unsupported_value", "stream"),
        (
            dumped(web_search_options={}),
            400,
            "unsupported_parameter",
            "web_search_options",
        ),
        (dumped(model=CANARY), 404, "model_not_found", None),
    ],
)
async def test_what_is_not_accepted_says_where_and_never_what(
    world: World, content: bytes, status: int, code: str, param: str | None
) -> None:
    answer = await post(world, content)

    assert (status, code) == (answer.status_code, error(answer)["code"])
    assert param == error(answer)["param"]
    assert answer.headers["x-request-id"] == error(answer)["request_id"]
    assert CANARY not in answer.text
    assert [] == world.pipeline.accepted


async def test_the_largest_body_is_accepted_and_one_byte_more_is_not(
    world: World,
) -> None:
    room = MAX_BODY_BYTES - len(dumped(user=""))

    accepted = await post(world, dumped(user="x" * room))
    refused = await post(world, dumped(user="x" * (room + 1)))

    assert (200, 413) == (accepted.status_code, refused.status_code)
    assert (
        "The body is too large: body: expected at most 2097152 bytes."
        == (error(refused)["message"])
    )


async def test_a_body_without_a_length_is_counted_while_it_comes(world: World) -> None:
    sent = []

    async def endless() -> Any:
        while True:
            sent.append(1)
            yield b" " * 65_536

    async with world.client(authorization=f"Bearer {world.key()}", **JSON) as client:
        answer = await client.post(PATH, content=endless())

    assert 413 == answer.status_code
    assert (MAX_BODY_BYTES + LINGER_BYTES) // 65_536 + 1 >= len(sent)


async def test_a_body_that_drips_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.gateway.bodies.BODY_WITHIN_S", 0.02)

    async def dripping() -> Any:
        while True:
            await SystemClock().sleep(0.005)
            yield b" "

    async with world.client(authorization=f"Bearer {world.key()}", **JSON) as client:
        answer = await client.post(PATH, content=dripping())

    assert (408, "body_too_slow") == (answer.status_code, error(answer)["code"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "gzip"},
        {"content-type": "text/plain"},
        {"content-type": ""},
    ],
)
async def test_other_kinds_of_body_are_refused(
    world: World, headers: dict[str, str]
) -> None:
    assert 415 == (await post(world, headers=headers)).status_code


async def test_a_retry_is_the_same_request(world: World) -> None:
    key = world.key()
    retry = {"idempotency-key": "order-1"}

    first = await post(world, key=key, headers=retry)
    again = await post(world, key=key, headers=retry)

    assert first.content == again.content
    assert first.headers["x-request-id"] == again.headers["x-request-id"]
    assert 1 == len(world.pipeline.accepted)


@pytest.fixture
async def forgetful(tmp_path: Path) -> World:
    return await World(tmp_path, policy=PolicyDocument()).begin()


async def test_a_transient_answer_is_forgotten_once_it_left(forgetful: World) -> None:
    world = forgetful
    first = await post(world)
    request = RequestId(first.headers["x-request-id"])

    assert 200 == first.status_code
    assert [] == list(await world.keys.of(OfRequest(TENANT, request), 9))


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.FAILED])
async def test_a_transient_request_that_has_no_answer_is_forgotten_then_too(
    forgetful: World, outcome: Outcome
) -> None:
    """What was blocked is the last that should lie about until somebody sweeps."""
    world = forgetful
    world.pipeline.ending = not_completed(outcome, "upstream_refused")
    told = await post(world)
    request = RequestId(told.headers["x-request-id"])

    assert 1 == len(world.pipeline.accepted)
    assert [] == list(await world.keys.of(OfRequest(TENANT, request), 9))


async def test_an_answer_that_may_be_asked_for_again_is_kept(forgetful: World) -> None:
    world = forgetful
    first = await post(world, headers={"idempotency-key": "order-1"})
    request = RequestId(first.headers["x-request-id"])

    assert 1 == len(await world.keys.of(OfRequest(TENANT, request), 9))


async def test_two_at_once_are_one_request(world: World) -> None:
    key = world.key()
    ids = await asyncio.gather(
        *(
            post(world, key=key, headers={"idempotency-key": "order-1"})
            for _ in range(20)
        )
    )

    assert {200} == {each.status_code for each in ids}
    assert 1 == len({each.headers["x-request-id"] for each in ids})
    assert 1 == len({event.attributes.id for event in world.pipeline.accepted})


async def test_an_open_request_is_published_again_on_its_own_terms(
    world: World,
) -> None:
    key = world.key()
    retry = {"idempotency-key": "order-1"}
    world.pipeline.away = True
    await post(world, key=key, headers=retry)
    world.pipeline.away = False
    world.clock.elapsed += timedelta(seconds=60)

    answer = await post(world, key=key, headers=retry)

    (event,) = world.pipeline.accepted
    assert ANSWER == answer.content
    assert timedelta(seconds=60) == event.data.terms.deadline - event.attributes.time


async def test_a_retry_by_another_gateway_is_answered_there(world: World) -> None:
    """Its reply goes to whoever waits now; it is the same request otherwise."""
    key, retry = world.key(), {"idempotency-key": "order-1"}
    world.pipeline.away = True
    await post(world, key=key, headers=retry)
    world.pipeline.away = False
    waits = asyncio.Event()
    world.pipeline.ending = lambda *_: waits.set()
    first = asyncio.create_task(post(world, key=key, headers=retry))
    await waits.wait()
    (event,) = world.pipeline.accepted
    terms, principal = await world.tenants.terms(TENANT, "live"), world.principal()
    made = draft(dumped(), Dialect.OPENAI_CHAT, principal, terms)
    assert isinstance(made, Draft)
    asked = Asked(
        principal=principal,
        draft=made,
        terms=terms,
        request_id=RequestId(event.attributes.subject),
        origin=None,
    )
    again = await world.acceptance("/sluice/gateway", PARTITION + 1).accept(asked)
    first.cancel()
    await asyncio.wait([first])

    assert isinstance(again, Accepted)
    known = again.outgoing.event
    assert event.attributes.id == known.attributes.id
    assert event.data.terms.model_copy(update={"reply_partition": PARTITION + 1}) == (
        known.data.terms
    )


async def test_past_its_deadline_an_open_request_is_not_published_again(
    world: World,
) -> None:
    key = world.key()
    retry = {"idempotency-key": "order-1"}
    world.pipeline.away = True
    await post(world, key=key, headers=retry)
    world.pipeline.away = False
    world.clock.elapsed += timedelta(seconds=121)

    answer = await post(world, key=key, headers=retry)

    assert 504 == answer.status_code
    assert [] == world.pipeline.accepted


async def test_the_same_key_for_another_body_is_refused(world: World) -> None:
    key = world.key()
    retry = {"idempotency-key": "order-1"}

    await post(world, key=key, headers=retry)
    other = await post(world, dumped(temperature=0.5), key=key, headers=retry)

    assert (400, "idempotency_key_reused") == (other.status_code, error(other)["code"])


async def test_a_key_of_another_credential_is_another_request(world: World) -> None:
    retry = {"idempotency-key": "order-1"}

    first = await post(world, key=world.key(actor="key:1"), headers=retry)
    other = await post(world, key=world.key(actor="key:2"), headers=retry)

    assert first.headers["x-request-id"] != other.headers["x-request-id"]


async def test_a_retry_of_what_was_forgotten_says_so(world: World) -> None:
    key = world.key()
    retry = {"idempotency-key": "order-1"}
    first = await post(world, key=key, headers=retry)
    request = RequestId(first.headers["x-request-id"])
    await erase(world.keys, OfRequest(TENANT, request))

    again = await post(world, key=key, headers=retry)

    assert (410, "content_destroyed") == (again.status_code, error(again)["code"])
    assert "false" == again.headers["x-should-retry"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "\x7f"])
async def test_a_key_that_is_none_is_refused(world: World, bad: str) -> None:
    answer = await post(world, headers={"idempotency-key": bad})

    assert (400, "Idempotency-Key") == (answer.status_code, error(answer)["param"])


async def test_two_keys_for_one_request_are_none(world: World) -> None:
    twice = [("idempotency-key", "order-1"), ("idempotency-key", "order-2")]
    bearer = {"authorization": f"Bearer {world.key()}"}
    async with world.client(**bearer, **JSON) as client:
        answer = await client.post(PATH, content=dumped(), headers=twice)

    assert (400, "Idempotency-Key") == (answer.status_code, error(answer)["param"])
    assert [] == world.pipeline.accepted


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "Application/JSON; charset=utf-8"},
        {"content-encoding": "Identity"},
    ],
)
async def test_a_kind_of_body_is_known_by_its_name(
    world: World, headers: dict[str, str]
) -> None:
    """Names of media types and codings have no case (RFC 9110, 8.3.1 and 8.4.1)."""
    assert 200 == (await post(world, headers=headers)).status_code


async def test_a_person_can_be_forgotten_by_what_the_body_calls_them(
    world: World,
) -> None:
    await post(world, dumped(user="u-1", safety_identifier="s-1"))
    (event,) = world.pipeline.accepted
    stored = world.keys._keys[TENANT, KeyId(event.data.terms.key_id)]

    assert stored.subject is not None
    assert b"s-1" not in stored.subject


async def test_a_tenant_that_has_ended_gets_nothing_accepted(world: World) -> None:
    await world.keys.terminate(TENANT)

    answer = await post(world)
    with_person = await post(world, dumped(user="u-1"))

    assert (403, 403) == (answer.status_code, with_person.status_code)
    assert [] == world.pipeline.accepted


async def test_capability_and_routes_are_the_credentials(world: World) -> None:
    forbidden = await post(world, key=world.key(capabilities=[READ]))
    elsewhere = await post(world, key=world.key(routes=["other"]))

    assert (403, 404) == (forbidden.status_code, elsewhere.status_code)


async def test_the_waiting_gateway_opens_what_others_forgot(world: World) -> None:
    """The key of a transient request may be gone before its caller was answered."""
    ending = world.pipeline.ending

    def forgetful(data: RequestAccepted, key: Any) -> Any:
        finished = ending(data, key)
        name = KeyRef(TENANT, key.request_id, KeyId(data.terms.key_id))
        world.keys._keys.pop((TENANT, name.key_id))
        return finished

    world.pipeline.ending = forgetful

    assert ANSWER == (await post(world)).content


async def test_unknown_fields_pass_through(world: World) -> None:
    await post(world, dumped(a_field_of_tomorrow={"deep": [1]}))
    (event,) = world.pipeline.accepted
    key = await opened(world.keys, event)
    body = json.loads(CONTENTS.open(key, Purpose.REQUEST, event.data.content))

    assert {"deep": [1]} == body["a_field_of_tomorrow"]


async def test_a_crowd_shares_its_round_trips(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = []

    async def counted(keys: MemoryKeys, new: Sequence[NewKey]) -> Sequence[bool]:
        trips.append(len(new))
        return await create(keys, new)

    create = MemoryKeys.create
    monkeypatch.setattr(MemoryKeys, "create", counted)
    key = world.key()
    await asyncio.gather(*(post(world, key=key) for _ in range(50)))

    assert 50 == sum(trips)
    assert 10 > len(trips)
