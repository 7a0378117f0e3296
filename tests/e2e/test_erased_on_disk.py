"""Erased is unreadable on the disk: in every file of a running installation.

Copies of all files are taken before and after the erasure. Whoever has both copies may
read content from either, but keys only from the files of after: those of before are
what a backup of the keystore would be, which nobody keeps (docs/content.md). That the
keys of before open all of it is the control.
"""

import asyncio
import json
import subprocess
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import jwt
import pytest
from openai import AsyncOpenAI
from typing_extensions import override

from demo import stack as local
from demo.launch import Access, Sluice
from demo.stack import Stack
from demo.stack.postgres import binary
from demo.tour.clients import Sluice as Gateway
from demo.tour.clients import produce
from infra.postgres.roles import KEYSTORE, MAIN, dsn
from pipeline.keystore import KeyId
from schemas.ids import RequestId, TenantId
from tests.support.disk import Disk, Owner, bytes_below, copied, read_in

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PERIOD_S = 20
WAYS = ("http", "plain", "background", "inbox")


class Quick(Sluice):
    """Keys of letters that live for seconds."""

    @override
    def operator(self) -> Mapping[str, str]:
        chosen = {"SLUICE_KEYS__INBOX_PERIOD_S": str(PERIOD_S)}
        return {**super().operator(), **chosen}


