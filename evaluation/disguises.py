"""Values of our own making, disguised: each is labelled where it stands."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

from evaluation.documents import Document, Span
from pipeline.detection.checks import luhn
from training.dice import Dice

EACH: Final = 12
"""Values for each class and disguise."""
WORDS: Final = ("lantern", "marlow", "quince", "tamsin", "orla", "brandt", "ilse")
_FULL: Final = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}
_ARABIC: Final = {ord(str(d)): 0x0660 + d for d in range(10)}
_CYRILLIC: Final = str.maketrans("aeopc", "\u0430\u0435\u043e\u0440\u0441")


def _email(dice: Dice) -> str:
    return f"{dice.of(WORDS)}.{dice.of(WORDS)}{dice.below(90)}@{dice.of(WORDS)}.example"


def _card(dice: Dice) -> str:
    head = "4" + "".join(str(dice.below(10)) for _ in range(14))
    number = next(head + str(d) for d in range(10) if luhn(head + str(d)))
    return " ".join(number[at : at + 4] for at in range(0, 16, 4))


def _iban(dice: Dice) -> str:
    body = "".join(str(dice.below(10)) for _ in range(18))
    check = 98 - int(body + "131400") % 97
    number = f"DE{check:02}{body}"
    return " ".join(number[at : at + 4] for at in range(0, 22, 4))


def _ssn(dice: Dice) -> str:
    group, serial = 1 + dice.below(99), 1 + dice.below(9999)
    return f"{100 + dice.below(500)}-{group:02}-{serial:04}"


def _phone(dice: Dice) -> str:
    return f"+49 30 {1_000_000 + dice.below(8_999_999)}"


VALUES: Final[Mapping[str, tuple[Callable[[Dice], str], str]]] = {
    "EMAIL": (_email, "please write to {} about it"),
    "CARD": (_card, "charge the card {} today"),
    "BANK": (_iban, "the IBAN is {} as before"),
    "GOV_ID": (_ssn, "her SSN is {} by the way"),
    "PHONE": (_phone, "call {} in the morning"),
}


def _sprinkled(value: str, mark: str) -> str:
    half = len(value) // 2
    return value[:2] + mark + value[2:half] + mark + value[half:]


DISGUISES: Final[Mapping[str, Callable[[str], str]]] = {
    "full_width": lambda v: v.translate(_FULL),
    "zero_width": lambda v: _sprinkled(v, "\u200b"),
    "soft_hyphen": lambda v: _sprinkled(v, "\u00ad"),
    "word_joiner": lambda v: _sprinkled(v, "\u2060"),
    "other_spaces": lambda v: v.replace(" ", "\u2009").replace("-", "\u2011"),
    "other_digits": lambda v: v.translate(_ARABIC),
    "other_letters": lambda v: v.translate(_CYRILLIC),
    "percent": lambda v: quote(v, safe=""),
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "base64": lambda v: b64encode(f"value: {v}".encode()).decode(),
}


def documents() -> Iterator[Document]:
    """Every class in every disguise that changes its values."""
    dice = Dice(11)
    for data_class, (made, frame) in VALUES.items():
        for disguise in DISGUISES.values():
            for _ in range(EACH):
                value = made(dice)
                hidden = disguise(value)
                if hidden != value:
                    yield _document(data_class, frame, hidden)


def _document(data_class: str, frame: str, value: str) -> Document:
    start = frame.index("{}")
    span = Span(data_class, start, start + len(value))
    return Document(frame.format(value), (span,))
