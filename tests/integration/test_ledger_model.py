"""Exactly once on Postgres, against a list: two writers, repeats, contradictions.

The twin meets longer histories (tests/component/test_ledger_model.py); here a zombie
and its successor really append at the same time.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.stack import Stack
from pipeline.audit import Recorded
from pipeline.errors import IntegrityError
from pipeline.passes import full_pass
from schemas.ids import TenantId
from tests.support.audit import recorded
from tests.support.ledger import Books, Database, database, new_tenant, opened

pytestmark = pytest.mark.integration

numbers = st.lists(st.integers(0, 30), min_size=1, max_size=8)
polls = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


def batch(tenant: TenantId, names: list[int]) -> list[Recorded]:
    return [recorded(str(each), tenant=tenant) for each in names]


async def contradicted(books: Books, tenant: TenantId, number: int) -> None:
    """A known id with another decision, behind a new event: neither is kept."""
    (event,) = batch(tenant, [number])
    other = replace(event, data=event.data.model_copy(update={"status": "other"}))
    with pytest.raises(IntegrityError):
        await books.ledger.append([recorded("new", tenant=tenant), other])


async def lived(made: Database, history: list[tuple[list[int], list[int]]]) -> None:
    tenant, known = new_tenant(), set[int]()
    async with opened(made) as zombie, opened(made) as successor:
        for one, two in history:
            done = await asyncio.gather(
                zombie.ledger.append(batch(tenant, one)),
                successor.ledger.append(batch(tenant, two)),
            )
            new = ({*one} | {*two}) - known
            repeats = sum(each.repeats for each in done)
            assert len(one) + len(two) - len(new) == repeats
            known |= new
        await contradicted(successor, tenant, min(known))

        entries = await successor.logs.read(tenant, 1, 1_000)
        report = await full_pass(successor.logs, tenant, [])

    ids = [each.event_id for each in entries]
    expected = {each.attributes.id for each in batch(tenant, sorted(known))}
    assert (expected, len(known)) == ({*ids}, len(ids))
    assert report is not None
    assert report.broken is None


@settings(max_examples=15)
@given(history=polls)
def test_each_event_is_on_the_log_once(
    made: Database, history: list[tuple[list[int], list[int]]]
) -> None:
    asyncio.run(lived(made, history))
