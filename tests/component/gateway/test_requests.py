"""``GET /v1/requests/{id}`` on twins."""

import json
from dataclasses import replace

import httpx2

from pipeline.ports.keys import OfRequest
from schemas.ids import RequestId
from schemas.requests import Outcome
from tests.support.audit import OTHER, TENANT
from tests.support.gateway import ANSWER, CLIENT, World, dumped, not_completed
from tests.support.keystore import erase

NEVER = "018f3c1a-7c00-7000-8000-0000000000ff"


async def asked(world: World, key: str) -> str:
    """Send a request; its id."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    async with world.client(**headers) as client:
        answer = await client.post("/v1/chat/completions", content=dumped())
    return answer.headers["x-request-id"]


async def told(world: World, key: str, request: str) -> httpx2.Response:
    async with world.client(authorization=f"Bearer {key}") as client:
        return await client.get(f"/v1/requests/{request}")


async def test_a_completed_request_is_told_with_its_answer(world: World) -> None:
    key = world.key()
    found = (await told(world, key, await asked(world, key))).json()

    assert ("completed", None) == (found["state"], found["reason"])
    assert ("available", json.loads(ANSWER)) == (found["answer_state"], found["answer"])
    assert "echo" == found["model"]
    assert found["guards"]["required"] == found["guards"]["ran"]
    assert "2026-01-01T12:00:00Z" == found["accepted_at"] == found["finished_at"]
    assert {"retention_class": "7d", "day": "2026-01-01"} == found["retention"]


async def test_an_open_request_is_in_progress(world: World) -> None:
    key = world.key()
    world.pipeline.away = True
    headers = {"idempotency-key": "1", "content-type": "application/json"}
    async with world.client(authorization=f"Bearer {key}", **headers) as client:
        answer = await client.post("/v1/chat/completions", content=dumped())

    found = (await told(world, key, answer.headers["x-request-id"])).json()

    assert ("in_progress", "none") == (found["state"], found["answer_state"])
    assert found["finished_at"] is None


async def test_a_blocked_request_tells_its_reason(world: World) -> None:
    world.pipeline.ending = not_completed(Outcome.BLOCKED, "security.injection")
    key = world.key()

    found = (await told(world, key, await asked(world, key))).json()

    assert ("blocked", "security.injection") == (found["state"], found["reason"])
    assert ("none", None) == (found["answer_state"], found["answer"])


async def test_a_forgotten_answer_is_said_to_be_destroyed(world: World) -> None:
    key = world.key()
    request = await asked(world, key)
    await erase(world.keys, OfRequest(TENANT, RequestId(request)))

    found = (await told(world, key, request)).json()

    assert ("completed", "destroyed", None) == (
        found["state"],
        found["answer_state"],
        found["answer"],
    )


async def test_an_answer_that_was_taken_out_of_its_row_is_said_to_be_destroyed(
    world: World,
) -> None:
    key = world.key()
    request = await asked(world, key)
    name = TENANT, RequestId(request)
    row = world.requests.rows[name]
    assert row.finished is not None
    emptied = row.finished.model_copy(update={"answer": None})
    world.requests.rows[name] = replace(row, finished=emptied)

    found = (await told(world, key, request)).json()

    assert ("completed", "destroyed") == (found["state"], found["answer_state"])


async def test_anothers_request_and_none_at_all_are_the_same_bytes(
    world: World,
) -> None:
    key, other = world.key(), world.key(tenant=OTHER)
    test = world.key(environment="test")
    request = await asked(world, key)

    never = await told(world, other, NEVER)

    assert (404, "not-found") == (never.status_code, never.json()["code"])
    for answer in (
        await told(world, other, request),
        await told(world, test, request),
        await told(world, key, "no-uuid"),
        await told(world, key, "%00"),
    ):
        assert (404, never.content) == (answer.status_code, answer.content)
        assert set(never.headers) == set(answer.headers)


async def test_an_id_in_another_form_is_the_same_id(world: World) -> None:
    key = world.key()
    request = await asked(world, key)

    for form in (request.upper(), request.replace("-", "")):
        assert request == (await told(world, key, form)).json()["id"]


async def test_nobody_is_found_by_an_event_that_never_was(world: World) -> None:
    query = {"client_id": CLIENT, "event_id": "e-1"}
    async with world.client(authorization=f"Bearer {world.key()}") as client:
        answer = await client.get("/v1/requests", params=query)

    assert 404 == answer.status_code


async def test_a_look_up_needs_client_and_event(world: World) -> None:
    async with world.client(authorization=f"Bearer {world.key()}") as client:
        for query in ({}, {"client_id": CLIENT}, {"client_id": "a b", "event_id": "1"}):
            answer = await client.get("/v1/requests", params=query)

            assert (422, "invalid-request") == (
                answer.status_code,
                answer.json()["code"],
            )
