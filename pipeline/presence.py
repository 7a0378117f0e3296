"""Whether logs are still there: a log that vanished whole has no row to say so."""

from collections.abc import Collection, Mapping, Sequence

from pipeline.audit import ROOT, record
from pipeline.checkpoint import Checkpoint
from pipeline.erasures import every
from pipeline.errors import HeadBent, InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.querying import Query
from pipeline.root import HEARTBEAT
from schemas.ids import TenantId


async def origin_of(logs: Logs, tenant: TenantId) -> str | None:
    """The name of a log, also of one whose end is bent; None: there is no log."""
    try:
        head = await logs.head(tenant)
    except HeadBent as bent:
        return bent.origin
    return head.origin if head else None


async def vanished(
    logs: Logs, signed: Collection[Checkpoint], ended: Mapping[str, Checkpoint]
) -> Sequence[str]:
    """The origins of those that were signed and have no log any more, sorted.

    Ask the signer for ``signed`` before this: a log that is signed meanwhile is there.

    Args:
        logs: where they should lie.
        signed: checkpoints that somebody remembers.
        ended: the last checkpoints of logs that were closed and deleted, by origin. One
            that is behind what was signed, or another, ended nothing.
    """
    there = {await origin_of(logs, each) for each in await logs.tenants()}
    gone = [each for each in signed if each.origin not in there]
    return sorted({each.origin for each in gone if not _ends(ended, each)})


def _ends(ended: Mapping[str, Checkpoint], signed: Checkpoint) -> bool:
    last = ended.get(signed.origin)
    return last is not None and (last.size > signed.size or last == signed)


async def fewer(logs: Logs) -> int | None:
    """The root log's first heartbeat that counts fewer logs than the one before it.

    Those that were closed and deleted are counted on, so their number only grows. None:
    it did. The next heartbeat must count fewer too: of two signers that meet, the one
    that counted first may be the last to write.
    """
    beats = every(logs, ROOT, Query(action=HEARTBEAT))
    counted = [(row.seq, _count(row.body)) async for row in beats]
    return _shrunk([(seq, count) for seq, count in counted if count is not None])


def _count(body: bytes) -> int | None:
    """None: what is no record, or no heartbeat, counts nothing."""
    try:
        beat = record(body).heartbeat
    except InvalidMessage:
        return None
    return beat.logs if beat else None


def _shrunk(beats: Sequence[tuple[int, int]]) -> int | None:
    three = zip(beats, beats[1:], beats[2:], strict=False)
    return next((seq for (_, a), (seq, b), (_, c) in three if b < a and c < a), None)
