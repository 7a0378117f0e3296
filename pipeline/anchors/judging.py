"""What an auditor makes of anchors: each must hold, or it is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.x509 import Certificate

from pipeline.anchors.cosignatures import cosignatures
from pipeline.anchors.timestamps import verify_timestamp
from pipeline.checkpoint import VerifyKey
from pipeline.errors import InvalidMessage
from pipeline.ports.anchors import Anchored, Kind


@dataclass(frozen=True, slots=True)
class Outsiders:
    """Whom the auditor trusts, as the auditor was told by another way.

    Attributes:
        authorities: certificates of time-stamping authorities; empty: stamps are not
            looked at.
        witnesses: keys of witnesses; empty: cosignatures are not looked at.
    """

    authorities: Sequence[Certificate] = ()
    witnesses: Sequence[VerifyKey] = ()


@dataclass(frozen=True, slots=True)
class Attested:
    """That somebody outside saw the checkpoint of ``size`` at ``at``."""

    size: int
    by: str
    at: datetime


def judge(
    anchored: Collection[Anchored], notes: Mapping[int, str], trusted: Outsiders
) -> Sequence[Attested]:
    """What the anchors of one log say, oldest first.

    Args:
        anchored: all that there are.
        notes: the log's signed checkpoints, by size.
        trusted: who is believed.

    Raises:
        InvalidMessage: a stamp or a cosignature does not hold, its checkpoint is not
            there, or somebody who is trusted attested nothing. One of whose stamps none
            holds is an authority that this auditor does not trust.
    """
    stamps = [each for each in anchored if each.kind is Kind.TIMESTAMP]
    lines = [each for each in anchored if each.kind is Kind.WITNESS]
    found = list[Attested]()
    if trusted.authorities:
        found += _stamps(stamps, notes, trusted)
    for witness in trusted.witnesses:
        found += _cosigned(lines, notes, witness)
    return sorted(found, key=lambda each: each.at)


def _stamps(
    stamps: Collection[Anchored], notes: Mapping[int, str], trusted: Outsiders
) -> Sequence[Attested]:
    found = list[Attested]()
    flaws: dict[str, InvalidMessage] = {}
    for each in stamps:
        try:
            found.append(_stamped(each, notes, trusted))
        except InvalidMessage as error:
            flaws.setdefault(each.by, error)
    believed = {each.by for each in found} or flaws.keys()
    for by in believed & flaws.keys():
        raise flaws[by]
    if not found:
        raise InvalidMessage("expected a time stamp", "anchors")
    return found


def _stamped(each: Anchored, notes: Mapping[int, str], trusted: Outsiders) -> Attested:
    message = _note(each, notes).encode()
    at = verify_timestamp(each.evidence, message, trusted.authorities)
    return Attested(each.size, each.by, at)


def _cosigned(
    lines: Collection[Anchored], notes: Mapping[int, str], witness: VerifyKey
) -> Sequence[Attested]:
    found = [
        Attested(each.size, witness.name, said.at)
        for each in lines
        for said in cosignatures(cosigned(_note(each, notes), [each]), [witness])
    ]
    if not found:
        raise InvalidMessage("expected a cosignature of each witness", "anchors")
    return found


def cosigned(note: str, lines: Collection[Anchored]) -> str:
    """The note with the cosignatures that it was given: the form in which it travels.

    Raises:
        InvalidMessage: they are not text.
    """
    try:
        return note + b"".join(each.evidence for each in lines).decode()
    except UnicodeDecodeError:
        raise InvalidMessage("expected signature lines", "anchors") from None


def _note(each: Anchored, notes: Mapping[int, str]) -> str:
    if each.size not in notes:
        raise InvalidMessage("expected the checkpoint that was anchored", "anchors")
    return notes[each.size]
