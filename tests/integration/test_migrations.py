"""Migrations on a database that has others already, or had them otherwise."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from demo.stack import Stack
from infra.postgres.migrate import migrate
from infra.postgres.roles import MAIN, MIGRATIONS
from pipeline.errors import IntegrityError
from tests.support.ledger import Database, database

pytestmark = pytest.mark.integration

FINDINGS = "0024_findings.sql"
AGAIN = "0028_findings_again.sql"
FIRST = "fc55f625bba72900c6afa8e57c1caa44977c3fad071bec6121db09aaeb0a5cd3"
AS_IT_WAS = """
drop index sluice.request_expires;
create index request_expiring on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object'
     or finished -> 'findings' <> '[]';
"""
APPLIED = "update public.sluice_migration set sha256 = $2 where name = $1"
INDICES = (
    "select indexdef from pg_indexes where tablename = 'request' order by indexname"
)


@pytest.fixture
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def connection(made: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(made.admin)
    yield opened
    await opened.close()


async def test_an_installation_with_the_first_text_of_0024_goes_on(
    made: Database, connection: asyncpg.Connection
) -> None:
    now = await connection.fetch(INDICES)
    await connection.execute(AS_IT_WAS)
    await connection.execute(APPLIED, FINDINGS, FIRST)
    await connection.execute(
        "delete from public.sluice_migration where name = $1", AGAIN
    )

    assert [AGAIN] == await migrate(made.admin, MIGRATIONS[MAIN])
    assert now == await connection.fetch(INDICES)
    assert [] == await migrate(made.admin, MIGRATIONS[MAIN])


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    made: Database, connection: asyncpg.Connection
) -> None:
    await connection.execute(APPLIED, FINDINGS, "0" * 64)

    with pytest.raises(IntegrityError, match=FINDINGS):
        await migrate(made.admin, MIGRATIONS[MAIN])
