"""How far the root log says that accepted requests were checked."""

from collections.abc import Mapping
from typing import Final

from pipeline.audit import ROOT, record
from pipeline.errors import InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.querying import Query
from schemas.audit import OffsetRange

CHECKED: Final = "completeness.checked"
_NEAR: Final = 1024
"""Records at the end of the root log among which the last one is looked for first."""


async def checked(logs: Logs) -> Mapping[int, int]:
    """The next offset of each partition, by the last record that names any."""
    head = await logs.head(ROOT)
    start = end = head.size if head else 0
    while start > 0:
        start = max(0, end - 4 * (end - start) - _NEAR)
        rows = await logs.find(ROOT, Query(action=CHECKED), start, end - start)
        for row in reversed(rows):
            if ranges := _ranges(row.body):
                return {each.partition: each.end for each in ranges}
    return {}


def skipped(stored: Mapping[int, int], told: Mapping[int, int]) -> Mapping[int, range]:
    """By partition, the offsets that lie between what was checked and what is stored.

    Both are written in one transaction, so there are none unless somebody moved one.
    """
    gaps = {at: range(told.get(at, 0), end) for at, end in stored.items()}
    return {at: gap for at, gap in gaps.items() if gap}


def _ranges(body: bytes) -> tuple[OffsetRange, ...]:
    try:
        return record(body).offsets
    except InvalidMessage:
        return ()
