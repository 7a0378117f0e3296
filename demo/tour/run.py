"""The tour itself: everything from nothing, every claim checked."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from openai import AsyncOpenAI
from rich.console import Console
from rich.live import Live

from demo import stack
from demo.launch import Access, Sluice
from demo.tour.checks import Checks
from demo.tour.clients import Answer, ask, produce, signed_by
from demo.tour.clients import Sluice as Gateway
from demo.tour.copies import copied, readable
from demo.tour.show import Row, table
from demo.tour.stories import (
    ATTACK,
    CARD,
    CLEAN,
    FAILING,
    FROM_KAFKA,
    PERSON,
    PERSONAL,
    PRIVATE,
    REVERSIBLE,
    SLOW,
    Story,
)
from demo.tour.subscriber import Example, Keeper, example, keeping

ROOT: Final = Path(__file__).parents[2] / ".sluice"
VERIFY: Final = Path(__file__).with_name("verify.md")
RECEIPT_KEYS: Final = "/.well-known/receipts/jwks.json"
KAFKA_ROW: Final = 4
POISON: Final = b"\xff this is no event"
ACCEPTED: Final = "sluice.requests.accepted.v1"
FORGOTTEN_WITHIN_S: Final = 30.0
RECORDED_WITHIN_S: Final = 30.0
SIGNED_WITHIN_S: Final = 30.0


class Tour:
    """One run, and what it shows."""

    def __init__(self, console: Console, sluice: Sluice, access: Access) -> None:
        self.console = console
        self.checks = Checks(console)
        self.sluice = sluice
        self.access = access
        self.rows: list[Row] = []
        self.evidence = ROOT / "evidence"
        self._calls = 0

    async def run(self) -> bool:
        """Was all of it true?"""
        async with self._clients() as (sdk, gateway), keeping(sdk) as keeper:
            subscriber = await example(self.sluice, sdk)
            await self._http(sdk, gateway)
            await self._inbox(gateway)
            await self._poison(sdk, gateway)
            await self._killed(sdk, gateway)
            await self._webhooks(keeper, subscriber, gateway)
            await self._forgotten(gateway)
            receipt = await self._erased(gateway)
            await self._complete()
            await asyncio.to_thread(self._ledger)
            await self._written(keeper, receipt, gateway)
        self._tampered()
        self._show()
        return not self.checks.failed

    def live(self) -> Live:
        """The table as it grows, below what is printed; a terminal alone shows it."""
        return Live(
            get_renderable=lambda: table(self.rows, {}),
            console=self.console,
            transient=True,
        )

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[tuple[AsyncOpenAI, Gateway]]:
        base = self.access.gateway + "/v1"
        async with (
            AsyncOpenAI(
                api_key=self.access.api_key, base_url=base, max_retries=0
            ) as sdk,
            aiohttp.ClientSession() as session,
        ):
            yield sdk, Gateway(session, self.access.gateway, self.access.api_key)

    async def _http(self, sdk: AsyncOpenAI, gateway: Gateway) -> None:
        self._heading("Four requests by the official openai SDK")
        clean = await self._told(CLEAN, await ask(sdk, CLEAN), gateway)
        self.checks.that("the clean request was answered", clean.status == 200)
        personal = await self._told(PERSONAL, await ask(sdk, PERSONAL), gateway)
        saw = self.rows[-1].saw or ""
        self.checks.that(
            "the provider saw no name, card, address or number",
            bool(saw) and not any(value in saw for value in PRIVATE),
        )
        self.checks.that(
            "the caller's own name, address and number came back",
            all(value in personal.text for value in REVERSIBLE),
        )
        self.checks.that("the card number did not", CARD not in personal.text)
        attack = await self._told(ATTACK, await ask(sdk, ATTACK), gateway)
        self.checks.that(
            "the injection was blocked before any provider saw it",
            (attack.status, attack.code) == (400, "content_filter")
            and self.rows[-1].saw is None,
        )
        failing = await self._told(FAILING, await ask(sdk, FAILING), gateway)
        self.checks.that(
            "the failing upstream ended as failed, with the request's id",
            failing.status == 502 and bool(failing.request_id),
        )

    async def _told(self, story: Story, answer: Answer, gateway: Gateway) -> Answer:
        document = await gateway.ended(answer.request_id)
        saw = await self._seen(gateway)
        got = answer.text or (answer.code or "")
        self._row(story, saw, got, document)
        return answer

    def _row(
        self, story: Story, saw: str | None, got: str, document: dict[str, Any]
    ) -> None:
        row = Row(
            title=story.title, sent=story.text, saw=saw, got=got, document=document
        )
        self.rows.append(row)
        self.console.print(f"  [bold]{story.title}[/]: {document['state']}")

    async def _seen(self, gateway: Gateway) -> str | None:
        """What the provider was sent since the last look; None: it was not asked."""
        url = self.access.stand_in + "/seen"
        async with gateway.session.get(url) as answer:
            found = await answer.json()
        asked, self._calls = found["calls"] > self._calls, found["calls"]
        return str(found["bodies"][-1]["messages"][-1]["content"]) if asked else None

    async def _inbox(self, gateway: Gateway) -> None:
        self._heading("One request by a plain Kafka producer, encrypted to our key")
        token = await gateway.token(self.access.client_id, self.access.client_secret)
        messages = [{"role": "user", "content": FROM_KAFKA.text}]
        body = json.dumps({"model": FROM_KAFKA.model, "messages": messages}).encode()
        event = f"tour-{time.time_ns()}"
        headers = [
            ("authorization", b"Bearer " + token.encode()),
            ("ce_id", event.encode()),
            ("content-type", b"application/jose"),
        ]
        await produce(self.access.kafka, await gateway.sealed(body), headers=headers)
        document = await gateway.ended_event(self.access.client_id, event)
        saw = await self._seen(gateway)
        got = document["answer"]["choices"][0]["message"]["content"]
        self._row(FROM_KAFKA, saw, got, document)
        self.checks.that("it was answered", document["state"] == "completed")
        self.checks.that(
            "the provider did not see the name, the producer did",
            PERSON in got and PERSON not in (saw or PERSON),
        )

    async def _forgotten(self, gateway: Gateway) -> None:
        self._heading("Forgetting: nobody waits for the first request any more")
        first = f"/v1/requests/{self.rows[0].document['id']}"
        until = time.monotonic() + FORGOTTEN_WITHIN_S
        found = await gateway.get(first)
        while found["answer_state"] != "destroyed" and time.monotonic() < until:
            await asyncio.sleep(0.2)  # noqa: TID251 - polls another process
            found = await gateway.get(first)
        self.checks.that(
            "its key is destroyed: its content opens for nobody, in no copy",
            found["answer_state"] == "destroyed" and found["answer"] is None,
        )

    async def _erased(self, gateway: Gateway) -> str:
        self._heading("Forgetting on order: the request that came by Kafka")
        request = self.rows[KAFKA_ROW].document["id"]
        of = ("--tenant", self.access.tenant_id)
        before = await gateway.get(f"/v1/requests/{request}")
        copies = await copied(self.access, request)
        opened = await self._readable(request, copies)
        job = self.sluice.ask("erase", "request", *of, request)["job"]
        until = time.monotonic() + FORGOTTEN_WITHIN_S
        found: dict[str, str] = {}
        while job not in found and time.monotonic() < until:
            await asyncio.sleep(0.2)  # noqa: TID251 - polls another process
            found = {e["job"]: e["jws"] for e in self.sluice.ask("receipts", *of)}
        after = await gateway.get(f"/v1/requests/{request}")
        self.checks.that(
            "its answer was there, and is no more",
            (before["answer_state"], after["answer"]) == ("available", None),
        )
        self.checks.that(
            f"{len(copies)} sealed copies from Kafka and Postgres opened before,"
            " and held the name",
            len(opened) == len(copies) > 0
            and any(PERSON.encode() in each for each in opened),
        )
        later = {*copies, *await copied(self.access, request)}
        self.checks.that(
            "none of them opens now, nor what lies there still",
            not await self._readable(request, later),
        )
        stated = signed_by(found.get(job, ""), await gateway.get(RECEIPT_KEYS))
        self.checks.that(
            "its receipt verifies by PyJWT with the published key, and says so",
            stated.get("scope") == {"kind": "request", "ref": request}
            and stated["verification"]["read_back_remaining"] == 0,
        )
        return found.get(job, "")

    async def _readable(
        self, request: str, copies: Collection[bytes]
    ) -> Sequence[bytes]:
        return await readable(self.access, self.sluice.root / "keys", request, copies)

    async def _killed(self, sdk: AsyncOpenAI, gateway: Gateway) -> None:
        self._heading("The workers are killed with -9 while a request is under way")
        asked = asyncio.create_task(ask(sdk, SLOW))
        await asyncio.sleep(1.0)  # noqa: TID251 - the provider has it by then
        self.sluice.processes["workers"].kill()
        killed = time.monotonic()
        self.sluice.spawn("workers", "consumers", "all")
        answer = await self._told(SLOW, await asked, gateway)
        took = time.monotonic() - killed
        self.rows[-1] = replace(self.rows[-1], took_s=took)
        self.checks.that(
            f"it was answered all the same, {took:.1f} s after the kill",
            answer.status == 200,
        )

    async def _webhooks(
        self, keeper: Keeper, subscriber: Example, gateway: Gateway
    ) -> None:
        self._heading("Webhooks, to a subscriber that knows nothing of us")
        told = [await keeper.told_of(row.document["id"]) for row in self.rows]
        self.checks.that(
            "one came for every request, verified by the package standardwebhooks",
            all(each and keeper.verified(each) for each in told),
        )
        bodies = b"".join(each.body for each in keeper.received)
        self.checks.that(
            "none held a word of what was said",
            not any(value.encode() in bodies for value in PRIVATE),
        )
        said = await subscriber.answers(gateway.session)
        self.checks.that(
            "the example took a genuine one, and its duplicate once",
            (said["genuine"], said["again"]) == (204, 204)
            and subscriber.handled().count("msg_tour") == 1,
        )
        self.checks.that(
            "it refused a forged and a stale one with 401",
            (said["forged"], said["stale"]) == (401, 401),
        )

    async def _complete(self) -> None:
        self._heading("Completeness: what Kafka accepted, against the ledger")
        counted = self.sluice.run("completeness", "--settled-s", "0")
        self.console.print((counted.stdout + counted.stderr).rstrip())
        self.checks.that(
            "each accepted request has its one end", counted.returncode == 0
        )
        # All have ended, so here a second will do for the job that runs by the clock.
        self.sluice.set("LEDGER__SETTLED_S", "1")
        self.sluice.spawn("completeness", "producers", "completeness")
        self.checks.that(
            "the job that counts by the clock recorded the same",
            await self._recorded("completeness.checked"),
        )

    async def _recorded(self, action: str) -> bool:
        """Does the tenant's log get such a record in time?"""
        asked = ("--tenant", self.access.tenant_id, "--action", action)
        until = time.monotonic() + RECORDED_WITHIN_S
        while time.monotonic() < until:
            found = self.sluice.run("audit", "query", *asked, "--format", "jsonl")
            if found.stdout.strip():
                return True
            await asyncio.sleep(0.5)  # noqa: TID251 - polls another process
        return False

    async def _written(self, keeper: Keeper, receipt: str, gateway: Gateway) -> None:
        keeper.written(self.evidence / "webhooks")
        receipts = self.evidence / "receipts"
        receipts.mkdir()
        (receipts / "receipt.jws").write_text(receipt + "\n")
        keys = json.dumps(await gateway.get(RECEIPT_KEYS), indent=1)
        (receipts / "jwks.json").write_text(keys + "\n")
        shutil.copy(VERIFY, self.evidence / "VERIFY.md")
        self.console.print(
            f"  {_short(self.evidence)}/VERIFY.md checks all of it without us"
        )

    async def _poison(self, sdk: AsyncOpenAI, gateway: Gateway) -> None:
        self._heading("A poison record in the middle of it")
        await produce(
            self.access.kafka,
            POISON,
            headers=[("ce_id", b"\xff\xfe")],
            topic=ACCEPTED,
        )
        after = await self._told(CLEAN, await ask(sdk, CLEAN), gateway)
        self.checks.that("the next request was answered", after.status == 200)
        buried = await self._dead()
        self.checks.that(
            "the poison record lies in the dead letters, byte for byte",
            buried == [POISON],
        )

    async def _dead(self) -> list[bytes | None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.access.kafka)
        await consumer.start()
        try:
            partitions = [TopicPartition(ACCEPTED + ".dead", n) for n in range(4)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            found = await consumer.getmany(timeout_ms=3000)
            return [r.value for records in found.values() for r in records]
        finally:
            await consumer.stop()

    def _ledger(self) -> None:
        self._heading("The ledger, recomputed from its stored bytes")
        exported = self._exported()
        verified = self.sluice.run("audit", "verify")
        self.console.print(verified.stdout.rstrip())
        self.checks.that("it verifies", verified.returncode == 0)
        self.checks.that(
            f"its records and checkpoints lie in {_short(self.evidence)}", exported
        )

    def _exported(self) -> bool:
        """Take the log away once all of it is signed: an export ends there."""
        command = ("audit", "export", str(self.evidence))
        until = time.monotonic() + SIGNED_WITHIN_S
        while time.monotonic() < until:
            shutil.rmtree(self.evidence, ignore_errors=True)
            done = self.sluice.run(*command, "--tenant", self.access.tenant_id)
            if done.returncode or "not signed yet" not in done.stdout:
                return done.returncode == 0
            time.sleep(0.5)
        return False

    def _show(self) -> None:
        ends = {
            record["request_id"]: record["seq"]
            for line in self._records().read_bytes().splitlines()
            if (record := json.loads(line))["action"] in _ENDS
        }
        self.console.print()
        self.console.print(table(self.rows, ends))
        self.checks.that(
            "every request has its one end on the ledger",
            all(row.document["id"] in ends for row in self.rows),
        )

    def _records(self) -> Path:
        return next(self.evidence.rglob("*.jsonl"))

    def _tampered(self) -> None:
        self._heading("The same ledger, with one character of one record changed")
        copy = ROOT / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.evidence, copy)
        records = next(copy.rglob("*.jsonl"))
        lines = records.read_bytes().splitlines(keepends=True)
        target = len(lines) // 2
        lines[target] = lines[target].replace(b'"v":1', b'"v":2')
        records.write_bytes(b"".join(lines))
        judged = self.sluice.run("audit", "verify", "--export", str(copy))
        said = judged.stdout + judged.stderr
        self.console.print(said.rstrip())
        self.checks.that(
            f"verification fails, and names record {target}",
            judged.returncode == 1 and f": DOES NOT HOLD: record {target}: " in said,
        )
        shutil.rmtree(copy)

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold cyan]{text}[/]")


