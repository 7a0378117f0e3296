"""Quorum over three real servers: ``ANY 1 (b,c)``, so two zones hold each record.

A zone may go; a commit that no standby confirmed is never acknowledged, however it
ends; and the standby that is promoted has every record that was.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from infra.log import Log
from infra.postgres.pool import durable, open_pool, refuse_volatile
from infra.signer.ed25519 import FileSigner, ensure_key, public_keys
from infra.signer.state import FileState
from infra.system import SystemClock
from pipeline.audit import empty
from pipeline.errors import IntegrityError, RetryableError
from pipeline.verification import Verified, verify
from producers.checkpointer import Checkpointer
from producers.fullpass import FullPass
from schemas.ids import EventId, TenantId
from tests.support.audit import recorded
from tests.support.ledger import Books, Database, new_tenant, opened
from tests.support.zones import QUORUM, Zones, zones

pytestmark = [pytest.mark.integration, pytest.mark.serial, pytest.mark.timeout(300)]

CLOCK = SystemClock()
WAITING = """
    select pid from pg_stat_activity
     where usename = 'sluice_worker' and wait_event = 'SyncRep'
"""


@pytest.fixture(scope="module")
def three() -> Iterator[Zones]:
    with zones() as made:
        yield made


@asynccontextmanager
async def gone(three: Zones, *names: str) -> AsyncIterator[None]:
    """Zones without power for the length of a block."""
    for name in names:
        three.servers[name].kill()
    try:
        yield
    finally:
        for name in names:
            await asyncio.to_thread(three.servers[name].start)
        await three.follow("b", "c")


@pytest.fixture
async def quorum(three: Zones) -> Zones:
    await three.follow("b", "c")
    await three.wanted("a", QUORUM)
    return three


async def waiting(connection: asyncpg.Connection) -> int:
    while True:
        pid: int | None = await connection.fetchval(WAITING)
        if pid is not None:
            return pid
        await CLOCK.sleep(0.01)


async def held(books: Books, tenant: TenantId) -> set[EventId]:
    """The ids on a log that verifies from its bytes."""
    head = await books.logs.head(tenant)
    assert head is not None
    entries = await books.logs.read(tenant, 0, head.size + 1)
    found = verify(empty(head.origin), entries, head.last)
    assert isinstance(found, Verified)
    assert head == found.head
    return {each.event_id for each in entries}


@pytest.mark.parametrize("lost", ["b", "c"])
async def test_one_zone_may_go(quorum: Zones, lost: str) -> None:
    tenant = new_tenant()
    async with opened(quorum.made) as books, gone(quorum, lost):
        event = recorded("a", tenant=tenant)
        appended = await books.ledger.append([event])

        assert 0 == appended.repeats
        assert event.attributes.id in await held(books, tenant)


async def test_a_database_that_may_lose_what_it_committed_is_refused(
    quorum: Zones,
) -> None:
    async with await open_pool(quorum.made.worker, size=1) as pool:
        with_standbys = await durable(pool)
        await refuse_volatile(pool)
        await quorum.wanted("a", "")
        without = await durable(pool)
        with pytest.raises(ValueError, match="synchronous_standby_names"):
            await refuse_volatile(pool)

    assert (True, False) == (with_standbys, without)


async def test_without_a_second_zone_nothing_is_acknowledged(quorum: Zones) -> None:
    """The rows are there; that they would survive, nobody knows: so nobody is told."""
    tenant = new_tenant()
    event = recorded("a", tenant=tenant)
    async with opened(quorum.made, deadline_s=2) as books:
        async with gone(quorum, "b", "c"):
            with pytest.raises(RetryableError):
                await books.ledger.append([event])

        again = await books.ledger.append([event])

        assert {event.attributes.id} <= await held(books, tenant)
        assert 1 == again.repeats


async def test_a_cancelled_wait_is_never_an_acknowledgement(quorum: Zones) -> None:
    tenant = new_tenant()
    event = recorded("a", tenant=tenant)
    admin = await asyncpg.connect(quorum.made.admin)
    async with opened(quorum.made) as books:
        async with gone(quorum, "b", "c"):
            task = asyncio.create_task(books.ledger.append([event]))
            await admin.execute("select pg_cancel_backend($1)", await waiting(admin))

            with pytest.raises(RetryableError, match="standbys"):
                await task

        again = await books.ledger.append([event])
        assert 1 == again.repeats
    await admin.close()


FENCE = "alter table sluice.ledger_entry {} trigger user"
ALTERED = """
    update sluice.ledger_entry set actor = 'key:other' where tenant_id = $1 and seq = 2
