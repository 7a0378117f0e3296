"""Completeness: every accepted request is on the ledger, and ended once.

Ids are counted, not offsets: a transaction's markers leave gaps between offsets.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from schemas.audit import TERMINAL
from schemas.ids import RequestId

ACCEPTED: Final = "request.accepted"


@dataclass(frozen=True, slots=True)
class Completeness:
    """What became of a tenant's accepted requests.

    Attributes:
        accepted: how many there were.
        unrecorded: those without a record of their acceptance.
        unended: those without a last record.
        twice: those with more than one last record.
    """

    accepted: int
    unrecorded: tuple[RequestId, ...]
    unended: tuple[RequestId, ...]
    twice: tuple[RequestId, ...]

    @property
    def complete(self) -> bool:
        """Does each have one acceptance and exactly one end?"""
        return not (self.unrecorded or self.unended or self.twice)


def reconcile(
    accepted: Collection[RequestId], recorded: Iterable[tuple[RequestId, str]]
) -> Completeness:
    """Compare what was accepted with what the ledger holds of it.

    Args:
        accepted: ids of requests that are old enough to have ended.
        recorded: request and action of each of their records.
    """
    wanted = set(accepted)
    counted = Counter(
        (request, ACCEPTED if action == ACCEPTED else "end")
        for request, action in recorded
        if request in wanted and (action == ACCEPTED or action in TERMINAL)
    )
    ids = sorted(wanted)
    return Completeness(
        accepted=len(ids),
        unrecorded=tuple(each for each in ids if not counted[each, ACCEPTED]),
        unended=tuple(each for each in ids if not counted[each, "end"]),
        twice=tuple(each for each in ids if counted[each, "end"] > 1),
    )
