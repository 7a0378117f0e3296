"""Streams: completions redacted and restored as they come, chunk by chunk.

Where a text is cut is decided by its own first characters that are not out yet, never
by the chunks that they came in. So every chunking gives what one chunk gives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline import operators
from pipeline.detection.engine import Finding, GuardFailed, Recipe
from pipeline.detection.secrets import PEM_END
from pipeline.detection.work import Clock
from pipeline.redaction import closed, judged, united
from pipeline.text import Channel
from pipeline.tokens import Session, restored
from schemas.policies import Mode, PolicyDocument, Reveal

WINDOW: Final = 256
"""Characters that are looked at before any of them leaves."""
HELD: Final = 96
"""Of a window, those that stay behind: what follows them is not known yet."""
CONTEXT: Final = 64
"""Characters already out that are looked at again, as context."""
MAX_WINDOW: Final = 8_192
"""A stretch without a safe break that is longer than this is cut all the same."""
MAX_LINE: Final = 1_024
CLOSING: Final = 128
"""Characters that the end of a key may take."""

_BREAK: Final = re.compile(r"\s")
_PEM: Final = "private_key"
_PEM_END: Final = re.compile(PEM_END)
_WHOLE: Final = re.compile(r"[A-Za-z0-9_<>&;\\%‹›]*\Z")  # noqa: RUF001
Chosen = list[tuple[Finding, Mode]]


@dataclass(slots=True, kw_only=True)
class StreamRedactor:
    """Redacts one text of a completion: one choice, content block or tool call.

    Law: for every chunking, the joined output is the same. A match is never cut: of one
    longer than ``MAX_WINDOW`` the token leaves, and the rest is dropped to its end.

    Raises:
        GuardFailed: from ``feed`` and ``end``; nothing undecided has left.
    """

    policy: PolicyDocument
    recipe: Recipe
    session: Session
    clock: Clock | None = None
    _out: str = field(default="", repr=False)
    _held: str = field(default="", repr=False)
    _open: str | None = None

    def feed(self, chunk: str) -> str:
        """What may leave now."""
        self._held += chunk
        done = ""
        while (piece := self._ready()) is not None:
            done += piece
        return done

    def end(self) -> str:
        """The rest; the stream is over."""
        if self._open is not None:
            self._skip(ended=True)
        rest = len(self._held)
        return self._released(rest, self._chosen(rest), ended=True)

    def _ready(self) -> str | None:
        """The next piece; None: not enough of the text is there."""
        if self._open is not None and not self._skip():
            return None
        window = WINDOW
        while len(self._held) >= window:
            chosen = self._chosen(window)
            cut = self._cut(window, chosen)
            if cut is not None:
                return self._released(cut, chosen)
            window *= 2
        return None

    def _skip(self, *, ended: bool = False) -> bool:
        """Drop what belongs to an open block; True: its end was found.

        A key goes on to its END line, anything else to the next break. Its token has
        left already. What may be the beginning of an END line is kept.
        """
        closing = _PEM_END if self._open == _PEM else _BREAK
        found = closing.search(self._held)
        if found is not None:
            kept = found.end() if self._open == _PEM else found.start()
        else:
            kept = len(self._held) if ended else max(0, len(self._held) - CLOSING)
        self._held = self._held[kept:]
        if found is not None:
            self._open, self._out = None, ""
        return found is not None

    def _chosen(self, window: int) -> Chosen:
        """What is replaced in the window, in its offsets; what is out is context."""
        context = self._out[-CONTEXT:]
        text = context + self._held[:window]
        told = judged(
            text, Channel.COMPLETION, self.policy, self.recipe, clock=self.clock
        )
        if closed(told.failed, self.policy):
            raise GuardFailed("a guard that fails closed could not look at a stream")
        acting = [
            (f, m) for f, m in told.found if m is Mode.STRICT or m is Mode.REVERSIBLE
        ]
        return [
            (_moved(f, -len(context)), m)
            for f, m in united(acting)
            if f.end > len(context)
        ]

    def _cut(self, window: int, chosen: Chosen) -> int | None:
        """The last break, ``HELD`` before the end, that lies in nothing found."""
        text = self._held[: window - HELD]
        for place in reversed([found.end() for found in _BREAK.finditer(text)]):
            if not any(f.start < place <= f.end for f, _ in chosen):
                return place
        return window if window >= MAX_WINDOW else None

    def _released(self, cut: int, chosen: Chosen, *, ended: bool = False) -> str:
        piece, self._held = self._held[:cut], self._held[cut:]
        self._out = (self._out + piece)[-CONTEXT:]
        if cut >= MAX_WINDOW and not ended:
            self._open = _going_on(piece, chosen)
        tokens = [
            (found, self.session.token(found.data_class, value, reversible=False))
            for found, _ in chosen
            if found.start < cut and (value := piece[found.start : found.end])
        ]
        return operators.replaced(piece, [(_within(f, cut), t) for f, t in tokens])


def _going_on(piece: str, chosen: Chosen) -> str | None:
    """The kind of what reaches the end of a piece, and so goes on in what follows."""
    last = next((found for found, _ in chosen if found.end >= len(piece)), None)
    if last is None or (last.kind == _PEM and _PEM_END.search(piece, last.start)):
        return None
    return last.kind


def _moved(found: Finding, by: int) -> Finding:
    return found._replace(start=max(0, found.start + by), end=found.end + by)


def _within(found: Finding, cut: int) -> Finding:
    return found if found.end <= cut else found._replace(end=cut)


@dataclass(slots=True, kw_only=True)
class StreamRestorer:
    """Turns tokens of one text back; holds back only a word that may be one.

    Law: for every chunking, the joined output is ``restored`` of the whole text, as
    long as no word is longer than ``MAX_WINDOW``, and in JSON no string is JSON itself:
    that is known at its end, and its values are escaped once here.
    """

    vault: Mapping[str, str] = field(repr=False)
    nonce: str
    reveal: Reveal = field(default_factory=Reveal)
    in_json: bool = False
    _line: str = field(default="", repr=False)
    _held: str = field(default="", repr=False)

    def feed(self, chunk: str) -> str:
        """What may leave now."""
        self._held += chunk
        begun = _WHOLE.search(self._held, max(0, len(self._held) - MAX_WINDOW))
        cut = begun.start() if begun else len(self._held)
        out, self._held = self._held[:cut], self._held[cut:]
        return self._restored(out)

    def end(self) -> str:
        """The rest; the stream is over."""
        out, self._held = self._held, ""
        return self._restored(out)

    def _restored(self, text: str) -> str:
        """With the line so far before it: a link may have been opened there."""
        if not text:
            return ""
        before = len(self._back(self._line))
        done = self._back(self._line + text)[before:]
        line = (self._line + text).rpartition("\n")[2]
        self._line = line if len(line) <= MAX_LINE else line[-MAX_LINE:]
        return done

    def _back(self, text: str) -> str:
        return restored(text, self.vault, self.nonce, self.reveal, in_json=self.in_json)
