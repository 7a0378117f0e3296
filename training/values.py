"""Values of our own making, by class: check digits are drawn until they pass."""

# ruff: noqa: E501 - shapes read best as rows

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.detection import checks
from pipeline.detection.countries import NUMBERS, Digits
from schemas.policies import DataClass
from training.dice import Dice

TRIES: Final = 4_000
"""Numbers that are drawn before a kind is given up; its check accepts too few."""
KINDS: Final[Sequence[Digits]] = [
    kind
    for kinds in NUMBERS.values()
    for kind in kinds
    if kind.data_class is DataClass.GOV_ID and kind.accepts >= 0.002  # noqa: PLR2004 - TRIES
]
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WORDS: Final = ("lantern", "marlow", "quince", "tamsin", "orla", "brandt", "ilse")


def some(dice: Dice, count: int, of: str = "0123456789") -> str:
    """So many characters."""
    return "".join(dice.of(of) for _ in range(count))


def number(dice: Dice, kind: Digits) -> str:
    """A number of a kind, as it is written."""
    told = ""
    for _ in range(TRIES):
        told = some(dice, kind.length)
        if kind.check is None or kind.check(told):
            break
    return grouped(told, dice.of([(kind.length,), *kind.layouts]), dice.of("- ."))


def grouped(told: str, layout: Sequence[int], sign: str = " ") -> str:
    """Digits in groups."""
    groups, at = [], 0
    for size in layout:
        groups.append(told[at : at + size])
        at += size
    return sign.join(groups)


def card(dice: Dice) -> str:
    """A payment card's number."""
    head = dice.of(("4", "51", "55", "2221", "6011")) + some(dice, 15)
    told = next(t for d in "0123456789" if checks.luhn(t := head[:15] + d))
    return grouped(told, (4, 4, 4, 4)) if dice.chance(60) else told


def iban(dice: Dice) -> str:
    """An account of one of five countries."""
    land, size = dice.of((("DE", 18), ("FR", 23), ("ES", 20), ("NL", 14), ("AT", 16)))
    body = ("ABNA" + some(dice, 10)) if land == "NL" else some(dice, size)
    plain = "".join(str(int(c, 36)) for c in body + land + "00")
    told = f"{land}{98 - int(plain) % 97:02}{body}"
    return " ".join(told[i : i + 4] for i in range(0, len(told), 4))


def phone(dice: Dice) -> str:
    """A telephone number in one of many shapes."""
    shape = dice.of((
        "+49 30 #######", "+1 2##-555-01##", "(2##) 555-01##", "2##-555-01##",
        "020 7946 0###", "+44 7700 900###", "01 99 00 ## ##", "+33 6 39 98 ## ##",
        "0#### ######", "06 ########", "+91 #####-#####", "555-01##", "0170 #######",
        "+34 6## ### ###", "0##/#######",
    ))  # fmt: skip
    return "".join(str(dice.below(10)) if c == "#" else c for c in shape)


def date(dice: Dice) -> str:
    """A day."""
    year, month, day = 1930 + dice.below(90), 1 + dice.below(12), 1 + dice.below(28)
    months = [
        "January",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "October",
        "November",
    ]
    return dice.of((
        f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}",
        f"{month}/{day}/{year}", f"{day} {dice.of(months)} {year}",
        f"{dice.of(months)} {day}, {year}",
    ))  # fmt: skip


def address(dice: Dice) -> str:
    """A street and more."""
    n, zip_code = 1 + dice.below(400), 10_000 + dice.below(89_999)
    return dice.of((
        f"{n} Alder Street", f"{n} North Mill Road, Brookfield", f"Lindenstraße {n}",
        f"{n} Elm Ave, Apt {n % 9 + 1}, Fairview, OH {zip_code}", f"Calle Olmo {n}",
        f"{n} rue des Tilleuls, {zip_code} Valmont", f"Ahornweg {n}, {zip_code} Talheim",
        f"Via dei Tigli {n}", f"Iepenlaan {n}", f"P.O. Box {n}", f"Rua das Oliveiras {n}",
    ))  # fmt: skip


def email(dice: Dice) -> str:
    """An address of mail."""
    at = dice.of(("@", "@", "@", " at ", " [at] "))
    dot = " dot " if at == " at " else "."
    return f"{dice.of(_WORDS)}{dice.below(90)}{at}{dice.of(_WORDS)}{dot}com"


def network(dice: Dice) -> str:
    """An address of a network or of hardware."""
    quad = ".".join(str(1 + dice.below(254)) for _ in range(4))
    hexes = ":".join(some(dice, 4, "0123456789abcdef") for _ in range(8))
    mac = ":".join(some(dice, 2, "0123456789abcdef") for _ in range(6))
    return dice.of((quad, quad, f"2001:db8::{some(dice, 3)}", hexes, mac))


def secret(dice: Dice) -> str:
    """What no one guesses."""
    mixed = _BASE36 + _BASE36[10:].lower()
    return dice.of((some(dice, 32, mixed), some(dice, 40, "0123456789abcdef"))) + "x7"


MAKERS: Final[Mapping[str, Callable[[Dice], str]]] = {
    "CARD": card,
    "IBAN": iban,
    "PHONE": phone,
    "DATE": date,
    "ADDRESS": address,
    "EMAIL": email,
    "NETWORK": network,
    "SECRET": secret,
    "GOV": lambda dice: number(dice, dice.of(KINDS)),
    "D7": lambda dice: some(dice, 7),
    "D9": lambda dice: some(dice, 9),
    "D10": lambda dice: some(dice, 10),
    "D11": lambda dice: some(dice, 11),
    "D12": lambda dice: some(dice, 12),
    "D16": lambda dice: some(dice, 16),
    "GROUPS": lambda dice: grouped(some(dice, 9), (3, 3, 3), dice.of("-. ")),
    "CODE": lambda dice: some(dice, 3, _BASE36[10:]) + some(dice, 7),
    "MRN": lambda dice: some(dice, 2, _BASE36[10:]) + some(dice, 7),
    "AGE": lambda dice: str(4 + dice.below(13)),
    "OLD": lambda dice: str(19 + dice.below(60)),
    "WALLET": lambda dice: "0x" + some(dice, 40, "0123456789abcdef"),
    "PLATE": lambda dice: f"{some(dice, 2, _BASE36[10:])}-{some(dice, 4)}",
    "BLOB": lambda dice: some(dice, 40, _BASE36),
    "SHORT": lambda dice: f"{1 + dice.below(9)}.{dice.below(20)}.{dice.below(30)}",
}
