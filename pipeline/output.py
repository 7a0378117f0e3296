"""What an answer must not do: leak its prompt, carry data away, bring active code."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection.sets import GuardFailed

SHINGLE: Final = 8
"""Words in a row that are compared."""
LEAKED: Final = 0.4
"""Share of the system part's shingles that an answer may repeat."""
MIN_SHINGLES: Final = 4
MOST_SHARED: Final = 10_000_000
"""Shingles that prompts share with texts, each pair counted: a second's work. Of a
prompt of 200,000 words that ten choices repeat it is a fifth."""

_WORD: Final = re.compile(r"\w+")
_PICTURED: Final = re.compile(
    r"!\[[^\]\n]{0,200}+\]\(\s?https?://([^\s)\"'>]++)", re.IGNORECASE
)
_SOURCE: Final = re.compile(
    r"src\s?=\s?[\"']?\s?https?://([^\s)\"'>]++)", re.IGNORECASE
)
_IMAGE: Final = re.compile(r"<img", re.IGNORECASE)
_DIVIDER: Final = re.compile(r"[?&/=]")
_CARRIED: Final = re.compile(
    r"<[A-Z_]{4,12}_[0-9A-Z]{4}_S?\d+|=[A-Za-z0-9+/%_-]{40}", re.IGNORECASE
)
_ACTIVE: Final = re.compile(
    r"<\s?(?:script|iframe|object|embed)\b[^>\n]{0,300}+>|"
    r"\]\(\s?(?:javascript|vbscript|data:text/html)",
    re.IGNORECASE,
)
_HANDLER: Final = re.compile(r"\son[a-z]{3,16}+\s?=", re.IGNORECASE)
_TAG: Final = re.compile(r"<[a-z]{1,10}\b", re.IGNORECASE)
_TAG_CHARS: Final = 312
"""So far behind its beginning a tag's attributes are looked for."""
_FENCED: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,400}`", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OutputHit:
    """What an answer did."""

    rule: str
    reason: str


def look(texts: Sequence[str], prompts: Sequence[str]) -> Iterator[OutputHit]:
    """What an answer does that it must not; ``prompts`` are its request's system parts.

    HTML in code is quoted, not active, so code is left out there.

    Raises:
        GuardFailed: as :func:`repeats` does.
    """
    for text in texts:
        yield from _brought(text)
    if repeats(texts, prompts):
        yield OutputHit("output.prompt", "security.prompt_extraction")


def _brought(text: str) -> Iterator[OutputHit]:
    if "<" in text or "](" in text:  # neither begins otherwise
        if any(map(_carries, _fetched(text))):
            yield OutputHit("output.link", "security.exfiltration")
        shown = _FENCED.sub(" ", text)
        if _ACTIVE.search(shown) or _handles(shown):
            yield OutputHit("output.active", "security.exfiltration")


def _fetched(text: str) -> Iterator[str]:
    """Addresses, from the host on, that are asked for as soon as the text is shown."""
    for found in _PICTURED.finditer(text):
        yield found[1]
    for found in _SOURCE.finditer(text):
        if _within(_IMAGE, text, found.start()):
            yield found[1]


def _carries(address: str) -> bool:
    """Whether behind its host it holds a token, or much that is encoded."""
    divider = _DIVIDER.search(address, 1)
    return divider is not None and bool(_CARRIED.search(address, divider.end()))


def _handles(text: str) -> bool:
    """Whether a tag has a handler."""
    handlers = _HANDLER.finditer(text)
    return any(_within(_TAG, text, found.start()) for found in handlers)


def _within(tag: re.Pattern[str], text: str, place: int) -> bool:
    """Whether such a tag is open here; looked for backwards, it costs what is near."""
    before = text[max(0, place - _TAG_CHARS) : place]
    return bool(tag.search(before, max(before.rfind(">"), before.rfind("\n")) + 1))


def repeats(texts: Sequence[str], prompts: Sequence[str]) -> bool:
    """Whether one of the texts repeats so much of one of the prompts that it tells it.

    Each is cut into shingles once: a body may hold thousands of system parts.

    Raises:
        GuardFailed: thousands of prompts share something with thousands of texts.
    """
    if not prompts:
        return False
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        for shingle in _shingles(text):
            holders[shingle].append(index)
    left = MOST_SHARED
    for prompt in prompts:
        secret = _shingles(prompt)
        shared = [holders[each] for each in secret if each in holders]
        left -= sum(map(len, shared))
        if left < 0:
            raise GuardFailed("too many texts share too much with too many prompts")
        if _told(len(secret), shared):
            return True
    return False


def _told(secret: int, shared: Sequence[Sequence[int]]) -> bool:
    """Whether one text holds ``LEAKED`` of a prompt's shingles."""
    if secret < MIN_SHINGLES:
        return False
    held = Counter(index for each in shared for index in each)
    return max(held.values(), default=0) / secret >= LEAKED


def _shingles(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
