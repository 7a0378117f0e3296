"""Anchoring: what others are given of each checkpoint of the root log.

The root log alone is anchored: it commits to all the others, so that an authority or a
witness is asked once an interval, however many tenants there are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from infra.log import Log, Word
from pipeline.audit import ROOT
from pipeline.checkpoint import parse_note
from pipeline.errors import IntegrityError, RetryableError
from pipeline.merkle import consistency_proof
from pipeline.passes import reading
from pipeline.ports.anchors import (
    Anchored,
    Anchors,
    Behind,
    Kind,
    Stamper,
    Vault,
    Witness,
)
from pipeline.ports.ledger import Logs
from pipeline.ports.system import Clock
from producers.copying import copied, stands

Give = Callable[[], Awaitable[bytes | None]]
"""None: it was given before."""
ASKED = 16
"""Noted copies that a bucket is asked about before all is copied again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """Asks everybody for what the last checkpoint of the root log still lacks.

    Attributes:
        stampers: by the operator's name for each; so are the others.
    """

    logs: Logs
    anchors: Anchors
    clock: Clock
    log: Log
    stampers: Mapping[str, Stamper] = field(default_factory=dict)
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    vaults: Mapping[str, Vault] = field(default_factory=dict)

    async def round(self) -> bool:
        """Everybody once; False: there is no more to do now.

        Raises:
            RetryableError: somebody is away; all others had their turn.
            IntegrityError: somebody refused, or answered what does not hold.
        """
        note = await self.logs.latest(ROOT)
        if note is None:
            return False
        held = await self.anchors.anchored(ROOT)
        failed = [await self._one(*each, note, held) for each in self._all(note, held)]
        for kind in (IntegrityError, RetryableError):
            if any(isinstance(each, kind) for each in failed):
                raise kind("an anchor was not given")
        return False

    def _all(
        self, note: str, held: Sequence[Anchored]
    ) -> Sequence[tuple[Kind, str, Give]]:
        last = partial(_last, held)
        stamped = [
            (Kind.TIMESTAMP, by, partial(each.stamp, note.encode()))
            for by, each in self.stampers.items()
        ]
        cosigned = [
            (
                Kind.WITNESS,
                by,
                partial(self._cosigned, each, last(Kind.WITNESS, by), note),
            )
            for by, each in self.witnesses.items()
        ]
        kept = [
            (Kind.COPY, by, partial(self._copied, each, by, held, note))
            for by, each in self.vaults.items()
        ]
        return [*stamped, *cosigned, *kept]

    async def _one(
        self, kind: Kind, by: str, give: Give, note: str, held: Sequence[Anchored]
    ) -> Exception | None:
        size = parse_note(note).size
        noted = any(
            (each.size, each.kind, each.by) == (size, kind, by) for each in held
        )
        if noted and kind is not Kind.COPY:
            return None
        try:
            evidence = await give()
        except (RetryableError, IntegrityError) as error:
            told = Word(type(error).__name__)
            # Its class alone, as in every log line.
            self.log.error("anchor_failed", kind=kind, by=Word(by), error=told)  # noqa: TRY400
            return error
        if evidence is None:
            return None
        anchored = Anchored(size, kind, by, evidence, self.clock.now())
        await self.anchors.keep(ROOT, anchored)
        return None

    async def _copied(
        self, vault: Vault, by: str, held: Sequence[Anchored], note: str
    ) -> bytes | None:
        """A copy goes on from the last one that the bucket holds, whatever is noted."""
        signed = parse_note(note)
        noted = sorted(
            (
                each
                for each in held
                if (each.kind, each.by) == (Kind.COPY, by) and each.size <= signed.size
            ),
            key=lambda each: each.size,
            reverse=True,
        )
        before = 0
        for each in noted[:ASKED]:
            if await stands(vault, signed.origin, each):
                before = each.size
                break
        if before == signed.size:
            return None
        evidence = await copied(self.logs, vault, before, note)
        if noted and noted[0].size == signed.size:
            # What is noted stays, so whoever looks there for the copy is misled.
            raise IntegrityError("a copy is noted that the bucket does not hold", by)
        return evidence

    async def _cosigned(self, witness: Witness, last: int, note: str) -> bytes:
        found = await self._added(witness, last, note)
        if isinstance(found, Behind):
            found = await self._added(witness, found.size, note)
        if isinstance(found, Behind):
            raise RetryableError("the witness moved on meanwhile")
        return "".join(found).encode()

    async def _added(
        self, witness: Witness, old: int, note: str
    ) -> Sequence[str] | Behind:
        size = parse_note(note).size
        if old > size:
            raise IntegrityError("the witness knows a longer log", "witness")
        proof: Sequence[bytes] = ()
        if 0 < old < size:
            proof = await reading(
                self.logs, ROOT, lambda nodes: consistency_proof(nodes, old, size)
            )
        return await witness.add(old, proof, note)


def _last(held: Sequence[Anchored], kind: Kind, by: str) -> int:
    """The largest size that they were given; 0: none."""
    sizes = (each.size for each in held if (each.kind, each.by) == (kind, by))
    return max(sizes, default=0)
