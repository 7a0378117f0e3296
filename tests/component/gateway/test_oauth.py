"""Tokens for clients, and the published keys."""

from base64 import b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from infra.signer.receipts import RECEIPTS, receipt_key
from producers.gateway.oauth import MAX_FORM_BYTES
from tests.support.audit import TENANT
from tests.support.gateway import CLIENT, CLIENT_SECRET, World

GRANT = {"grant_type": "client_credentials"}
POSTED = {"client_id": CLIENT, "client_secret": CLIENT_SECRET}


def basic(identity: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(identity)}:{quote_plus(secret)}"
    return {"authorization": "Basic " + b64encode(pair.encode()).decode()}


async def token(
    world: World, form: dict[str, str], headers: dict[str, str] | None = None
) -> httpx2.Response:
    async with world.client() as client:
        return await client.post("/oauth/token", data=form, headers=headers)


async def claims(world: World, access_token: str) -> Any:
    async with world.client() as client:
        keys = KeySet.import_key_set(
            (await client.get("/.well-known/jwks.json")).json()
        )
    return jwt.decode(access_token, keys, algorithms=["ES256"])


@pytest.mark.parametrize(
    ("form", "headers"),
    [({**GRANT, **POSTED}, {}), (GRANT, basic(CLIENT, CLIENT_SECRET))],
)
async def test_a_token_for_the_inbox_is_checked_by_the_published_keys(
    world: World, form: dict[str, str], headers: dict[str, str]
) -> None:
    answer = await token(world, form, headers)
    found = await claims(world, answer.json()["access_token"])

    assert (200, "Bearer", 3600, "inbox") == (
        answer.status_code,
        *(answer.json()[name] for name in ("token_type", "expires_in", "scope")),
    )
    assert "no-store" == answer.headers["cache-control"]
    assert "at+jwt" == found.header["typ"]
    assert ("sluice:inbox", "http://sluice.test", CLIENT, TENANT) == tuple(
        found.claims[name] for name in ("aud", "iss", "client_id", "tenant_id")
    )
    assert 3600 == found.claims["exp"] - found.claims["iat"]


@pytest.mark.parametrize(
    ("chosen", "audience"),
    [
        ({"scope": "api"}, "sluice:api"),
        ({"scope": "inbox"}, "sluice:inbox"),
        ({"resource": "sluice:api"}, "sluice:api"),
        ({"resource": "sluice:inbox", "scope": "inbox"}, "sluice:inbox"),
    ],
)
async def test_scope_or_resource_choose_the_audience(
    world: World, chosen: dict[str, str], audience: str
) -> None:
    answer = await token(world, {**GRANT, **POSTED, **chosen})
    found = await claims(world, answer.json()["access_token"])

    assert audience == found.claims["aud"]


@pytest.mark.parametrize(
    ("form", "headers", "expected"),
    [
        ({**GRANT, "client_id": CLIENT, "client_secret": "no"}, {}, "invalid_client"),
        ({**GRANT, "client_id": "nobody", "client_secret": "x"}, {}, "invalid_client"),
        (GRANT, {}, "invalid_client"),
        (GRANT, {"authorization": "Basic ~"}, "invalid_client"),
        (GRANT, {"authorization": "Basic gICA"}, "invalid_client"),
        (GRANT, {"authorization": "Bearer x"}, "invalid_client"),
        ({**GRANT, **POSTED}, basic(CLIENT, CLIENT_SECRET), "invalid_request"),
        ({**POSTED, "grant_type": "password"}, {}, "unsupported_grant_type"),
        (POSTED, {}, "unsupported_grant_type"),
        ({**GRANT, **POSTED, "scope": "everything"}, {}, "invalid_scope"),
        ({**GRANT, **POSTED, "resource": "https://x.test"}, {}, "invalid_target"),
        (
            {**GRANT, **POSTED, "resource": "sluice:api", "scope": "inbox"},
            {},
            "invalid_target",
        ),
        ({}, {}, "invalid_request"),
    ],
)
async def test_errors_are_those_of_rfc_6749(
    world: World, form: dict[str, str], headers: dict[str, str], expected: str
) -> None:
    answer = await token(world, form, headers)

    status = 401 if expected == "invalid_client" else 400
    assert (status, expected) == (answer.status_code, answer.json()["error"])
    assert "no-store" == answer.headers["cache-control"]
    assert (status == 401) == ("www-authenticate" in answer.headers)
    assert CLIENT_SECRET not in answer.text


async def test_a_name_that_comes_twice_is_no_form(world: World) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with world.client(**headers) as client:
        answer = await client.post("/oauth/token", content=b"scope=api&scope=inbox")

    assert (400, "invalid_request") == (answer.status_code, answer.json()["error"])


async def test_guessing_is_slowed(world: World) -> None:
    wrong = {**GRANT, "client_id": CLIENT, "client_secret": "no"}
    answers = [(await token(world, wrong)).status_code for _ in range(21)]
    right = (await token(world, {**GRANT, **POSTED})).status_code
    world.clock.elapsed += timedelta(seconds=60)

    assert [401] * 20 + [429] == answers
    assert 200 == right
    assert 401 == (await token(world, wrong)).status_code


async def test_the_published_keys_are_public_and_say_what_they_are_for(
    world: World,
) -> None:
    async with world.client() as client:
        keys = (await client.get("/.well-known/jwks.json")).json()["keys"]

    assert {"sig", "enc"} == {key["use"] for key in keys}
    assert all("d" not in key for key in keys)
    assert all(key["kid"] for key in keys)


async def test_the_keys_of_receipts_are_published_without_their_secret(
    world: World,
) -> None:
    path = "/.well-known/receipts/jwks.json"
    async with world.client() as client:
        before = (await client.get(path)).json()
        key = receipt_key(world.folder / RECEIPTS)
        answer = await client.get(path)

    (told,) = answer.json()["keys"]
    assert {"keys": []} == before
    assert (key.thumbprint(), "ES256", "sig") == (told["kid"], told["alg"], told["use"])
    assert "d" not in told
    assert "application/jwk-set+json" == answer.headers["content-type"]


async def test_a_form_is_bounded_and_told_how(world: World) -> None:
    answer = await token(world, {**GRANT, **POSTED, "x": "x" * MAX_FORM_BYTES})

    assert (413, "body-too-large") == (answer.status_code, answer.json()["code"])
    assert [f"body: expected at most {MAX_FORM_BYTES} bytes"] == answer.json()["errors"]
