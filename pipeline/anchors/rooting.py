"""A tenant's way to the root log: that the one history for all holds its checkpoint."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.audit import ROOT, record
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note
from pipeline.errors import InvalidMessage
from pipeline.ports.anchors import Anchored, Anchors, Kind
from pipeline.ports.ledger import Logs
from pipeline.proofs import TlogProof, prove, verify_proof
from pipeline.root import Rooted, commitment
from schemas.base import MAX_INTEGER
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True)
class RootProof:
    """What shows, to whoever holds a tenant's checkpoint, when it was there at last.

    Attributes:
        size: of the tenant's checkpoint.
        salt: 32 bytes that open the commitment; they are for that tenant alone.
        record: the root log's record, the exact bytes.
        proof: that the record stands under a checkpoint of the root log.
        anchored: what others gave for that checkpoint.
    """

    size: int
    salt: bytes
    record: bytes
    proof: TlogProof
    anchored: Sequence[Anchored]


async def prove_root(
    logs: Logs, anchors: Anchors, tenant: TenantId, up_to: int = MAX_INTEGER
) -> RootProof | None:
    """The way of a tenant's checkpoint of at most ``up_to`` records to the root log.

    It is the newest one whose root checkpoint was stamped, since the stamp says when;
    where no authority stamps, the newest that a witness cosigned; where neither, the
    newest of all. None: none was committed to yet.
    """
    anchored = await anchors.anchored(ROOT)
    attested = _sizes(anchored, Kind.TIMESTAMP) or _sizes(anchored, Kind.WITNESS)
    # Each is parsed once: a root log has a checkpoint more with every round.
    roots = {parse_note(note).size: note for note in await logs.checkpoints(ROOT)}
    sizes, good = sorted(roots), sorted(attested & roots.keys())
    newest: tuple[int, Rooted, str] | None = None
    for note in reversed(await logs.checkpoints(tenant)):
        size = parse_note(note).size
        if size > up_to:
            continue  # signed since the caller looked
        rooted = await logs.rooted(tenant, size)
        first = _above(sizes, rooted.seq) if rooted else None
        if rooted is None or first is None:
            continue
        best = _above(good, rooted.seq)
        newest = newest or (size, rooted, roots[first])
        if best is not None:
            return await _proof(logs, size, rooted, roots[best], anchored)
        if not good:
            break
    return await _proof(logs, *newest, anchored) if newest else None


def _sizes(anchored: Collection[Anchored], kind: Kind) -> frozenset[int]:
    return frozenset(each.size for each in anchored if each.kind is kind)


def _above(sizes: Sequence[int], seq: int) -> int | None:
    """The first of the sizes, in order, that counts the record."""
    at = bisect_right(sizes, seq)
    return sizes[at] if at < len(sizes) else None


async def _proof(
    logs: Logs, size: int, rooted: Rooted, note: str, anchored: Sequence[Anchored]
) -> RootProof:
    signed = parse_note(note)
    proof = await prove(logs, ROOT, rooted.seq, signed, note)
    (entry,) = await logs.read(ROOT, rooted.seq, 1)
    own = [each for each in anchored if each.size == signed.size]
    return RootProof(size, rooted.salt, entry.body, proof, own)


def verify_root(found: RootProof, note: str, keys: Collection[VerifyKey]) -> Checkpoint:
    """The root log's checkpoint under which the tenant's ``note`` was committed to.

    Raises:
        InvalidMessage: the record does not commit to this note, or does not stand in
            the root log.
    """
    if record(found.record).commit != commitment(found.salt, note):
        raise InvalidMessage("expected a commitment to this checkpoint", "root")
    return verify_proof(found.proof, found.record, keys)
