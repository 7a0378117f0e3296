"""Kinds of JSON values, and what to say where another one was expected."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.base import MAX_INTEGER


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value, in words."""

    expected: str
    holds: Callable[[object], bool]


def wrong(
    found: Mapping[str, Any], kinds: Mapping[str, Kind], where: str = ""
) -> Iterator[str]:
    """Fields of another kind: path, and what was expected. Null is as absent."""
    for name, kind in kinds.items():
        value = found.get(name)
        if value is not None and not kind.holds(value):
            yield f"{where}{name}: expected {kind.expected}"


def count(value: object) -> int:
    """A count of tokens; 0 where it is none that a record could hold."""
    return value if type(value) is int and 0 <= value <= MAX_INTEGER else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_strings(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


BOOLEAN: Final = Kind("a boolean", lambda value: isinstance(value, bool))
NUMBER: Final = Kind("a number", _is_number)
INTEGER: Final = Kind("an integer", lambda value: type(value) is int)
STRING: Final = Kind("a string", lambda value: isinstance(value, str))
STRINGS: Final = Kind("a string or an array of strings", _is_strings)
OBJECT: Final = Kind("an object", lambda value: isinstance(value, dict))
OBJECTS: Final = Kind("an array of objects", _is_objects)
STRING_OR_OBJECT: Final = Kind(
    "a string or an object", lambda value: isinstance(value, str | dict)
)
