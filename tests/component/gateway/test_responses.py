"""``/v1/responses`` on twins: what a row, a key and a claim say of a response."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from openai.types.responses import Response

from pipeline.admission import READ, SEND
from pipeline.dialects.openai_responses import SPEAKER, request_of
from pipeline.ports.keys import OfRequest
from pipeline.ports.requests import Done
from pipeline.provider import load
from pipeline.reasons import Reason
from pipeline.sealing import DataKey, Purpose
from schemas.ids import RequestId
from schemas.policies import PolicyDocument
from schemas.requests import (
    Decision,
    Outcome,
    RequestAccepted,
    RequestFinished,
    SealedContent,
)
from schemas.topics import AUDIT_RECORDED, REQUESTS_FINISHED, RETENTION_DUE
from tests.support.audit import OTHER, TENANT
from tests.support.gateway import (
    CONTENTS,
    ROUTES,
    World,
    dumped,
    not_completed,
    opened,
)
from tests.support.keystore import erase

PATH = "/v1/responses"
LEASE = timedelta(seconds=15)
BODY: Mapping[str, Any] = {"model": "echo", "input": "hello", "background": True}
JSON = {"content-type": "application/json"}
NEVER = "resp_018f3c1a7c0070008000000000000001"


@pytest.fixture
async def world(world: World) -> World:
    """The pipeline ends nothing until a test says so."""
    world.pipeline.ending = lambda *_: None
    return world


def responded(data: RequestAccepted, key: DataKey) -> RequestFinished:
    provided = {"status": "completed", "output": [], "id": "resp_of_the_provider"}
    answer = SPEAKER.answered({**BODY}, provided, key.request_id)
    return RequestFinished(
        terms=data.terms,
        outcome=Outcome.COMPLETED,
        answer=CONTENTS.seal(key, Purpose.COMPLETION, json.dumps(answer).encode()),
        decisions=(),
        guards_ran=data.terms.guards_required,
    )


async def call(
    world: World,
    method: str,
    path: str = "",
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    **body: Any,
) -> httpx2.Response:
    bearer = {"authorization": f"Bearer {key or world.key()}"}
    async with world.client(**bearer, **JSON) as client:
        content = json.dumps(body).encode() if body else None
        return await client.request(
            method, PATH + path, content=content, headers=headers
        )


async def create(world: World, **more: Any) -> dict[str, Any]:
    answer = await call(world, "POST", **{**BODY, **more})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def get(world: World, created: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await call(world, "GET", f"/{created['id']}")).json()
    return found


async def cancel(world: World, created: Mapping[str, Any]) -> httpx2.Response:
    return await call(world, "POST", f"/{created['id']}/cancel")


def request_id(created: Mapping[str, Any]) -> RequestId:
    found = request_of(created["id"])
    assert found is not None
    return found


async def end(world: World, ending: Any = responded) -> None:
    world.pipeline.ending = ending
    await world.pipeline.end(world.pipeline.accepted[-1])


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_it_is_queued_until_the_provider_is_asked(world: World) -> None:
    created = await create(world)
    queued = await get(world, created)
    await world.calls.take(TENANT, request_id(created), LEASE)

    running = await get(world, created)

    assert created == queued
    assert ("queued", "in_progress") == (queued["status"], running["status"])
    assert ("response", True, "echo", []) == (
        queued["object"], queued["background"], queued["model"], queued["output"],
    )  # fmt: skip
    Response.model_validate(queued, strict=True)


async def test_nobody_waits_so_nobody_is_told_and_the_answer_is_kept(
    world: World,
) -> None:
    """A policy that keeps nothing keeps what nobody has read yet for a day."""
    world.tenants.put(TENANT, "live", ROUTES, PolicyDocument(version=2))
    created = await create(world)
    (event,) = world.pipeline.accepted
    await end(world)

    first, again = await get(world, created), await get(world, created)

    assert event.data.terms.reply_partition is None
    assert "1d" == event.data.terms.retention.retention_class
    assert "completed" == first["status"]
    assert first == again


async def test_the_answer_bears_our_times(world: World) -> None:
    created = await create(world)
    world.clock.elapsed += timedelta(seconds=7)
    await end(world)

    found = await get(world, created)

    assert created["created_at"] == found["created_at"]
    assert 7 == found["completed_at"] - found["created_at"]


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (Outcome.BLOCKED, "security.prompt_injection.direct", "invalid_prompt"),
        (Outcome.FAILED, Reason.UPSTREAM_BUSY, "rate_limit_exceeded"),
        (Outcome.FAILED, Reason.UPSTREAM_RATE_LIMITED, "rate_limit_exceeded"),
        (Outcome.FAILED, Reason.DEADLINE_EXCEEDED, "server_error"),
        (Outcome.FAILED, "a_reason_of_tomorrow", "server_error"),
    ],
)
async def test_what_was_not_answered_has_failed_in_a_word_of_the_sdk(
    world: World, outcome: Outcome, reason: str, expected: str
) -> None:
    created = await create(world)
    await end(world, not_completed(outcome, reason))

    found = await get(world, created)

    assert ("failed", expected, reason) == (
        found["status"],
        found["error"]["code"],
        found["error"]["reason"],
    )
    Response.model_validate(found, strict=True)


async def test_an_answer_that_was_withheld_is_incomplete(world: World) -> None:
    said = Decision(stage="screening", control="output", verdict="blocked")

    def ending(data: RequestAccepted, key: DataKey) -> RequestFinished | None:
        end = not_completed(Outcome.BLOCKED, "security.output.exfiltration")(data, key)
        return end and end.model_copy(update={"decisions": (said,)})

    created = await create(world)
    await end(world, ending)

    found = await get(world, created)

    assert ("incomplete", None, {"reason": "content_filter"}) == (
        found["status"],
        found["error"],
        found["incomplete_details"],
    )
    Response.model_validate(found, strict=True)


async def test_to_cancel_ends_it_once_and_calls_the_provider_off(world: World) -> None:
    created = await create(world)

    first, again = await cancel(world, created), await cancel(world, created)

    assert "cancelled" == first.json()["status"]
    assert first.json() == again.json() == await get(world, created)
    assert first.json()["error"] is None
    (told,) = world.log.records(REQUESTS_FINISHED.name)
    assert Outcome.CANCELLED == json.loads(told.value or b"")["outcome"]
    key = await opened(world.keys, world.pipeline.accepted[0])
    taken = await world.calls.take(TENANT, request_id(created), LEASE)
    assert isinstance(taken, Done)
    sealed = SealedContent.model_validate_json(taken.result)
    result = load(CONTENTS.open(key, Purpose.PROVIDER_RESULT, sealed))
    assert (None, Reason.CANCELLED) == (result.answer, result.reason)


async def test_an_end_that_came_first_is_what_a_cancel_tells(world: World) -> None:
    created = await create(world)
    await end(world)

    answer = await cancel(world, created)

    assert "completed" == answer.json()["status"]
    assert [] == world.log.records(REQUESTS_FINISHED.name)


async def test_an_end_that_comes_while_it_is_cancelled_stands(world: World) -> None:
    """The other end is written between our look and our own end."""
    created = await create(world)
    publish = world.pipeline.publish

    async def overtaken(outgoing: Any) -> None:
        await publish(outgoing)
        await end(world)

    world.pipeline.publish = overtaken  # type: ignore[method-assign]

    answer = await cancel(world, created)

    assert "completed" == answer.json()["status"]
    assert not await world.calls.begun(TENANT, request_id(created))


async def test_an_end_that_comes_later_is_not_told(world: World) -> None:
    created = await create(world)
    await cancel(world, created)
    await end(world)

    assert "cancelled" == (await get(world, created))["status"]


async def test_a_cancel_that_is_not_acknowledged_ends_nothing(world: World) -> None:
    created = await create(world)
    world.pipeline.away = True
    refused = await cancel(world, created)

    assert (503, "not_ready") == code(refused)
    assert "queued" == (await get(world, created))["status"]


async def test_many_cancels_at_once_are_one(world: World) -> None:
    created = await create(world)

    answers = await asyncio.gather(*(cancel(world, created) for _ in range(10)))

    ids = {dict(r.headers)["ce_id"] for r in world.log.records(REQUESTS_FINISHED.name)}
    assert ["cancelled"] * 10 == [each.json()["status"] for each in answers]
    assert 1 == len(ids)


async def test_a_synchronous_one_is_answered_and_not_cancelled(world: World) -> None:
    world.pipeline.ending = responded
    answer = await call(world, "POST", model="echo", input="hello")

    cancelled = await cancel(world, {"id": _named(world)})

    assert (200, "completed") == (answer.status_code, answer.json()["status"])
    assert answer.json()["completed_at"] is not None
    assert (400, "not_in_background") == code(cancelled)


def _named(world: World) -> str:
    subject = world.pipeline.accepted[-1].attributes.subject
    return "resp_" + subject.replace("-", "")


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (Outcome.BLOCKED, "security.prompt_injection", (400, "content_filter")),
        (Outcome.FAILED, Reason.UPSTREAM_TIMEOUT, (504, "upstream_timeout")),
    ],
)
async def test_a_synchronous_one_without_an_answer_is_an_error(
    world: World, outcome: Outcome, reason: str, expected: tuple[int, str]
) -> None:
    world.pipeline.ending = not_completed(outcome, reason)

    answer = await call(world, "POST", model="echo", input="hello")

    assert expected == code(answer)


async def test_a_retry_tells_how_the_first_one_stands(world: World) -> None:
    key, retry = world.key(), {"idempotency-key": "order-1"}

    async def again(**more: Any) -> httpx2.Response:
        return await call(world, "POST", key=key, headers=retry, **{**BODY, **more})

    first, second = await again(), await again()
    await end(world)
    ended, other = await again(), await again(temperature=0.5)

    assert 1 == len({each.json()["id"] for each in (first, second, ended)})
    assert ("queued", "completed") == (second.json()["status"], ended.json()["status"])
    assert 1 == len({event.attributes.id for event in world.pipeline.accepted})
    assert (400, "idempotency_key_reused") == code(other)


async def test_a_retry_in_another_dialect_is_another_request(world: World) -> None:
    key, retry = world.key(), {"idempotency-key": "order-1"}
    both = json.loads(dumped(input="hello"))
    headers = {"authorization": f"Bearer {key}", **JSON, **retry}
    async with world.client(**headers) as client:
        world.pipeline.ending = responded
        first = await client.post("/v1/chat/completions", json=both)
        del both["messages"]
        other = await client.post(PATH, json=both)

    assert 200 == first.status_code
    assert (400, "idempotency_key_reused") == code(other)


async def test_without_an_acknowledgement_it_was_not_created(world: World) -> None:
    world.pipeline.away = True

    answer = await call(world, "POST", **BODY)

    assert (503, "not_ready") == code(answer)


async def test_what_nobody_may_see_is_not_there(world: World) -> None:
    created = await create(world)
    path = f"/{created['id']}"
    strangers = (
        world.key(tenant=OTHER),
        world.key(environment="test"),
    )
    for key in strangers:
        for method, where in (("GET", path), ("POST", path + "/cancel")):
            assert (404, "not_found") == code(await call(world, method, where, key=key))
        assert (404, "not_found") == code(await call(world, "DELETE", path, key=key))
    assert (404, "not_found") == code(await call(world, "GET", f"/{NEVER}"))
    assert "queued" == (await get(world, created))["status"]


async def test_a_chat_completion_is_no_response(world: World) -> None:
    headers = {"authorization": f"Bearer {world.key()}", **JSON}
    world.pipeline.ending = responded
    async with world.client(**headers) as client:
        await client.post("/v1/chat/completions", content=dumped())

    answer = await call(world, "GET", f"/{_named(world)}")

    assert (404, "not_found") == code(answer)


async def test_each_needs_its_capability(world: World) -> None:
    created = await create(world)
    path = f"/{created['id']}"
    reader, sender = (world.key(capabilities=[each]) for each in (READ, SEND))

    found = [
        await call(world, "GET", path, key=sender),
        await call(world, "POST", path + "/cancel", key=reader),
        await call(world, "DELETE", path, key=reader),
        await call(world, "POST", key=reader, **BODY),
    ]

    assert [403] * 4 == [each.status_code for each in found]


@pytest.mark.parametrize("ending", [responded, not_completed(Outcome.FAILED, "poison")])
async def test_with_its_key_it_is_gone(world: World, ending: Any) -> None:
    created = await create(world)
    await end(world, ending)
    await erase(world.keys, OfRequest(TENANT, request_id(created)))

    for method, where in (("GET", ""), ("POST", "/cancel"), ("DELETE", "")):
        answer = await call(world, method, f"/{created['id']}{where}")

        assert (410, "content_destroyed") == code(answer)


async def test_to_delete_orders_an_erasure_and_waits_for_it(world: World) -> None:
    created = await create(world)
    await end(world)
    publish = world.pipeline.publish

    async def carried_out(outgoing: Any) -> None:
        await publish(outgoing)
        await erase(world.keys, OfRequest(TENANT, request_id(created)))

    world.pipeline.publish = carried_out  # type: ignore[method-assign]

    answer = await call(world, "DELETE", f"/{created['id']}")

    assert {"id": created["id"], "object": "response", "deleted": True} == answer.json()
    (order,) = world.log.records(RETENTION_DUE.name)
    ordered = json.loads(order.value or b"")
    assert ("key:1", "request", request_id(created)) == (
        ordered["actor"],
        ordered["scope"],
        ordered["ref"],
    )
    (told,) = world.log.records(AUDIT_RECORDED.name)
    assert "erasure.ordered" == json.loads(told.value or b"")["action"]


async def test_an_erasure_that_takes_long_is_not_claimed(world: World) -> None:
    created = await create(world)
    await end(world)

    answer = await call(world, "DELETE", f"/{created['id']}")

    assert (503, "not_ready") == code(answer)


async def test_what_has_not_ended_is_not_deleted(world: World) -> None:
    created = await create(world)

    answer = await call(world, "DELETE", f"/{created['id']}")

    assert (409, "still_open") == code(answer)
    assert "false" == answer.headers["x-should-retry"]
    assert [] == world.log.records(RETENTION_DUE.name)


async def test_a_stream_of_one_is_refused(world: World) -> None:
    created = await create(world)

    answer = await call(world, "GET", f"/{created['id']}?stream=true")

    assert (400, "unsupported_value") == code(answer)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("previous_response_id", NEVER, "unsupported_parameter"),
        ("stream", True, "unsupported_value"),
        ("input", 7, "invalid_request"),
        ("background", "yes", "invalid_request"),
    ],
)
async def test_a_refusal_names_the_field_and_never_what_was_sent(
    world: World, field: str, value: Any, expected: str
) -> None:
    answer = await call(world, "POST", **{**BODY, field: value})

    error = answer.json()["error"]
    assert (400, expected) == code(answer)
    assert field == error["param"]
    assert NEVER not in answer.text
    assert [] == world.pipeline.accepted


async def test_a_requests_story_has_the_answer_that_its_caller_got(
    world: World,
) -> None:
    created = await create(world)
    await end(world)
    told = await get(world, created)
    bearer = {"authorization": f"Bearer {world.key()}"}
    async with world.client(**bearer) as client:
        story = (await client.get(f"/v1/requests/{request_id(created)}")).json()

    assert Response.model_validate(story["answer"]).created_at == created["created_at"]
    assert told == story["answer"]
