"""presidio-anonymizer's operators, as we use them: tokens in, no value out."""

import sys
from collections.abc import Sequence
from typing import Any, Final

from typing_extensions import override

from pipeline.detection.engine import Finding

# Where presidio-analyzer is installed, presidio-anonymizer imports it, and with it
# spaCy, for one operator of a cloud's: seconds and 200 MB in every process. For this
# import it is not there.
_ANALYZER: Final = "presidio_analyzer"
_HIDDEN: Final = _ANALYZER not in sys.modules
if _HIDDEN:
    sys.modules[_ANALYZER] = None  # type: ignore[assignment]
try:
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import (
        ConflictResolutionStrategy,
        OperatorConfig,
        RecognizerResult,
    )
    from presidio_anonymizer.operators import Operator, OperatorType
finally:
    if _HIDDEN:
        del sys.modules[_ANALYZER]

MAX_AT_ONCE: Final = 256
"""Findings of one call: each of them copies its text."""


class Token(Operator):
    """Puts a token, numbered before the call, where the finding was."""

    @override
    def operate(self, text: str, params: dict[str, Any] | None = None) -> str:
        """The token; the text that it stands for is not looked at."""
        return str((params or {})["token"])

    @override
    def validate(self, params: dict[str, Any] | None = None) -> None:
        """Tokens are ours: there is nothing to refuse."""

    @override
    def operator_name(self) -> str:
        """As operator configurations name it."""
        return "sluice_token"

    @override
    def operator_type(self) -> OperatorType:
        """It anonymises."""
        return OperatorType.Anonymize


def _engine() -> Any:
    engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
    engine.add_anonymizer(Token)
    return engine


_ENGINE: Final = _engine()


def replaced(text: str, found: Sequence[tuple[Finding, str]]) -> str:
    """The text with tokens in the places of findings; these must not overlap.

    Each finding is a type of its own, so that the engine merges no neighbours. It is
    given what lies between the first and the last of some, as it copies that for each.
    """
    ordered = sorted(found, key=lambda each: each[0].start)
    told: list[str] = []
    done = 0
    for first in range(0, len(ordered), MAX_AT_ONCE):
        some = ordered[first : first + MAX_AT_ONCE]
        start, end = some[0][0].start, some[-1][0].end
        near = [
            (each._replace(start=each.start - start, end=each.end - start), token)
            for each, token in some
        ]
        told += text[done:start], _some(text[start:end], near)
        done = end
    return "".join((*told, text[done:]))


def _some(text: str, found: Sequence[tuple[Finding, str]]) -> str:
    results, operators = [], {}
    for number, (finding, token) in enumerate(found):
        kind = str(number)
        results.append(RecognizerResult(kind, finding.start, finding.end, 1.0))
        operators[kind] = OperatorConfig("sluice_token", {"token": token})
    result = _ENGINE.anonymize(
        text,
        results,
        operators,
        conflict_resolution=ConflictResolutionStrategy.MERGE_SIMILAR_OR_CONTAINED,
        merge_entities_with_spaces=False,
    )
    return str(result.text)
