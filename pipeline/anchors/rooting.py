"""A tenant's way to the root log: that the one history for all holds its checkpoint."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.audit import ROOT, record
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note
from pipeline.errors import InvalidMessage
from pipeline.ports.anchors import Anchored, Anchors, Kind
from pipeline.ports.ledger import Logs
from pipeline.proofs import TlogProof, prove, verify_proof
from pipeline.root import Rooted, commitment
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
    logs: Logs, anchors: Anchors, tenant: TenantId
) -> RootProof | None:
    """The way of a tenant's checkpoint up to the root log.

    It is the newest one whose root checkpoint was stamped, since the stamp says when;
    without stamps the newest of all. None: none was committed to yet.
    """
    anchored = await anchors.anchored(ROOT)
    stamped = {each.size for each in anchored if each.kind is Kind.TIMESTAMP}
    roots = await logs.checkpoints(ROOT)
    newest: tuple[int, Rooted, str] | None = None
    for note in reversed(await logs.checkpoints(tenant)):
        size = parse_note(note).size
        rooted = await logs.rooted(tenant, size)
        above = [each for each in roots if rooted and _counts(each, rooted)]
        if rooted is None or not above:
            continue
        best = next((each for each in above if parse_note(each).size in stamped), None)
        newest = newest or (size, rooted, above[0])
        if best is not None:
            return await _proof(logs, size, rooted, best, anchored)
        if not stamped:
            break
    return await _proof(logs, *newest, anchored) if newest else None


async def _proof(
    logs: Logs, size: int, rooted: Rooted, note: str, anchored: Sequence[Anchored]
) -> RootProof:
    signed = parse_note(note)
    proof = await prove(logs, ROOT, rooted.seq, signed, note)
    (entry,) = await logs.read(ROOT, rooted.seq, 1)
    own = [each for each in anchored if each.size == signed.size]
    return RootProof(size, rooted.salt, entry.body, proof, own)


def _counts(note: str, rooted: Rooted) -> bool:
    return parse_note(note).size > rooted.seq


def verify_root(found: RootProof, note: str, keys: Collection[VerifyKey]) -> Checkpoint:
    """The root log's checkpoint under which the tenant's ``note`` was committed to.

    Raises:
        InvalidMessage: the record does not commit to this note, or does not stand in
            the root log.
    """
    if record(found.record).commit != commitment(found.salt, note):
        raise InvalidMessage("expected a commitment to this checkpoint", "root")
    return verify_proof(found.proof, found.record, keys)
