"""Check digits and shapes: pure questions about one candidate.

National check digits are python-stdnum's; the hot ones and those it lacks are ours.
"""

# ruff: noqa: PLR2004 - the numbers are the standards' own

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from stdnum.iso7064 import mod_11_2

Check = Callable[[str], bool]

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


_DIGITS: Final = re.compile("[0-9]+")


def digits(text: str) -> str:
    """The ASCII digits of a text."""
    return text if text.isdecimal() else "".join(_DIGITS.findall(text))


def repeated(number: str) -> bool:
    """One digit again and again: sixteen zeros pass Luhn, and are no card."""
    return len(set(number)) == 1


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, character in enumerate(reversed(number)):
        digit = ord(character) - 48
        total += _DOUBLED[digit] if place % 2 else digit
    return total % 10 == 0


def card(text: str) -> bool:
    """A payment card: Luhn, and no run of one digit."""
    number = digits(text)
    return not repeated(number) and luhn(number)


def plate(text: str) -> bool:
    """No plate of "a plate of 12 cakes": it does not begin with such a word."""
    return text.split(" ", 1)[0].lower() not in _LITTLE


_LITTLE: Final = frozenset(
    ("a", "and", "at", "by", "for", "in", "of", "on", "to", "with")
)


def issuer(number: str) -> bool:
    """Whether an issuer numbers its cards so: first digits and length."""
    length = len(number)
    two, four = int(number[:2]), int(number[:4])
    return (
        (number[0] == "4" and length in {13, 16, 19})
        or (51 <= two <= 55 and length == 16)
        or (2221 <= four <= 2720 and length == 16)
        or (two in {34, 37} and length == 15)
        or (two in {36, 38, 39, 30} and length in {14, 16})  # Diners
        or (two in {60, 62, 64, 65, 81} and 16 <= length <= 19)
        or (3528 <= four <= 3589 and 16 <= length <= 19)
        or (two in {50, 56, 57, 58, 59, 63, 67, 69} and 12 <= length <= 19)
    )


def iban(text: str) -> bool:
    """ISO 13616: mod 97 is 1."""
    compact = "".join(c for c in text if c.isalnum()).upper()
    moved = compact[4:] + compact[:4]
    return int(moved.translate(_VALUES)) % 97 == 1


_IBANS: Final = {
    land: size
    for size, lands in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for land in lands.split()
}
"""Characters of an account of each country (SWIFT's registry of IBANs)."""


def iban_fits(text: str) -> int:
    """How much of a text that begins like an IBAN is one, by its country's length."""
    length = _IBANS.get(text[:2].upper(), 0)
    for at, character in enumerate(text):
        length -= character.isalnum()
        if length == 0:
            return at + 1 if not text[at + 1 : at + 2].isalnum() else len(text)
    return len(text)


def postal(text: str) -> bool:
    """An address of a place has a word in it; one of a network or a machine has not."""
    return _PLACE.search(text) is not None and not ipv6(text.strip())


_PLACE: Final = re.compile(r"[^\W\d_]{3}")
_VALUES: Final = {ord(c): str(int(c, 36)) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
"""Letters as ISO 13616 counts them."""


def weighted(number: str, weights: tuple[int, ...]) -> int:
    """The sum of digits by weights."""
    return sum(int(d) * w for d, w in zip(number, weights, strict=False))


def medicare_au(text: str) -> bool:
    """Australian Medicare: first digit 2 to 6, ninth checks the first eight."""
    number = digits(text)
    return number[0] in "23456" and weighted(
        number, (1, 3, 7, 9, 1, 3, 7, 9)
    ) % 10 == int(number[8])


def snils(text: str) -> bool:
    """Russian SNILS: the last two digits check the first nine."""
    number = digits(text)
    total = weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, 1)) % 101
    return total % 100 == int(number[9:]) and not repeated(number)


def nric(text: str) -> bool:
    """Singapore's NRIC and FIN."""
    text = text.upper()
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2))
    total += {"T": 4, "G": 4, "M": 3}.get(text[0], 0)
    letters = {"S": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}
    row = {"S": "S", "T": "S", "F": "F", "G": "F", "M": "M"}[text[0]]
    place = total % 11
    return letters[row][10 - place if row == "M" else place] == text[8]


