"""What Sluice leans on goes away, hangs, fills up or lies: nothing accepted is lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from demo import stack as local
from demo.launch import Access, Sluice
from demo.processes import ready
from demo.stack import Stack
from demo.stack.daemon import until
from schemas.audit import TERMINAL
from schemas.policies import PolicyDocument
from tests.support.desk import desk, onboarded
from tests.support.evidence import ended
from tests.support.kafka import until as soon
from tests.support.outages import frozen, keystore

pytestmark = [pytest.mark.e2e, pytest.mark.long]

MAX_POLL_S = 8.0
"""``max_poll_interval_ms``, 300 s by default; outages are as much shorter as it is."""
AWAY_S = 12.0
"""Longer than that, and longer than four sessions of a group."""
WITHIN_S = 330.0
PROCESSES = ("gateway", "workers", "timed", "checkpointer")
MODELS = ("echo", "slow-0.5", "slow-2", "slow-5", "hanging", "garbage", "failing")
PATIENT_S, IMPATIENT_S = 300, 10
"""Deadlines of two tenants' requests: outages must not end them, a provider may."""
DISK_MIB = 400
TEN_MIB = """
create temp table more as select repeat('x', 1000) from generate_series(1, 10000)
"""

sleep = asyncio.sleep  # noqa: TID251 - outages last for real time


@dataclass
class House:
    """An installation, and all that was accepted in it.

    Attributes:
        access: of a tenant whose requests have time.
        impatient: of one whose requests end soon.
        disk: where Postgres has its data, if that is a small disk of its own.
        clock: holds the seconds by which the workers' wall clock is off.
    """

    sluice: Sluice
    services: Stack
    access: Access
    impatient: Access
    disk: Path | None
    clock: Path
    accepted: dict[str, Access] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=count)

    async def ask(
        self,
        session: aiohttp.ClientSession,
        model: str = "echo",
        access: Access | None = None,
    ) -> int:
        """As a careful client: no answer and 503 are tried again, under one key."""
        number, found = next(self.numbers), access or self.access
        async with asyncio.timeout(WITHIN_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    status, request = await self._attempt(session, number, model, found)
                    if status != 503:
                        self.accepted[request] = found
                        return status
                await sleep(0.5)

    async def _attempt(
        self, session: aiohttp.ClientSession, number: int, model: str, access: Access
    ) -> tuple[int, str]:
        content = f"Request number {number}"
        body = {"model": model, "messages": [{"role": "user", "content": content}]}
        headers = {
            "authorization": f"Bearer {access.api_key}",
            "idempotency-key": f"outage-{number}",
        }
        url = access.gateway + "/v1/chat/completions"
        async with session.post(url, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers["x-request-id"]

    async def says(self, name: str, path: str) -> bool:
        """``/livez`` or ``/readyz`` of a process."""
        url = self.sluice.processes[name].health + path
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, timeout=aiohttp.ClientTimeout(total=10)) as answer,
        ):
            return answer.status == 200

    async def alive(self) -> set[str]:
        return {name for name in PROCESSES if await self.says(name, "/livez")}

    async def unready(self, *names: str) -> None:
        """Wait until these say that they are not ready."""
        for name in names:

            async def is_not(name: str = name) -> bool:
                return not await self.says(name, "/readyz")

            await soon(is_not, 60)

    async def ready(self) -> None:
        """Wait until all say that they are ready."""
        for name in PROCESSES:
            await ready(self.sluice.processes[name], 90)

    async def calls(self) -> int:
        """How often the provider was asked."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.access.stand_in + "/seen") as answer,
        ):
            return int((await answer.json())["calls"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All of Sluice, its limits shortened, its database on a small disk of its own."""
    root = tmp_path_factory.mktemp("outages")
    clock = root / "clock"
    clock.write_text("0")
    with small_disk(root / "stack" / "postgres") as disk:
        services = local.start(root / "stack", durable=True, local=True)
        sluice = Sluice(root / "sluice", services)
        sluice.set("KAFKA__MAX_POLL_INTERVAL_S", str(MAX_POLL_S))
        try:
            tenants = asyncio.run(begun(sluice, clock))
            yield House(sluice, services, *tenants, disk, clock)
        finally:
            sluice.stop()
            services.kafka.discard()
            services.postgres.discard()
            local.stop(root / "stack")


