"""Findings: how a record counts them, and how they are sealed beside the content."""

import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.contents import Contents
from pipeline.detection.engine import Finding, Recipe
from pipeline.errors import InvalidMessage
from pipeline.sealing import DataKey, Purpose
from schemas.requests import Looked, SealedContent

MAX_SEALED: Final = 2_000
"""Findings that are kept one by one; a record counts them all."""
MAX_PLAIN_BYTES: Final = 1_048_576
_COLUMNS: Final = (
    "part", "start", "end", "class", "kind", "confidence", "rule", "via", "action",
    "token",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Acted:
    """One finding, where it was and what was done. Never the value.

    Attributes:
        part: index of the text part.
        action: ``strict``, ``reversible``, ``flag``, or ``near``: below its threshold.
        token: what stands in its place; None where the text stayed.
    """

    part: int
    finding: Finding
    action: str
    token: str | None


def looked_by(
    stage: str, recipe: Recipe, signals: Collection[str], acted: Sequence[Acted] = ()
) -> Looked:
    """What a record says of one stage: the recipe, signals, and counts."""
    counted = Counter((a.finding.data_class.lower(), a.action) for a in acted)
    found: dict[str, dict[str, int]] = {}
    for (data_class, action), number in sorted(counted.items()):
        found.setdefault(data_class, {})[action] = number
    return Looked(
        stage=stage, recipe=recipe.id, signals=tuple(sorted(signals)), found=found
    )


def packed(acted: Sequence[Acted], recipe: Recipe) -> bytes:
    """Findings as they are sealed. Law: equal findings give equal bytes."""
    rows = [
        [
            each.part,
            each.finding.start,
            each.finding.end,
            each.finding.data_class,
            each.finding.kind,
            round(each.finding.confidence, 3),
            each.finding.rule,
            each.finding.via,
            each.action,
            each.token,
        ]
        for each in acted[:MAX_SEALED]
    ]
    told = {"recipe": recipe.id, "all": len(acted), "columns": _COLUMNS, "rows": rows}
    return zlib.compress(orjson.dumps(told))


def sealed(
    contents: Contents, key: DataKey, acted: Sequence[Acted], recipe: Recipe
) -> SealedContent | None:
    """What was found, sealed as the content is; None: nothing was."""
    if not acted:
        return None
    return contents.seal(key, Purpose.FINDINGS, packed(acted, recipe))


def unpacked(raw: bytes) -> dict[str, Any]:
    """What :func:`packed` wrote: recipe, number of all, columns and rows.

    Raises:
        InvalidMessage: it is something else.
    """
    reader = zlib.decompressobj()
    try:
        told = orjson.loads(reader.decompress(raw, MAX_PLAIN_BYTES))
    except (zlib.error, orjson.JSONDecodeError):
        told = None
    if not isinstance(told, dict):
        raise InvalidMessage("expected findings", "findings")
    return told
