"""A tenant's own topics: words and phrases, found whole; never patterns."""

import re
from functools import lru_cache
from typing import Any, Final

import re2

from pipeline.detection.normalise import normalise
from pipeline.detection.sets import options

_BEFORE: Final = r"(?:^|[^\pL\pN_])"
_AFTER: Final = r"(?:$|[^\pL\pN_])"
_UNSPACED: Final = 0x2E80
"""From here on scripts set no spaces between words."""


def spoken_of(text: str, terms: tuple[str, ...]) -> bool:
    """Whether one of the terms stands in a normalised text; time is linear in it."""
    return _compiled(terms).search(text.encode()) is not None


@lru_cache(maxsize=256)
def _compiled(terms: tuple[str, ...]) -> Any:
    pattern = "|".join(_whole(normalise(term).text.strip()) for term in terms)
    return re2.compile(f"(?i){pattern}".encode(), options())


def _whole(term: str) -> str:
    """A term that nothing goes on from; spaces in it are any white space."""
    words = r"\s+".join(map(re2.escape, term.split()))
    before = _BEFORE if _spaced(term[:1]) else ""
    return f"{before}{words}{_AFTER if _spaced(term[-1:]) else ''}"


def _spaced(edge: str) -> bool:
    return re.match(r"\w", edge) is not None and ord(edge) < _UNSPACED
