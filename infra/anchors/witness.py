"""A witness over HTTP (c2sp.org/tlog-witness)."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from typing_extensions import override

from infra.anchors.posting import Answer, post
from pipeline.anchors.cosignatures import add_checkpoint, cosignatures
from pipeline.checkpoint import VerifyKey
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.anchors import Behind, Witness

SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class HttpWitness(Witness):
    """One witness.

    Attributes:
        url: its submission prefix, without a final slash.
        key: with which it cosigns, as the operator was given it.
    """

    url: str
    key: VerifyKey

    @override
    async def add(
        self, old: int, proof: Sequence[bytes], note: str
    ) -> Sequence[str] | Behind:
        body = add_checkpoint(old, proof, note)
        answer = await post(f"{self.url}/add-checkpoint", body, "text/plain")
        if answer.status == HTTPStatus.CONFLICT and answer.kind == SIZE:
            return Behind(_size(answer))
        if answer.status != HTTPStatus.OK:
            raise IntegrityError(f"the witness refused: {answer.status}", "witness")
        return self._lines(note, answer.body)

    def _lines(self, note: str, body: bytes) -> Sequence[str]:
        """Lines of its key that hold; lines of others are none of ours to store."""
        try:
            found = cosignatures(note + body.decode(), [self.key])
        except (UnicodeDecodeError, InvalidMessage):
            found = ()
        if not found:
            raise IntegrityError("expected a true cosignature", "witness")
        return [each.line for each in found]


def _size(answer: Answer) -> int:
    text = answer.body.removesuffix(b"\n")
    if not text.isdigit() or len(text) > 19:  # noqa: PLR2004 - digits of 2^63
        raise IntegrityError("expected a size", "witness")
    return int(text)