_ENDS: Final = ("request.completed", "request.blocked", "request.failed")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT.parent))


async def tour(console: Console) -> bool:
    """Start everything, look around, stop everything; was all of it true?"""
    began = time.monotonic()
    home = ROOT / "demo"
    with stack.temporary(durable=True) as services:
        shutil.rmtree(home, ignore_errors=True)
        console.print(f"[dim]{services.chosen}[/]")
        sluice = Sluice(home, services)
        await sluice.provide()
        try:
            await sluice.start()
            access = await asyncio.to_thread(
                sluice.onboard, "Acme", ("echo", "failing", "slow-2")
            )
            console.print(f"[dim]ready after {time.monotonic() - began:.0f} s[/]")
            run = Tour(console, sluice, access)
            with run.live():
                true = await run.run()
            codes = dict(sluice.stop())
            codes.pop("subscriber")  # uvicorn ends by the signal that it was sent
            run.checks.that("every process stopped cleanly", set(codes.values()) == {0})
            true = true and not run.checks.failed
        finally:
            sluice.stop()
    took = time.monotonic() - began
    _told(console, run.checks, took)
    return true


def _told(console: Console, checks: Checks, took: float) -> None:
    console.print()
    if checks.failed:
        console.print(f"[bold red]{len(checks.failed)} of {checks.count} failed:[/]")
        for claim in checks.failed:
            console.print(f"  ✗ {claim}")
        console.print("The processes' logs lie in .sluice/demo/logs.")
        return
    console.print(f"[bold green]All {checks.count} claims held, in {took:.0f} s.[/]")
    console.print("Go on with your own requests: [bold]make up[/]")