def nino(text: str) -> bool:
    """British NINO: no check digit, but prefixes that were never issued."""
    two = text[:2].upper()
    return (
        two[0] not in "DFIQUV"
        and two[1] not in "DFIOQUV"
        and two not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    )


def npi(text: str) -> bool:
    """US provider number: Luhn with the prefix 80840."""
    return luhn("80840" + digits(text))


def dea(text: str) -> bool:
    """US prescriber number: 1+3+5 and twice 2+4+6 end in the seventh digit."""
    d = [int(c) for c in digits(text)]
    return (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def tw_id(text: str) -> bool:
    """Taiwan's identity number."""
    code = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0].upper()) + 10
    total = code // 10 + code % 10 * 9 + weighted(text[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))
    return total % 10 == 0


def hk_id(text: str) -> bool:
    """Hong Kong's identity card: weights 9 to 1, mod 11."""
    compact = "".join(c for c in text.upper() if c.isalnum()).rjust(9)
    values = [36 if c == " " else int(c, 36) for c in compact[:-1]]
    last = 10 if compact[-1] == "A" else int(compact[-1], 36)
    return (
        sum(v * w for v, w in zip(values, range(9, 1, -1), strict=True)) + last
    ) % 11 == 0


def ssn(text: str) -> bool:
    """US social security number: areas, groups and serials that can be."""
    number = digits(text)
    return (
        number[:3] not in {"000", "666"}
        and number[3:5] != "00"
        and number[5:] != "0000"
        and not repeated(number)
    )


_DISTRICTS: Final = frozenset((*range(13), *range(21, 33), *range(61, 73), 80))
"""First digits of routing numbers: government and Federal Reserve districts, thrifts
(21 to 32), electronic ones (61 to 72), traveller's cheques."""


def aba(text: str) -> bool:
    """US routing number: weights 3, 7, 1."""
    number = digits(text)
    return (
        weighted(number, (3, 7, 1, 3, 7, 1, 3, 7, 1)) % 10 == 0
        and int(number[:2]) in _DISTRICTS
    )


_VIN: Final = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True)
) | {str(d): d for d in range(10)}


def vin(text: str) -> bool:
    """ISO 3779 with North America's check digit."""
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    values = [_VIN.get(c, -99) for c in text.upper()]
    rest = sum(v * w for v, w in zip(values, weights, strict=True)) % 11
    return text[8].upper() == ("X" if rest == 10 else str(rest))


def ipv4(text: str) -> bool:
    """An address of IPv4, without the all-zero one; no octet is padded (RFC 6943)."""
    octets = text.partition("/")[0].split(".")
    return (
        len(octets) == 4
        and all(int(o) < 256 and (o[0] != "0" or o == "0") for o in octets)
        and octets != ["0", "0", "0", "0"]
    )


def ipv6(text: str) -> bool:
    """An address of IPv6 that is not the loopback's, of hexadecimal groups."""
    address = text.partition("%")[0]
    if "::" not in address:
        groups = address.split(":")
        return len(groups) == 8 and all(groups) and address.strip("0:") not in {"", "1"}
    try:
        return int(IPv6Address(address)) > 1
    except AddressValueError:
        return False


def mac(text: str) -> bool:
    """A hardware address that is not a placeholder."""
    return len(set(text.lower()) - set(":-.")) > 2


def entropy(text: str) -> float:
    """Bits per character, by the text's own frequencies."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


def cn_ric(text: str) -> bool:
    """China's identity number: a date of birth, and ISO 7064 mod 11-2.

    Its first six digits name a county; counties come and go, so none is asked for.
    """
    return bool(mod_11_2.is_valid(text.upper())) and _is_date(text[6:14])


def _is_date(digits8: str) -> bool:
    try:
        date(int(digits8[:4]), int(digits8[4:6]), int(digits8[6:]))
    except ValueError:
        return False
    return True


def by(module: Any) -> Check:
    """The check of a python-stdnum module, told as yes or no.

    Its modules raise LookupError or ValueError on some numbers whose parts are in none
    of their tables; such a number is none of theirs.
    """

    def check(text: str) -> bool:
        try:
            return bool(module.is_valid(text))
        except (LookupError, ValueError):
            return False

    check.__qualname__ = f"by.{module.__name__}"
    return check
