"""Whether the root log commits to each checkpoint of a log, before it is public."""

from pipeline.audit import ROOT, record
from pipeline.checkpoint import parse_note
from pipeline.errors import InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.root import commitment
from pipeline.verification import Broken
from schemas.ids import TenantId

AT_ONCE = 1000
"""Records of the root log that are read at once."""


async def uncommitted(logs: Logs, tenant: TenantId) -> Broken | None:
    """The first checkpoint of a log that the root log does not commit to, by its size.

    None: it commits to each, or this is the root log. Whether the root log itself
    holds is not asked.
    """
    if tenant == ROOT:
        return None
    notes = {parse_note(each).size: each for each in await logs.checkpoints(tenant)}
    rooted = await logs.commitments(tenant)
    sizes = sorted(notes)
    for start in range(0, len(sizes), AT_ONCE):
        some = sizes[start : start + AT_ONCE]
        places = [rooted[size].seq for size in some if size in rooted]
        said = {each.seq: _commit(each.body) for each in await logs.at(ROOT, places)}
        for size in some:
            if size not in rooted:
                return Broken(size, "where the root log commits to it is not kept")
            salt, seq = rooted[size].salt, rooted[size].seq
            if said.get(seq) != commitment(salt, notes[size]):
                return Broken(size, "the root log does not commit to this checkpoint")
    return None


def _commit(body: bytes) -> str | None:
    try:
        return record(body).commit
    except InvalidMessage:
        return None
