"""Row-level security proved by pgrls: for every table, by a solver, not by example."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from demo.stack import Stack
from infra.postgres.roles import SLUICE
from tests.integration.test_tenancy import LOOKERS, TABLES
from tests.support.installation import Installation, installed

pytestmark = pytest.mark.integration

PGRLS = Path(sys.executable).with_name("pgrls")
Verdicts = dict[str, dict[str, str]]
"""Verdicts by policy, by table."""


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Installation]:
    with installed(stack.postgres_url) as made:
        yield made


def verified(database: str, mode: str) -> Verdicts:
    words = ("verify", "--database-url", database, "--schemas", "sluice")
    asked = [str(PGRLS), *words, "--mode", mode, "--format", "json"]
    ended = subprocess.run(asked, capture_output=True, check=False, cwd=PGRLS.parent)
    tables: list[dict[str, Any]] = json.loads(ended.stdout)["tables"]
    return {
        each["table"].removeprefix("sluice."): {
            policy["policy"]: policy["verdict"] for policy in each["policies"]
        }
        for each in tables
    }


def doubted(verdicts: Verdicts) -> set[tuple[str, str]]:
    return {
        (table, policy)
        for table, policies in verdicts.items()
        for policy, verdict in policies.items()
        if verdict != "isolated"
    }


@pytest.mark.parametrize(
    ("mode", "unproven"),
    [
        pytest.param("anon", set[tuple[str, str]](), id="without-a-tenant-no-row"),
        pytest.param("write", set[tuple[str, str]](), id="no-write-for-another"),
        # Whoever looks without being a tenant has policies, and tests, of its own.
        pytest.param("cross-tenant", LOOKERS, id="no-read-of-another"),
    ],
)
async def test_every_table_is_proved(
    database: Installation, mode: str, unproven: set[tuple[str, str]]
) -> None:
    connection = await asyncpg.connect(database.superuser)
    tables = {row["relname"] for row in await connection.fetch(TABLES)}
    await connection.close()

    found = verified(database.superuser, mode)

    assert tables - {*SLUICE.shared} == set(found)
    assert unproven == doubted(found)


FORGETFUL = """
alter policy {policy} on sluice.request using (
  id is not null
  or tenant_id = (select current_setting('sluice.tenant_id', true)::uuid))
"""


async def test_a_policy_that_forgets_the_tenant_is_found(stack: Stack) -> None:
    with installed(stack.postgres_url) as broken:
        connection = await asyncpg.connect(broken.superuser)
        for policy in ("tenant_fence", "tenant_floor"):
            await connection.execute(FORGETFUL.format(policy=policy))
        await connection.close()

        found = verified(broken.superuser, "cross-tenant")

    assert "leak" == found["request"]["tenant_fence"]
