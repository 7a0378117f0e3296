"""Offline proofs: c2sp.org/tlog-proof, a record's way up to a signed checkpoint."""

import re
from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.checkpoint import Checkpoint, VerifyKey, open_checkpoint, parse_base64
from pipeline.errors import InvalidMessage
from pipeline.merkle import inclusion_proof, leaf_hash, verify_inclusion
from pipeline.passes import reading
from pipeline.ports.ledger import Logs
from schemas.ids import TenantId

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That a leaf stands at ``index`` of the log that ``note`` is a checkpoint of."""

    index: int
    hashes: tuple[bytes, ...]
    note: str

    @property
    def text(self) -> str:
        """The form in which it travels."""
        lines = [HEADER, f"index {self.index}", *map(_base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines) + "\n" + self.note


def parse_proof(text: str) -> TlogProof:
    """The proof that :attr:`TlogProof.text` writes; an ``extra`` line is passed over.

    Raises:
        InvalidMessage: it is no such proof.
    """
    head, blank, note = text.partition("\n\n")
    header, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        lines = lines[1:]
    if not blank or header != HEADER or not lines or not lines[0].startswith("index "):
        raise InvalidMessage("expected a proof of c2sp.org/tlog-proof@v1", "proof")
    number = lines[0].removeprefix("index ")
    if not _INDEX(number):
        raise InvalidMessage("expected a decimal index", "proof")
    hashes = tuple(parse_base64(line, "proof") for line in lines[1:])
    return TlogProof(int(number), hashes, note)


def verify_proof(
    proof: TlogProof, record: bytes, keys: Collection[VerifyKey]
) -> Checkpoint:
    """The checkpoint under which ``record`` is proved.

    Raises:
        InvalidMessage: it proves nothing.
    """
    signed = open_checkpoint(proof.note, keys)
    leaf = leaf_hash(record)
    verify_inclusion(leaf, proof.index, signed.size, signed.root, proof.hashes)
    return signed


async def prove(
    logs: Logs, tenant: TenantId, seq: int, signed: Checkpoint, note: str
) -> TlogProof:
    """The proof of one record under a checkpoint that counts it.

    Raises:
        ValueError: the checkpoint is older than the record.
        IntegrityError: the log's tiles are not all there.
    """
    hashes: Sequence[bytes] = await reading(
        logs, tenant, lambda nodes: inclusion_proof(nodes, seq, signed.size)
    )
    return TlogProof(seq, tuple(hashes), note)


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()
