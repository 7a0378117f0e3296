"""Who may come in."""

from collections.abc import Mapping
from datetime import timedelta

import httpx2
import pytest
from typing_extensions import override

from infra.memory.tenants import MemoryCredentials
from pipeline.admission import API_AUDIENCE, INBOX_AUDIENCE, SEND
from pipeline.errors import RetryableError
from pipeline.ports.tenants import Principal
from pipeline.ports.tokens import Claims
from producers.auth import ADDRESSES, WRONG_A_MINUTE, Attempts
from tests.support.audit import TENANT
from tests.support.gateway import CLIENT, HeldClock, World

WRONG = "sluice_live_000000000000_0000000000000000000000000000000000000000000000000"
PATHS = ("/v1/requests/018f3c1a-7c00-7000-8000-0000000000ff", "/v1/chat/completions")


class Away(MemoryCredentials):
    """Postgres does not answer."""

    @override
    async def api_key(self, presented: str) -> Principal | None:
        raise RetryableError("away")


async def get(
    world: World, headers: Mapping[str, str], query: str = ""
) -> httpx2.Response:
    async with world.client() as client:
        return await client.get(PATHS[0] + query, headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def token(world: World, audience: str = API_AUDIENCE) -> str:
    now = world.clock.now()
    claims = Claims(
        tenant_id=TENANT,
        client_id=CLIENT,
        environment="live",
        audience=audience,
        scope=frozenset(),
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    return world.tokens.issue(claims)


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_credential_every_path_says_how_to_send_one(
    world: World, path: str
) -> None:
    async with world.client() as client:
        answer = await client.request("POST" if "chat" in path else "GET", path)

    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])


async def test_a_key_comes_in_by_either_header_and_by_both(world: World) -> None:
    key = world.key()
    for headers in (bearer(key), {"x-api-key": key}, {"x-api-key": key, **bearer(key)}):
        answer = await get(world, headers)

        assert 404 == answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        bearer(WRONG),
        bearer("sk-abcdef"),
        bearer("eyJhbGciOiJub25lIn0.e30."),
        bearer("x" * 16_000),
        httpx2.Headers([(b"x-api-key", "ключ".encode())]),
    ],
)
async def test_all_wrong_credentials_get_one_answer(
    world: World, headers: Mapping[str, str]
) -> None:
    answer = await get(world, headers)

    assert (401, "credential-invalid") == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["content-type"]


async def test_two_credentials_that_differ_are_none(world: World) -> None:
    answer = await get(world, {**bearer(world.key()), "x-api-key": world.key()})

    assert 401 == answer.status_code


async def test_a_credential_in_the_query_is_refused_beside_a_right_one(
    world: World,
) -> None:
    for query in ("?api_key=x", "?a=1&ACCESS_TOKEN=x", f"?q={WRONG}"):
        answer = await get(world, bearer(world.key()), query)

        assert (400, "credential-in-query") == (
            answer.status_code,
            answer.json()["code"],
        )


async def test_too_many_wrong_ones_are_slowed_and_right_ones_are_not(
    world: World,
) -> None:
    wrong = [(await get(world, bearer(WRONG))).status_code for _ in range(21)]
    right = (await get(world, bearer(world.key()))).status_code
    world.clock.elapsed += timedelta(seconds=60)
    later = (await get(world, bearer(WRONG))).status_code

    assert [401] * 20 + [429] == wrong
    assert (404, 401) == (right, later)


async def test_a_wrong_one_is_not_to_be_sent_again_after_a_minute(world: World) -> None:
    """An SDK would wait that long, twice, to be told that it is wrong."""
    *_, slowed = [await get(world, bearer(WRONG)) for _ in range(21)]

    assert (429, "rate-limited") == (slowed.status_code, slowed.json()["code"])
    assert "false" == slowed.headers["x-should-retry"]


def test_each_address_is_slowed_by_itself_and_a_minute_long() -> None:
    clock = HeldClock()
    attempts, told = Attempts(clock), []
    for seconds in (5, 59, 1):
        clock.elapsed += timedelta(seconds=seconds)
        wrong = [attempts.again("a") for _ in range(WRONG_A_MINUTE + 1)]
        told.append((wrong.count(True), attempts.again("b")))

    assert [(WRONG_A_MINUTE, True), (0, True), (WRONG_A_MINUTE, True)] == told


@pytest.mark.parametrize(("others", "forgotten"), [(-1, False), (0, True)])
def test_addresses_without_end_take_no_memory_without_end(
    others: int, *, forgotten: bool
) -> None:
    attempts = Attempts(HeldClock())
    for _ in range(WRONG_A_MINUTE):
        attempts.again("a")
    for number in range(ADDRESSES + others):
        attempts.again(str(number))

    assert forgotten == attempts.again("a")


async def test_callers_are_told_apart_by_their_address(world: World) -> None:
    for _ in range(WRONG_A_MINUTE):
        await get(world, bearer(WRONG))
    elsewhere = httpx2.ASGITransport(world.gateway.app(), client=("192.0.2.1", 1))
    async with httpx2.AsyncClient(
        transport=elsewhere, base_url="http://sluice.test", headers=bearer(WRONG)
    ) as client:
        other = await client.get("/v1/requests/1")

    assert 401 == other.status_code
    assert 429 == (await get(world, bearer(WRONG))).status_code


async def test_what_cannot_be_known_is_never_a_yes(world: World) -> None:
    world.credentials = Away()

    answer = await get(world, bearer(WRONG))

    assert (503, "not-ready") == (answer.status_code, answer.json()["code"])


async def test_tokens_for_the_api_come_in_and_tokens_for_the_inbox_do_not(
    world: World,
) -> None:
    api, inbox = token(world), token(world, INBOX_AUDIENCE)

    assert 404 == (await get(world, bearer(api))).status_code
    assert 401 == (await get(world, bearer(inbox))).status_code
    world.clock.elapsed += timedelta(hours=1, seconds=29)
    assert 404 == (await get(world, bearer(api))).status_code
    world.clock.elapsed += timedelta(seconds=1)
    assert 401 == (await get(world, bearer(api))).status_code


async def test_a_revoked_clients_token_is_refused(world: World) -> None:
    api = token(world)
    world.credentials.revoke(CLIENT, world.clock.now())

    assert 401 == (await get(world, bearer(api))).status_code


async def test_reading_needs_its_own_capability(world: World) -> None:
    answer = await get(world, bearer(world.key(capabilities=[SEND])))

    assert (403, "forbidden") == (answer.status_code, answer.json()["code"])
