"""Whether logs are still there: a log that vanished whole has no row to say so."""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from pipeline.audit import ROOT, record
from pipeline.erasures import every
from pipeline.errors import InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.querying import Query
from pipeline.root import HEARTBEAT


async def vanished(logs: Logs, signed: Collection[str]) -> Sequence[str]:
    """Those origins that were signed and have no log any more, sorted.

    Ask the signer for ``signed`` before this: a log that is signed meanwhile is there.
    """
    heads = [await logs.head(each) for each in await logs.tenants()]
    return sorted(set(signed) - {head.origin for head in heads if head})


async def fewer(logs: Logs) -> int | None:
    """The root log's first heartbeat that counts fewer logs than the one before it.

    Logs are opened and never dropped, so their number only grows. None: it did.
    """
    beats = every(logs, ROOT, Query(action=HEARTBEAT))
    counted = [(row.seq, _count(row.body)) async for row in beats]
    return _shrunk((seq, count) for seq, count in counted if count is not None)


def _count(body: bytes) -> int | None:
    """None: a pass over the log tells what this record is."""
    try:
        beat = record(body).heartbeat
    except InvalidMessage:
        return None
    return beat.logs if beat else None


def _shrunk(beats: Iterable[tuple[int, int]]) -> int | None:
    return next((seq for (_, a), (seq, b) in pairwise(beats) if b < a), None)