@dataclass(frozen=True, slots=True)
class World:
    """An installation that keeps content for a day, and what was said to it."""

    stack: Stack
    sluice: Quick
    access: Access
    said: dict[str, bytes] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    letters: dict[str, bytes] = field(default_factory=dict)

    async def say(self, session: aiohttp.ClientSession, who: str) -> None:
        """One request by each way in, each with a text of its own."""
        gateway = Gateway(session, self.access.gateway, self.access.api_key)
        for way in WAYS:
            name = f"{who} {way}"
            text = f"zircon-{who}-{way}-heliotrope"
            self.said[name] = text.encode()
            self.requests[name] = await self._by(way, name, gateway, text)

    async def _by(self, way: str, name: str, gateway: Gateway, text: str) -> str:
        match way:
            case "http":
                return await self._http(text)
            case "background":
                return await self._background(gateway, text)
            case _:
                return await self._inbox(name, gateway, text, plain=way == "plain")

    async def _http(self, text: str) -> str:
        async with self._sdk() as sdk:
            raw = await sdk.chat.completions.with_raw_response.create(
                model="echo", messages=[{"role": "user", "content": text}]
            )
        return str(raw.headers["x-request-id"])

    async def _background(self, gateway: Gateway, text: str) -> str:
        async with self._sdk() as sdk:
            made = await sdk.responses.with_raw_response.create(
                model="echo", input=text, background=True
            )
        request = str(made.headers["x-request-id"])
        await gateway.ended(request)
        return request

    async def _inbox(
        self, name: str, gateway: Gateway, text: str, *, plain: bool
    ) -> str:
        access = self.access
        token = await gateway.token(access.client_id, access.client_secret)
        messages = [{"role": "user", "content": text}]
        body = json.dumps({"model": "echo", "messages": messages}).encode()
        kind = "application/json" if plain else "application/jose"
        event = name.replace(" ", "-")
        headers = [
            ("authorization", b"Bearer " + token.encode()),
            ("ce_id", event.encode()),
            ("content-type", kind.encode()),
        ]
        value = body if plain else await gateway.sealed(body)
        if not plain:
            self.letters[name] = value
        await produce(access.kafka, value, headers=headers)
        document = await gateway.ended_event(access.client_id, event)
        return str(document["id"])

    def _sdk(self) -> AsyncOpenAI:
        url = self.access.gateway + "/v1"
        return AsyncOpenAI(base_url=url, api_key=self.access.api_key)

    async def copied(self, to: Path) -> Disk:
        """Every file as it is now, and a dump of both databases."""
        assert self.stack.kafka.data is not None
        assert self.stack.postgres.data is not None
        (to / "dumps").mkdir(parents=True)
        copied(self.sluice.root, to / "sluice")
        copied(self.stack.postgres.data / "pg_wal", to / "log")
        await self._checkpoint()
        copied(self.stack.kafka.data, to / "kafka")
        copied(self.stack.postgres.data, to / "postgres")
        for name in (MAIN, KEYSTORE):
            _dumped(dsn(self.stack.postgres_url, name), to / "dumps" / name)
        return Disk(to)

    async def owners(self) -> Sequence[Owner]:
        rows = await self.asked(
            MAIN, "select tenant_id, id, terms ->> 'key_id' as key from sluice.request"
        )
        return [
            Owner(
                TenantId(str(row["tenant_id"])),
                RequestId(str(row["id"])),
                KeyId(row["key"]),
            )
            for row in rows
        ]

    async def keks(self) -> Mapping[TenantId, bytes]:
        rows = await self.asked(KEYSTORE, "select tenant_id, wrapped from keystore.kek")
        return {TenantId(str(row["tenant_id"])): row["wrapped"] for row in rows}

    async def _checkpoint(self) -> None:
        """Write out what is in memory, and let the log go that is not needed."""
        for sql in ("checkpoint", "select pg_switch_wal()", "checkpoint"):
            await self.asked(MAIN, sql)

    async def asked(self, database: str, sql: str) -> Sequence[asyncpg.Record]:
        connection = await asyncpg.connect(dsn(self.stack.postgres_url, database))
        try:
            found: Sequence[asyncpg.Record] = await connection.fetch(sql)
        finally:
            await connection.close()
        return found

    def erase(self, names: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """Order it as an operator does; what each receipt states."""
        of = ("--tenant", self.access.tenant_id)
        jobs = {
            self.sluice.ask("erase", "request", *of, self.requests[name])["job"]: name
            for name in names
        }
        deadline = time.monotonic() + 60
        while len(found := self.sluice.ask("receipts", *of)) < len(names):
            assert time.monotonic() < deadline, "no receipts"
            time.sleep(0.5)
        return {
            jobs[each["job"]]: jwt.decode(
                each["jws"], options={"verify_signature": False}
            )
            for each in found
        }


def _dumped(url: str, to: Path) -> None:
    subprocess.run([binary("pg_dump"), "-f", str(to), url], check=True)


@pytest.fixture(scope="module")
def services() -> Iterator[Stack]:
    with local.temporary(durable=True, local=True) as running:
        yield running


@pytest.fixture
async def world(services: Stack, tmp_path: Path) -> AsyncIterator[World]:
    sluice = Quick(tmp_path / "sluice", services)
    await sluice.provide()
    try:
        await sluice.start()
        access = await asyncio.to_thread(sluice.onboard, "Acme", ("echo",))
        of = ("--tenant", access.tenant_id)
        policy = await asyncio.to_thread(sluice.ask, "policy", "show", *of)
        file = tmp_path / "policy.json"
        file.write_text(json.dumps({**policy, "retention_class": "1d"}))
        await asyncio.to_thread(sluice.ask, "policy", "set", *of, str(file))
        await asyncio.sleep(5.1)  # noqa: TID251 - what a gateway knows is so old at most
        yield World(services, sluice, access)
    finally:
        sluice.stop()


async def until(true: Callable[[], Any]) -> None:
    """Wait for other processes."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, true
        await asyncio.sleep(0.5)  # noqa: TID251 - polls other processes


def gone_at(world: World, letter: bytes) -> str:
    """When the key of a letter was destroyed; nothing while it is there."""
    header = json.loads(urlsafe_b64decode(letter.split(b".")[0] + b"=="))
    name = header["kid"].replace("-", ".") + ".gone"
    file = world.sluice.root / "keys" / "own" / "inbox" / name
    told = file.read_bytes() if file.exists() else b""
    return str(json.loads(told)["effective_at"]) if told else ""


async def rewritten(world: World) -> None:
    """The keystore's files hold no bytes of destroyed keys any more."""
    deadline = time.monotonic() + 120
    while await world.asked(KEYSTORE, "select from keystore.remains"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)  # noqa: TID251 - polls other processes


def in_the_clear(disk: Disk, texts: Mapping[str, bytes]) -> Mapping[str, set[str]]:
    """By name of a text the places with a file that holds it as it is."""
    found: dict[str, set[str]] = {name: set() for name in texts}
    for place, folder in {**disk.places(), "sluice": disk.sluice}.items():
        for data in bytes_below(folder):
            for name in (each for each, text in texts.items() if text in data):
                found[name].add(place)
    return found


async def test_nothing_on_the_disk_opens_what_was_erased(
    world: World, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as session:
        for who in ("anna", "berta"):
            await world.say(session, who)
    before = await world.copied(tmp_path / "before")
    owners, keks = await world.owners(), await world.keks()
    anna = {name: text for name, text in world.said.items() if "anna" in name}
    berta = {name: text for name, text in world.said.items() if "berta" in name}

    stated = await asyncio.to_thread(world.erase, list(anna))
    await until(lambda: all(gone_at(world, each) for each in world.letters.values()))
    await rewritten(world)
    after = await world.copied(tmp_path / "after")

    held, left = before.keys(owners, keks), after.keys(owners, keks)
    then = {
        place: read_in(folder, held, before.letters())
        for place, folder in before.places().items()
    }
    now = {
        (place, when): read_in(folder, left, after.letters())
        for when, disk in (("before", before), ("after", after))
        for place, folder in disk.places().items()
    }
    for place in ("kafka", "dumps"):
        for name, text in world.said.items():
            assert text in then[place], (name, place, "the control")
        for name, text in berta.items():
            assert text in now[place, "before"], (name, place, "a neighbour's")
            assert text in now[place, "after"], (name, place, "a neighbour's")
    for place in ("tables", "log"):  # in pages: what crosses an edge is not found
        for texts in (anna, berta):
            assert any(text in then[place] for text in texts.values()), "the control"
    for where, opened in now.items():
        assert [] == [name for name, text in anna.items() if text in opened], where
    for letter in world.letters.values():
        assert before.letters().open(letter) is not None, "the control"
        assert after.letters().open(letter) is None
    clear = {name: {"kafka"} if "plain" in name else set() for name in world.said}
    assert clear == in_the_clear(after, world.said)
    excepted = {"anna plain": ["inbox_plain"]}
    if stated["anna inbox"]["completed_at"] < gone_at(
        world, world.letters["anna inbox"]
    ):
        excepted["anna inbox"] = ["inbox_key"]
    assert excepted == {
        name: [each["basis"] for each in found["exceptions"]]
        for name, found in stated.items()
        if found["exceptions"]
    }