async def begun(sluice: Sluice, clock: Path) -> tuple[Access, Access]:
    """Both tenants' access."""
    await sluice.provide()
    await sluice.start({})
    await ready(workers(sluice, clock), 120)
    async with desk(sluice).admin() as admin:
        patient, impatient = [
            await onboarded(
                sluice, admin, "Acme", MODELS, PolicyDocument(deadline_s=seconds)
            )
            for seconds in (PATIENT_S, IMPATIENT_S)
        ]
        return patient, impatient


def workers(sluice: Sluice, clock: Path) -> Any:
    stepped = ("tests.support.stepped", str(clock), "consumers", "all")
    return sluice.spawn("workers", *stepped)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A tmpfs at ``folder``; None where nobody lets us mount one."""
    folder.mkdir(parents=True)
    size = ("-o", f"size={DISK_MIB}m")
    mount = ["mount", "-t", "tmpfs", *size, "sluice-tests", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    limit = aiohttp.ClientTimeout(total=WITHIN_S)
    async with aiohttp.ClientSession(timeout=limit) as made:
        yield made


Act = Callable[[], Any]


async def outage(
    house: House,
    session: aiohttp.ClientSession,
    away: Act,
    back: Act,
    *,
    under_way: Sequence[str] = (),
    unready: Sequence[str] = ("gateway", "workers"),
) -> list[int]:
    """Away for a while with requests under way and more that come; their statuses.

    Meanwhile those of ``unready`` say that they are not ready, and everyone
    that they live; afterwards all are ready by themselves.
    """
    before = await house.calls()
    sending = [asyncio.create_task(house.ask(session, model)) for model in under_way]
    if under_way:
        await soon(lambda: _more_than(house, before), 60)
    await asyncio.to_thread(away)
    began = time.monotonic()
    try:
        sending += [asyncio.create_task(house.ask(session)) for _ in range(4)]
        await house.unready(*unready)
        await sleep(max(0.0, began + AWAY_S - time.monotonic()))
        alive = await house.alive()
    finally:
        await asyncio.to_thread(back)
    statuses = await asyncio.gather(*sending)
    await house.ready()

    assert {*PROCESSES} == alive
    assert set() == gone(house)
    return [*statuses]


async def _more_than(house: House, before: int) -> bool:
    return await house.calls() > before


def gone(house: House) -> set[str]:
    """Processes that ended."""
    processes = house.sluice.processes.items()
    return {name for name, p in processes if p.popen.poll() is not None}


@pytest.mark.timeout(600)
async def test_the_broker_is_away_while_nobody_asks(
    house: House, session: aiohttp.ClientSession
) -> None:
    kafka = house.services.kafka
    statuses = await outage(house, session, kafka.kill, kafka.start)

    assert [200] * 4 == statuses


@pytest.mark.timeout(600)
async def test_the_broker_is_away_in_the_middle_of_calls(
    house: House, session: aiohttp.ClientSession
) -> None:
    kafka = house.services.kafka
    calls = ["slow-5"] * 12
    statuses = await outage(house, session, kafka.kill, kafka.start, under_way=calls)

    assert [200] * 16 == statuses


@pytest.mark.timeout(600)
async def test_the_broker_takes_what_is_sent_and_says_nothing_more(
    house: House, session: aiohttp.ClientSession
) -> None:
    """It hangs, so sends hang; then it dies, and what it did not say is unknown."""
    kafka = house.services.kafka

    def hang() -> None:
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGSTOP)

    def die_and_come_back() -> None:
        kafka.kill()
        kafka.start()

    calls = ["slow-0.5"] * 12
    statuses = await outage(house, session, hang, die_and_come_back, under_way=calls)

    assert [200] * 16 == statuses


@pytest.mark.timeout(600)
async def test_postgres_is_away_for_longer_than_a_poll_may_take(
    house: House, session: aiohttp.ClientSession
) -> None:
    postgres = house.services.postgres
    calls = ["slow-5"] * 12
    statuses = await outage(
        house, session, postgres.kill, postgres.start, under_way=calls
    )

    assert AWAY_S > MAX_POLL_S
    assert [200] * 16 == statuses


@pytest.mark.timeout(600)
async def test_postgres_takes_what_it_is_asked_and_says_nothing_more(
    house: House, session: aiohttp.ClientSession
) -> None:
    """Connections stay, so nothing fails: whoever asked waits for its answer."""
    pid = house.services.postgres.pid
    assert pid is not None
    statuses = await outage(
        house,
        session,
        lambda: frozen(pid, on=True),
        lambda: frozen(pid, on=False),
        under_way=["slow-5"] * 12,
    )

    assert [200] * 16 == statuses


@pytest.mark.timeout(600)
async def test_the_keystore_alone_is_away(
    house: House, session: aiohttp.ClientSession
) -> None:
    url = house.services.postgres_url
    calls = ["slow-5"] * 12
    statuses = await outage(
        house,
        session,
        lambda: asyncio.run(keystore(url, open_to_all=False)),
        lambda: asyncio.run(keystore(url, open_to_all=True)),
        under_way=calls,
        # Nothing new is accepted, so workers may have nothing that waits for a key.
        unready=["gateway"],
    )

    assert [200] * 16 == statuses


@pytest.mark.timeout(600)
async def test_a_provider_that_hangs_or_talks_garbage_holds_up_nobody(
    house: House, session: aiohttp.ClientSession
) -> None:
    hung = (house.ask(session, "hanging", house.impatient) for _ in range(8))
    hanging = [asyncio.create_task(each) for each in hung]
    garbage = await asyncio.gather(*(house.ask(session, "garbage") for _ in range(4)))
    well = await asyncio.gather(*(house.ask(session) for _ in range(8)))
    unready = [name for name in PROCESSES if not await house.says(name, "/readyz")]
    still = [task.done() for task in hanging]
    late = await asyncio.gather(*hanging)

    assert ([502] * 4, [200] * 8) == (garbage, well)
    assert [False] * 8 == still
    assert [] == unready
    assert {504} == set(late)


@pytest.mark.timeout(600)
async def test_the_disk_of_postgres_is_full(
    house: House, session: aiohttp.ClientSession
) -> None:
    if house.disk is None:
        pytest.skip("needs the right to mount a tmpfs")
    ballast, done = house.disk / "ballast", asyncio.Event()
    ballast.touch()
    answered: list[int] = []

    async def asking() -> None:
        while not done.is_set():
            answered.append(await house.ask(session, "slow-0.5"))

    clients = [asyncio.create_task(asking()) for _ in range(8)]
    await soon(partial(more_than, answered, 8), 90)
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:  # under the workers' hands: they have what they cannot write
                file.write(bytes(64 * 1024))
        await soon(lambda: _met(house), 90)
        await sleep(AWAY_S)
        # What is still written finds room in what is there: who fails is luck.
        await soon(lambda: _one_unready(house), 90)
        alive, during = await house.alive(), len(answered)
    finally:
        ballast.unlink()
    if not house.services.postgres.running:  # it may give up where its log is full
        await asyncio.to_thread(house.services.postgres.start)
    await soon(lambda: len(answered) > during + 8, 90)
    done.set()
    await asyncio.gather(*clients)
    await house.ready()

    assert {*PROCESSES} == alive
    assert {200} == set(answered)


async def _one_unready(house: House) -> bool:
    both = [await house.says(name, "/readyz") for name in ("gateway", "workers")]
    return False in both


async def _met(house: House) -> bool:
    """Postgres met the full disk; its log lies there too, and may have no room."""
    if not house.services.postgres.running:
        return True
    try:
        connection = await asyncpg.connect(house.services.postgres_url, timeout=5)
        try:
            await connection.execute(TEN_MIB)
        finally:
            await connection.close()
    except asyncpg.DiskFullError:
        return True
    except (OSError, asyncpg.PostgresError):
        return False
    return False


@pytest.mark.timeout(600)
async def test_the_workers_clock_is_stepped(
    house: House, session: aiohttp.ClientSession
) -> None:
    """An hour back changes nothing; an hour ahead ends requests, and only then."""
    seen: dict[str, list[int]] = {}
    alive = []
    for name, off in (("back", -3600), ("ahead", 3600), ("right", 0)):
        calls = [asyncio.create_task(house.ask(session, "slow-2")) for _ in range(4)]
        await sleep(1)
        house.clock.write_text(str(off))
        alive.append(await house.alive())
        running = await asyncio.gather(*calls)
        seen[name] = await asyncio.gather(*(house.ask(session) for _ in range(6)))
        alive.append(await house.alive())

        assert [] == [status for status in running if status not in (200, 504)]
    await house.ready()

    assert [{*PROCESSES}] * 6 == alive
    assert ([200] * 6, [200] * 6) == (seen["back"], seen["right"])
    assert {504} == set(seen["ahead"])


@pytest.mark.timeout(600)
async def test_sigterm_at_full_load_ends_with_0_in_time_and_loses_nothing(
    house: House, session: aiohttp.ClientSession
) -> None:
    done = asyncio.Event()
    answered: list[int] = []

    async def asking() -> None:
        while not done.is_set():
            answered.append(await house.ask(session))

    clients = [asyncio.create_task(asking()) for _ in range(24)]
    codes: dict[str, int] = {}
    for name in PROCESSES:
        before = len(answered)
        await soon(partial(more_than, answered, before + 20), 90)
        codes[name] = await asyncio.to_thread(terminated, house, name)
        await ready(again(house, name), 120)
    done.set()
    await asyncio.gather(*clients)

    assert dict.fromkeys(PROCESSES, 0) == codes
    assert {200} == set(answered)


def more_than(answered: Sequence[int], count: int) -> bool:
    return len(answered) > count


def terminated(house: House, name: str) -> int:
    """Its exit code, which it owes within 30 s."""
    popen = house.sluice.processes[name].popen
    popen.send_signal(signal.SIGTERM)
    return popen.wait(30)


def again(house: House, name: str) -> Any:
    if name == "workers":
        return workers(house.sluice, house.clock)
    every = ("--every-s=5",) if name == "checkpointer" else ()
    return house.sluice.spawn(name, "producers", name, *every)


@pytest.mark.timeout(600)
async def test_after_all_that_each_request_has_its_one_end_and_the_ledger_verifies(
    house: House, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Of everything that the tests above have sent."""
    assert 200 == await house.ask(session)
    asked = ("completeness", "--settled-s", "0")

    def reconciled() -> bool:
        return house.sluice.run(*asked).returncode == 0

    complete = await asyncio.to_thread(until, reconciled, 90.0)
    verified = house.sluice.run("audit", "verify")
    told = []
    for access in (house.access, house.impatient):
        wanted = [r for r, tenant in house.accepted.items() if tenant is access]
        folder = tmp_path / access.tenant_id
        told += await asyncio.to_thread(
            ended, house.sluice, access.tenant_id, wanted, folder
        )
    ends = Counter(r["request_id"] for r in told if r["action"] in TERMINAL)

    assert complete, house.sluice.run(*asked).stderr
    assert 0 == verified.returncode, verified.stdout
    assert dict.fromkeys(house.accepted, 1) == {r: ends[r] for r in house.accepted}
    assert [] == house.sluice.ask("dead", "list")
