"""What a log says was destroyed."""

from collections.abc import AsyncIterator, Sequence

from pipeline.audit import Entry, record
from pipeline.errors import InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.querying import ERASURES, MAX_PAGE, Query
from schemas.audit import Erase
from schemas.ids import TenantId


async def erasures(
    logs: Logs, tenant: TenantId, before: int | None = None
) -> Sequence[Erase]:
    """What the records below ``before`` say was destroyed; None: all records.

    What is no record says nothing here.
    """
    found = list[Entry]()
    for action in ERASURES:
        async for row in every(logs, tenant, Query(action=action)):
            if before is None or row.seq < before:
                found.append(row)
    return [each for row in found for each in _erased(row)]


def _erased(row: Entry) -> Sequence[Erase]:
    try:
        erase = record(row.body).erase
    except InvalidMessage:
        return ()
    return (erase,) if erase else ()


async def every(
    logs: Logs, tenant: TenantId, query: Query, from_seq: int = 0
) -> AsyncIterator[Entry]:
    """All records that the query admits, page after page."""
    while rows := await logs.find(tenant, query, from_seq, MAX_PAGE):
        for row in rows:
            yield row
        from_seq = rows[-1].seq + 1
