"""The incremental pass: what a checkpoint is signed on, and what an auditor asks for.

It begins at what was signed before, so it never finds a change in an older row.
"""

from collections.abc import Sequence
from hashlib import sha256

from pipeline.audit import Head, empty
from pipeline.checkpoint import Checkpoint, VerifyKey, open_checkpoint
from pipeline.errors import InvalidMessage
from pipeline.merkle import (
    CompactRange,
    Nodes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_at,
    verify_consistency,
    verify_inclusion,
)
from pipeline.passes import (
    Refused,
    Report,
    borne_out,
    nothing_behind,
    open_all,
    reading,
    report_of,
    rows_behind,
)
from pipeline.ports.ledger import Logs
from schemas.ids import TenantId


async def later_pass(
    logs: Logs, tenant: TenantId, keys: Sequence[VerifyKey], kept: Sequence[str]
) -> Report | None:
    """Recompute what came behind a checkpoint that was kept.

    It holds where the log is that checkpoint's, grown. A change in a row that the
    checkpoint counts is found by a full pass alone.

    Args:
        logs: where the log lies.
        tenant: whose log it is.
        keys: the log's, oldest first.
        kept: signed notes; reading begins behind the first.

    Returns:
        None where the tenant has no log.
    """
    notes = [*kept, *await logs.checkpoints(tenant)]
    head = await logs.head(tenant)
    if head is None:
        return None
    try:
        signed = open_all(notes, keys, head)
        before = open_checkpoint(kept[0], keys)
        later = [each for each in signed if each.size >= before.size]
        await since(logs, tenant, before, head, signed=later)
        await nothing_behind(logs, tenant, head)
    except Refused as refused:
        return report_of(head, 0, refused.broken)
    return report_of(head, len(later), None)


async def since(
    logs: Logs,
    tenant: TenantId,
    before: Checkpoint | None,
    head: Head,
    signed: Sequence[Checkpoint] = (),
) -> Checkpoint:
    """The checkpoint of ``head``, if it is what was signed before and verified rows.

    Args:
        logs: where the log lies.
        tenant: whose it is.
        before: what was signed; None: nothing was.
        head: the log's end.
        signed: checkpoints from there on, which the rows must bear out too.

    Raises:
        Refused: a rollback, a fork, a row that does not hold, be it the last that was
            signed, tiles that do not prove that the old tree is the beginning of the
            new one.
    """
    start = empty(head.origin)
    if before is not None:
        if before.size > head.size:
            raise Refused(head.size, "the log is shorter than it was signed")
        start = await _signed_end(logs, tenant, before)
    sizes = {each.size for each in signed}
    found = await rows_behind(logs, tenant, start, head, sizes=sizes)
    borne_out(signed, {start.size: start.tree.root(), **found.roots}, head)
    new = Checkpoint(head.origin, head.size, head.tree.root())
    if before is not None:
        await _prove(logs, tenant, before, new)
    return new


async def _signed_end(logs: Logs, tenant: TenantId, before: Checkpoint) -> Head:
    size, last = before.size, before.size - 1

    def found(nodes: Nodes) -> tuple[CompactRange, Sequence[bytes]]:
        return tree_at(nodes, size), inclusion_proof(nodes, last, size)

    tree, proof = await reading(logs, tenant, found)
    if tree.root() != before.root:
        raise Refused(size, "the log is another than was signed")
    rows = await logs.read(tenant, last, 1)
    if not rows:
        raise Refused(last, "a record is missing")
    try:
        verify_inclusion(leaf_hash(rows[0].body), last, size, before.root, proof)
    except InvalidMessage:
        raise Refused(last, "the record is not the one that was signed") from None
    return Head(before.origin, sha256(rows[0].body).digest(), tree)


async def _prove(
    logs: Logs, tenant: TenantId, before: Checkpoint, new: Checkpoint
) -> None:
    sizes = before.size, new.size
    proof = await reading(logs, tenant, lambda nodes: consistency_proof(nodes, *sizes))
    try:
        verify_consistency(*sizes, before.root, new.root, proof)
    except InvalidMessage:
        raise Refused(before.size, "the tiles do not prove the new tree") from None