"""


@dataclass
class Daily:
    """Whoever signs a ledger, and passes over it once a day with a standby's help."""

    books: Books
    copy: Books
    folder: Path
    told: list[int] = field(default_factory=list)

    @property
    def state(self) -> FileState:
        return FileState(self.folder / "state")

    async def sign(self) -> None:
        ensure_key(self.folder, bytes(32), CLOCK.now())
        await Checkpointer(
            ledger=self.books.ledger,
            logs=self.books.logs,
            signer=FileSigner(self.folder, CLOCK),
            state=self.state,
            clock=CLOCK,
            log=Log("test"),
        ).round()

    async def look(self) -> None:
        await FullPass(
            logs=self.books.logs,
            ledger=self.books.ledger,
            keys=public_keys(self.folder).named,
            state=self.state,
            clock=CLOCK,
            log=Log("test"),
            tell=self.told.append,
            alarm=lambda _: None,
            standby=self.copy.logs,
        ).round()


async def alter(made: Database, tenant: TenantId) -> None:
    """As a superuser would."""
    connection = await asyncpg.connect(made.admin)
    try:
        await connection.execute(FENCE.format("disable"))
        await connection.execute(ALTERED, tenant)
        await connection.execute(FENCE.format("enable"))
    finally:
        await connection.close()


async def test_the_full_pass_reads_a_standby_as_far_as_it_has_what_was_signed(
    quorum: Zones, tmp_path: Path
) -> None:
    """An altered row that the standby does not show yet tells where it was read."""
    tenant = new_tenant()
    async with opened(quorum.made) as books, opened(quorum.at("b")) as copy:
        daily = Daily(books, copy, tmp_path)
        await books.ledger.append([recorded(each, tenant=tenant) for each in "abc"])
        await daily.sign()
        await quorum.caught_up("b")
        async with quorum.held_back("b"):
            await alter(quorum.made, tenant)
            await daily.look()
            await books.ledger.append([recorded("d", tenant=tenant)])
            await daily.sign()  # more than the standby shows

            with pytest.raises(IntegrityError):
                await daily.look()

        await quorum.caught_up("b")
        with pytest.raises(IntegrityError):
            await daily.look()

    assert [0, 1, 1] == daily.told


async def appending(books: Books, tenant: TenantId) -> set[EventId]:
    """Append one record after the other until the server is gone; what was told."""
    acknowledged = set[EventId]()
    while True:
        event = recorded(str(len(acknowledged)), tenant=tenant)
        try:
            await books.ledger.append([event])
        except RetryableError:
            return acknowledged
        acknowledged.add(event.attributes.id)


async def test_the_promoted_standby_has_every_acknowledged_record(
    quorum: Zones,
) -> None:
    """The primary dies amid appends, one standby behind the other: the last test."""
    tenant = new_tenant()
    async with opened(quorum.made, deadline_s=5) as books:
        task = asyncio.create_task(appending(books, tenant))
        await CLOCK.sleep(0.5)
        quorum.servers["c"].kill()  # from here on b alone confirms
        await CLOCK.sleep(1.0)
        quorum.servers["a"].kill()
        acknowledged = await task
    await asyncio.to_thread(quorum.servers["c"].start)
    behind = {name: await quorum.received(name) for name in ("b", "c")}
    best = max(behind, key=lambda name: behind[name])

    await quorum.promote(best)
    await quorum.wanted(best, "")

    async with opened(quorum.at(best)) as books:
        kept = await held(books, tenant)
        # Whoever appends goes on where the acknowledgements ended.
        late = recorded(str(len(acknowledged)), tenant=tenant)
        await books.ledger.append([late])
        after = await held(books, tenant)

    assert 20 < len(acknowledged)
    assert behind["b"] > behind["c"]
    assert acknowledged <= kept
    assert after - kept <= {late.attributes.id}
    assert len(after) == len(acknowledged) + 2
