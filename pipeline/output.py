"""What an answer must not do: leak its prompt, carry data away, bring active code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SHINGLE: Final = 8
"""Words in a row that are compared."""
LEAKED: Final = 0.4
"""Share of the system part's shingles that an answer may repeat."""
MIN_SHINGLES: Final = 4

_WORD: Final = re.compile(r"\w+")
_CARRYING: Final = re.compile(
    r"(?:!\[[^\]\n]{0,200}\]\(|<img[^>\n]{0,200}src\s?=\s?[\"']?)\s?https?://[^\s)\"'>]{1,200}"
    r"[?&/=][^\s)\"'>]{0,200}(?:<[A-Z_]{4,12}_[0-9A-Z]{4}_S?\d+>?|=[A-Za-z0-9+/%_-]{40,})",
    re.IGNORECASE,
)
_ACTIVE: Final = re.compile(
    r"<\s?(?:script|iframe|object|embed)\b[^>\n]{0,300}>|<[a-z]{1,10}\b[^>\n]{0,300}\son[a-z]{3,16}\s?=|"
    r"\]\(\s?(?:javascript|vbscript|data:text/html)",
    re.IGNORECASE,
)
_FENCED: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,400}`", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OutputHit:
    """What an answer did."""

    rule: str
    reason: str


def look(text: str, prompts: Sequence[str]) -> Iterator[OutputHit]:
    """What one text of an answer does that it must not.

    HTML in code is quoted, not active, so code is left out there.
    """
    if "<" in text or "](" in text:  # neither begins otherwise
        if _CARRYING.search(text):
            yield OutputHit("output.link", "security.exfiltration")
        if _ACTIVE.search(_FENCED.sub(" ", text)):
            yield OutputHit("output.active", "security.exfiltration")
    if any(repeats(text, prompt) for prompt in prompts):
        yield OutputHit("output.prompt", "security.prompt_extraction")


def repeats(text: str, prompt: str) -> bool:
    """Whether the text repeats so much of a prompt that it tells it."""
    secret = _shingles(prompt)
    if len(secret) < MIN_SHINGLES:
        return False
    return len(secret & _shingles(text)) / len(secret) >= LEAKED


def _shingles(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
