"""Webhook endpoints over HTTP: the credential's own, their secrets shown once."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from typing_extensions import override

from pipeline.admission import SEND
from pipeline.webhooks import Attempt
from producers.gateway.endpoints import MAX_BODY_BYTES, TESTS_AT_ONCE
from schemas.ids import TenantId
from schemas.webhooks import Kind
from tests.support.audit import OTHER, TENANT
from tests.support.gateway import World
from tests.support.webhooks import URL, HeldSender

PATH = "/v1/webhook_endpoints"
NEW = {"name": "hooks", "url": URL, "event_types": ["response.completed"]}


@pytest.fixture
async def client(world: World) -> httpx2.AsyncClient:
    return world.client(authorization=f"Bearer {world.key()}")


async def created(client: httpx2.AsyncClient, **changed: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={**NEW, **changed})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_secret_is_shown_once(client: httpx2.AsyncClient) -> None:
    made = await created(client)
    again = (await client.get(f"{PATH}/{made['id']}")).json()
    (listed,) = (await client.get(PATH)).json()["data"]

    secret = made.pop("signing_secret")
    assert 32 == len(b64decode(secret.removeprefix("whsec_"), validate=True))
    assert made["signing_secret_hint"] == secret[-4:]
    assert made == again == listed
    assert ("webhook_endpoint", URL) == (made["object"], made["url"])


async def test_what_is_kept_is_sealed(world: World, client: httpx2.AsyncClient) -> None:
    made = await created(client, url=URL + "?token=hunter2")
    kept = repr(world.webhooks)

    assert "hunter2" not in kept
    assert made["signing_secret"] not in kept


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"url": "https://hooks.example.com/moved?to=here"},
        {"event_types": ["request.failed", "request.blocked"]},
    ],
    ids="|".join,
)
async def test_a_change_leaves_the_rest(
    client: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    made = await created(client)
    answer = await client.post(f"{PATH}/{made['id']}", json=change)
    again = await client.get(f"{PATH}/{made['id']}")

    del made["signing_secret"]
    assert answer.json() == again.json()
    assert {**made, **change} == {
        **answer.json(), "updated_at": made["updated_at"],
    }  # fmt: skip


async def test_what_was_deleted_is_gone(client: httpx2.AsyncClient) -> None:
    made = await created(client)
    answer = await client.delete(f"{PATH}/{made['id']}")

    assert {
        "object": "webhook_endpoint.deleted", "id": made["id"], "deleted": True,
    } == answer.json()  # fmt: skip
    assert (404, "not-found") == code(await client.get(f"{PATH}/{made['id']}"))
    assert (404, "not-found") == code(await client.delete(f"{PATH}/{made['id']}"))


async def test_a_rotation_shows_the_new_secret(client: httpx2.AsyncClient) -> None:
    made = await created(client)
    path = f"{PATH}/{made['id']}/rotate_secret"
    kept = await client.post(path, json={"keep_old_secret_active_for_24_hours": True})
    bare = await client.post(path)

    secrets = {each["signing_secret"] for each in (made, kept.json(), bare.json())}
    assert 3 == len(secrets)
    assert bare.json()["signing_secret_hint"] == bare.json()["signing_secret"][-4:]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_rotation_says_what_its_body_is_or_has_none(
    world: World, client: httpx2.AsyncClient, *, chunked: bool
) -> None:
    """Taken for none, it would end the old secret at once, against its own words."""
    made = await created(client)
    raw = b'{"keep_old_secret_active_for_24_hours": true}'

    async def pieces() -> AsyncIterator[bytes]:
        yield raw

    content = pieces() if chunked else raw
    answer = await client.post(f"{PATH}/{made['id']}/rotate_secret", content=content)

    assert (415, "unsupported-media-type") == code(answer)
    (place,) = world.webhooks._places.values()
    assert 1 == len(place.secrets)


@pytest.mark.parametrize("keep", [True, False])
async def test_an_old_secret_signs_a_day_longer_or_not_at_all(
    world: World, client: httpx2.AsyncClient, *, keep: bool
) -> None:
    made = await created(client)
    asked = {"keep_old_secret_active_for_24_hours": keep}
    await client.post(f"{PATH}/{made['id']}/rotate_secret", json=asked)
    (place,) = world.webhooks._places.values()
    _, *old = [each.not_after for each in place.secrets]

    assert ([world.clock.now() + timedelta(days=1)] if keep else []) == old


async def test_a_test_is_one_signed_attempt(
    world: World, client: httpx2.AsyncClient
) -> None:
    made = await created(client)
    world.sender.answers = [Attempt(status=418)]
    answer = await client.post(
        f"{PATH}/{made['id']}/test", json={"event_type": "response.failed"}
    )

    ((url, headers, raw),) = world.sender.sent
    assert {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": made["id"],
        "event_type": "response.failed",
        "status_code": 418,
        "success": True,
    } == answer.json()
    assert (URL, "response.failed") == (url, json.loads(raw)["type"])
    assert headers["webhook-signature"].startswith("v1,")


async def test_a_test_that_nobody_answered_says_how_it_failed(
    world: World, client: httpx2.AsyncClient
) -> None:
    made = await created(client)
    world.sender.answers = [Attempt(status=None, error="timeout")]
    answer = await client.post(
        f"{PATH}/{made['id']}/test", json={"event_type": "response.failed"}
    )

    assert (422, "webhook-test-failed") == code(answer)
    assert ["endpoint: timeout"] == answer.json()["errors"]


@dataclass
class Hanging(HeldSender):
    """Answers nobody until it is let go."""

    began: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        self.began.release()
        await self.let_go.wait()
        return await super().send(url, headers, body)


async def test_tests_that_hang_are_so_many_and_leave_room_for_others(
    world: World,
) -> None:
    """Each costs a connection of ours for as long as the endpoint likes."""
    world.sender = sender = Hanging()
    client, hanging, paths = world.client(), [], {}
    keys = {
        each: {"authorization": f"Bearer {world.key(tenant=each)}"}
        for each in (TENANT, OTHER)
    }
    for tenant, key in keys.items():
        made = (await client.post(PATH, json=NEW, headers=key)).json()
        paths[tenant] = f"{PATH}/{made['id']}/test"

    async def hangs(tenant: TenantId) -> bool:
        asked = {"event_type": "response.failed"}
        asking = client.post(paths[tenant], json=asked, headers=keys[tenant])
        answer = asyncio.ensure_future(asking)
        begun = asyncio.ensure_future(sender.began.acquire())
        await asyncio.wait({answer, begun}, return_when=asyncio.FIRST_COMPLETED)
        hanging.append(answer)
        return begun.done() or not begun.cancel()

    while len(hanging) <= TESTS_AT_ONCE and await hangs(TENANT):
        pass
    other = await hangs(OTHER)
    sender.let_go.set()
    *mine, refused, others = await asyncio.gather(*hanging)

    assert (503, "overloaded") == code(refused)
    assert 3 * TESTS_AT_ONCE // 4 == len(mine)
    assert {200} == {each.status_code for each in (*mine, others)}
    assert other


async def test_pages_are_newest_first(world: World, client: httpx2.AsyncClient) -> None:
    names: list[str] = []
    for each in range(5):
        world.clock.elapsed += timedelta(seconds=1)
        names.insert(0, (await created(client, name=f"n{each}"))["id"])
    first = (await client.get(PATH, params={"limit": 2})).json()
    rest = (await client.get(PATH, params={"after": first["last_id"]})).json()

    assert names[:2] == [each["id"] for each in first["data"]]
    assert names[2:] == [each["id"] for each in rest["data"]]
    assert (True, False) == (first["has_more"], rest["has_more"])
    assert (names[0], names[1]) == (first["first_id"], first["last_id"])


async def test_whoever_deletes_what_a_page_shows_sees_the_pages_behind_it(
    client: httpx2.AsyncClient,
) -> None:
    """As ``for each in client.webhooks.list(): client.webhooks.delete(each.id)``."""
    for _ in range(5):
        await created(client)
    after, pages = dict[str, str](), list[int]()
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        page = (await client.get(PATH, params={"limit": 2, **after})).json()
        for each in page["data"]:
            await client.delete(f"{PATH}/{each['id']}")
        after = {"after": page["last_id"]}
        pages.append(len(page["data"]))

    assert [2, 2, 1] == pages
    assert [] == (await client.get(PATH)).json()["data"]


@pytest.mark.parametrize(
    "after", ["", "x", "00000000-0000-7000-8000-000000000000", "zzzzzzzz"]
)
async def test_behind_what_is_no_endpoint_s_id_or_the_oldest_there_is_nothing(
    client: httpx2.AsyncClient, after: str
) -> None:
    await created(client)
    page = await client.get(PATH, params={"after": after})

    assert (200, []) == (page.status_code, page.json()["data"])


@pytest.mark.parametrize(
    "limit",
    [
        "0",
        "101",
        "0101",
        "00011",
        "-1",
        "many",
        "\u0663",
        "9" * 99,
        "0001" + "9" * 5_000,
    ],
)
async def test_a_page_has_a_size(client: httpx2.AsyncClient, limit: str) -> None:
    assert (422, "invalid-request") == code(
        await client.get(PATH, params={"limit": limit})
    )


@pytest.mark.parametrize(("limit", "more"), [("1", True), ("2", False), ("100", False)])
async def test_the_least_and_the_most_that_a_page_may_have(
    client: httpx2.AsyncClient, limit: str, *, more: bool
) -> None:
    for _ in range(2):
        await created(client)
    page = await client.get(PATH, params={"limit": limit})

    assert (200, more) == (page.status_code, page.json()["has_more"])
    assert (1 if more else 2) == len(page.json()["data"])


async def test_event_types_are_listed(client: httpx2.AsyncClient) -> None:
    found = (await client.get("/v1/webhook_event_types")).json()

    assert {"object": "list", "data": [*Kind]} == found


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"url": 7}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["batch.completed"]}, "event_types.0"),
        ({"more": 1}, "more"),
        ({"https://h.example/?token=hunter2": 1}, "body"),
        ({"hunter2" * 10: 1}, "body"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx2.AsyncClient, wrong: dict[str, Any], where: str
) -> None:
    made = await created(client)
    new = await client.post(PATH, json={**NEW, **wrong})
    changed = await client.post(f"{PATH}/{made['id']}", json=wrong)

    for answer in (new, changed):
        assert (422, "invalid-request") == code(answer)
        assert where == answer.json()["errors"][0].split(":")[0]
        assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("types", "places"),
    [
        (["batch.completed"], ["event_types.0"]),
        (["request.failed", "batch.completed"], ["event_types.1"]),
        ([], ["event_types"]),
    ],
)
async def test_a_list_with_a_wrong_member_is_not_called_too_short(
    client: httpx2.AsyncClient, types: list[str], places: list[str]
) -> None:
    answer = await client.post(PATH, json={**NEW, "event_types": types})

    told = [each.split(":")[0] for each in answer.json()["errors"]]
    assert (422, "invalid-request") == code(answer)
    assert places == told


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null", b'"hunter2"'])
async def test_a_body_that_is_none_is_refused(
    client: httpx2.AsyncClient, raw: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post(PATH, content=raw, headers=headers)

    assert (422, "invalid-request") == code(answer)
    assert "hunter2" not in answer.text
    assert all(told.partition(":")[0] for told in answer.json()["errors"])


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/in",
        "https://127.0.0.1/in",
        "https://localhost/in",
        "https://user:pass@hooks.example.com/in",
        "https://hooks.example.com:22/in",
        "https://hooks.example.com/in#fragment",
        "https://metadata.google.internal/",
    ],
)
async def test_an_inside_place_is_refused_when_it_is_named(
    world: World, client: httpx2.AsyncClient, url: str
) -> None:
    refused = await client.post(PATH, json={**NEW, "url": url})
    made = await created(client)
    moved = await client.post(f"{PATH}/{made['id']}", json={"url": url})

    for answer in (refused, moved):
        assert (422, "webhook-target-forbidden") == code(answer)
        assert url not in answer.text


async def test_a_name_that_leads_inside_is_refused(
    world: World, client: httpx2.AsyncClient
) -> None:
    world.sender.public = False

    assert (422, "webhook-target-forbidden") == code(await client.post(PATH, json=NEW))


@pytest.mark.parametrize("action", ["", "/test", "/rotate_secret"])
async def test_another_tenants_endpoint_is_nowhere(
    world: World, client: httpx2.AsyncClient, action: str
) -> None:
    made = await created(client)
    stranger = world.client(authorization=f"Bearer {world.key(tenant=OTHER)}")
    body = {"event_type": "response.failed"} if action == "/test" else {}
    answers = [await stranger.post(f"{PATH}/{made['id']}{action}", json=body)]
    if not action:
        answers.append(await stranger.get(f"{PATH}/{made['id']}"))
        answers.append(await stranger.delete(f"{PATH}/{made['id']}"))

    assert {(404, "not-found")} == {code(each) for each in answers}
    assert [] == (await stranger.get(PATH)).json()["data"]


@pytest.mark.parametrize(
    "way", ["GET ", "GET /{}", "POST /{}", "POST /{}/test", "POST /{}/rotate_secret"]
)
async def test_an_ended_tenants_credential_allows_nothing(
    world: World, client: httpx2.AsyncClient, way: str
) -> None:
    made = await created(client)
    await world.keys.terminate(TENANT)
    method, _, below = way.format(made["id"]).partition(" ")
    asked = {"event_type": "response.failed"} if below.endswith("test") else {}
    body = None if method == "GET" else asked
    answer = await client.request(method, PATH + below, json=body)

    assert (403, "forbidden") == code(answer)


@pytest.mark.parametrize("name", ["x", "%00", "0" * 36, "../../etc"])
@pytest.mark.parametrize(
    "way", ["GET ", "POST ", "DELETE ", "POST /test", "POST /rotate_secret"]
)
async def test_a_name_that_is_none_is_nowhere(
    client: httpx2.AsyncClient, name: str, way: str
) -> None:
    method, action = way.split(" ")
    given = {"event_type": "response.failed"} if action == "/test" else {}
    body = given if method == "POST" else None
    answer = await client.request(method, f"{PATH}/{name}{action}", json=body)

    assert 404 == answer.status_code


async def test_it_needs_a_credential_that_may(world: World) -> None:
    key = world.key(capabilities=frozenset({SEND}))
    stranger, weak = world.client(), world.client(authorization=f"Bearer {key}")

    types = "/v1/webhook_event_types"
    ways = [("GET", PATH), ("POST", PATH), ("GET", f"{PATH}/x"), ("GET", types)]
    for method, path in ways:
        assert 401 == (await stranger.request(method, path)).status_code
        assert 403 == (await weak.request(method, path)).status_code


async def test_a_tenant_has_only_so_many(client: httpx2.AsyncClient) -> None:
    for _ in range(50):
        await created(client)

    assert (409, "too-many-webhook-endpoints") == code(
        await client.post(PATH, json=NEW)
    )


async def test_a_change_is_recorded(world: World, client: httpx2.AsyncClient) -> None:
    made = await created(client)
    await client.post(f"{PATH}/{made['id']}", json={"name": "other"})
    await client.post(f"{PATH}/{made['id']}/rotate_secret")
    await client.delete(f"{PATH}/{made['id']}")

    acts = [act for by, act in world.webhooks.acts if by.tenant_id == TENANT]
    assert [
        f"endpoint.{each}" for each in ("created", "updated", "rotated", "deleted")
    ] == acts


async def test_how_large_a_body_may_be_is_told_as_it_is_here(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.post(PATH, json={**NEW, "name": "x" * MAX_BODY_BYTES})

    assert (413, "body-too-large") == code(answer)
    assert [f"body: expected at most {MAX_BODY_BYTES} bytes"] == answer.json()["errors"]
