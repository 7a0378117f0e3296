"""What every store of anchors must do: the twin and Postgres."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest
from typing_extensions import override

from demo.stack import Stack
from infra.memory.anchors import MemoryAnchors
from infra.memory.ledger import MemoryLedger
from infra.postgres.anchors import PostgresAnchors
from pipeline.checkpoint import Checkpoint, VerifyKey, sign
from pipeline.ports.anchors import Anchored, Anchors, Kind
from pipeline.ports.ledger import Ledger, SignedLogs
from schemas.ids import TenantId
from tests.support.audit import NOON, recorded
from tests.support.ledger import (
    DOMAIN,
    ENTROPY,
    Database,
    database,
    new_tenant,
    opened,
)


@dataclass(frozen=True)
class Shelf:
    """A store of anchors, and the ledger that it belongs to."""

    anchors: Anchors
    ledger: Ledger
    logs: SignedLogs

    async def log(self, *sizes: int) -> TenantId:
        """A log with checkpoints of these sizes."""
        tenant = new_tenant()
        await self.ledger.append([recorded("a", tenant=tenant)])
        for size in sizes:
            text = Checkpoint("ledger.test.example/x", size, bytes(32)).text
            note = sign(text, [(VerifyKey("x", bytes(32)), lambda _: bytes(64))])
            await self.logs.publish(tenant, note, NOON)
        return tenant


def stamp(size: int, by: str = "tsa", evidence: bytes = b"der") -> Anchored:
    return Anchored(size, Kind.TIMESTAMP, by, evidence, NOON)


class AnchorsContract:
    @pytest.fixture
    async def shelf(self) -> Shelf:
        raise NotImplementedError

    async def test_what_was_kept_comes_back_in_order(self, shelf: Shelf) -> None:
        tenant = await shelf.log(1, 2)
        line = Anchored(1, Kind.WITNESS, "a1", b"line\n", NOON + timedelta(seconds=1))
        for each in (stamp(2), line, stamp(1)):
            await shelf.anchors.keep(tenant, each)

        assert [stamp(1), line, stamp(2)] == await shelf.anchors.anchored(tenant)

    async def test_the_first_of_one_place_stays(self, shelf: Shelf) -> None:
        tenant = await shelf.log(1)
        await shelf.anchors.keep(tenant, stamp(1))
        await shelf.anchors.keep(tenant, stamp(1, evidence=b"later"))
        await shelf.anchors.keep(tenant, stamp(1, by="other"))

        found = await shelf.anchors.anchored(tenant)

        assert [b"der", b"der"] == [each.evidence for each in found]
        assert ["other", "tsa"] == [each.by for each in found]

    async def test_logs_are_apart(self, shelf: Shelf) -> None:
        mine, other = await shelf.log(1), await shelf.log(1)
        await shelf.anchors.keep(mine, stamp(1))

        assert [] == await shelf.anchors.anchored(other)


class TestMemoryAnchors(AnchorsContract):
    @override
    @pytest.fixture
    async def shelf(self) -> Shelf:
        ledger = MemoryLedger(DOMAIN, ENTROPY)
        return Shelf(MemoryAnchors(), ledger, ledger)


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.mark.integration
class TestPostgresAnchors(AnchorsContract):
    @override
    @pytest.fixture
    async def shelf(self, made: Database) -> AsyncIterator[Shelf]:
        async with (
            opened(made) as books,
            asyncpg.create_pool(made.checkpointer, min_size=1, max_size=2) as pool,
        ):
            anchors = PostgresAnchors(pool=pool, role="sluice_ledger_signer")
            yield Shelf(anchors, books.ledger, books.logs)

    async def test_nobody_changes_or_deletes_one(
        self, shelf: Shelf, made: Database
    ) -> None:
        """Not even a superuser, while the triggers are on."""
        tenant = await shelf.log(1)
        await shelf.anchors.keep(tenant, stamp(1))
        connection = await asyncpg.connect(made.admin)

        for statement in (
            "update sluice.ledger_anchor set evidence = 'x'",
            "delete from sluice.ledger_anchor",
            "truncate sluice.ledger_anchor",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()

        assert [stamp(1)] == await shelf.anchors.anchored(tenant)

    async def test_the_writer_of_records_cannot_anchor(
        self, shelf: Shelf, made: Database
    ) -> None:
        tenant = await shelf.log(1)
        async with asyncpg.create_pool(made.worker, min_size=1, max_size=1) as pool:
            anchors = PostgresAnchors(pool=pool, role="sluice_tenant")

            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await anchors.keep(tenant, stamp(1))
