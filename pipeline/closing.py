"""The end of a log: closed by its last record, signed, and only then deleted whole.

What is kept of it is that record, with the proof that it stands last under the last
checkpoint, and the place where the root log commits to that. So nobody has to believe
whoever deleted it: a log of which this cannot be shown has vanished.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.acts import Act, acted
from pipeline.audit import ROOT, record
from pipeline.checkpoint import Checkpoint, VerifyKey, open_checkpoint
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.ledger import Deleted, Logs
from pipeline.presence import vanished
from pipeline.proofs import parse_proof, prove, verify_proof
from pipeline.root import commitment
from schemas.audit import CLOSED, AuditRecorded, Erase
from schemas.events import timestamp
from schemas.ids import TenantId
from schemas.topics import Outgoing

Keys = Callable[[str], Sequence[VerifyKey]]
"""The keys of a log, by its origin."""


def closing(act: Act) -> Outgoing[AuditRecorded]:
    """The last record of a log: who closed it, and that its tenant's keys are gone."""
    told = acted(replace(act, action=CLOSED))
    covered = Erase(scope="tenant", ref=act.tenant, as_of=timestamp(act.at))
    data = told.event.data.model_copy(update={"erase": covered})
    return replace(told, event=replace(told.event, data=data))


async def is_closed(logs: Logs, tenant: TenantId) -> bool:
    """Is ``log.closed`` the last record of this log?"""
    head = await logs.head(tenant)
    if head is None or not head.size:
        return False
    return any(
        row.action == CLOSED for row in await logs.read(tenant, head.size - 1, 1)
    )


async def kept_of(logs: Logs, tenant: TenantId, keys: Sequence[VerifyKey]) -> Deleted:
    """What is to be kept of a log that may be deleted.

    Raises:
        LookupError: the tenant has no log.
        IntegrityError: it is not closed, its last checkpoint does not count its last
            record, or the root log does not commit to that yet.
    """
    head, note = await logs.head(tenant), await logs.latest(tenant)
    if head is None:
        raise LookupError("expected a tenant with a log")
    if not await is_closed(logs, tenant):
        raise IntegrityError("expected a log that is closed")
    signed = open_checkpoint(note, keys) if note else None
    rooted = await logs.rooted(tenant, head.size)
    if note is None or signed != _of(head.origin, head.size, head.tree.root()):
        raise IntegrityError("expected a checkpoint of the closed log")
    if rooted is None:
        raise IntegrityError("expected the root log to commit to the last checkpoint")
    (last,) = await logs.read(tenant, head.size - 1, 1)
    proof = await prove(logs, tenant, last.seq, signed, note)
    kept = Deleted(tenant, head.origin, last.body, proof.text, rooted)
    if await _ended(logs, kept, keys) is None:
        raise IntegrityError("expected proofs that hold of the log's end")
    return kept


def _of(origin: str, size: int, root: bytes) -> Checkpoint:
    return Checkpoint(origin, size, root)


async def ended(logs: Logs, keys: Keys) -> Mapping[str, Checkpoint]:
    """The last checkpoints of logs that were deleted as they may be, by origin.

    One of which that cannot be shown is left out: it vanished.
    """
    found = [
        (kept, await _ended(logs, kept, keys(kept.origin)))
        for kept in await logs.deleted()
    ]
    return {kept.origin: signed for kept, signed in found if signed}


async def gone(logs: Logs, signed: Collection[Checkpoint], keys: Keys) -> Sequence[str]:
    """The origins of those that were signed, and have neither a log nor an end, sorted.

    Args:
        logs: where they should lie.
        signed: checkpoints that somebody remembers; ask the signer before this.
        keys: of each log.
    """
    missing = await vanished(logs, signed, {})
    left = [each for each in signed if each.origin in missing]
    # In this order: a log that is deleted meanwhile is still there, or its end is kept.
    return await vanished(logs, left, await ended(logs, keys)) if left else ()


async def _ended(
    logs: Logs, kept: Deleted, keys: Sequence[VerifyKey]
) -> Checkpoint | None:
    """The checkpoint that counts ``log.closed`` last, if all of it holds."""
    try:
        proof = parse_proof(kept.proof)
        signed = verify_proof(proof, kept.record, keys)
        last, rows = record(kept.record), await logs.read(ROOT, kept.rooted.seq, 1)
        committed = [record(row.body).commit for row in rows]
    except InvalidMessage:
        return None
    stands = (last.action, last.log, last.seq) == (CLOSED, kept.origin, signed.size - 1)
    wanted = [commitment(kept.rooted.salt, proof.note)]
    whole = stands and signed.origin == kept.origin and proof.index == last.seq
    return signed if whole and committed == wanted else None
