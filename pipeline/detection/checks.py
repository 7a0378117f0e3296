"""Check digits and shapes; a candidate that fails is no finding."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import phonenumbers
from stdnum import luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

Check = Callable[[str], bool]

_CARD_LENGTHS: Final = range(12, 20)
_REPEATED: Final = 1
_PHONE_DIGITS: Final = range(8, 16)


def digits(text: str) -> str:
    """The ASCII digits of a text."""
    return "".join(c for c in text if "0" <= c <= "9")


def card(text: str) -> bool:
    """A payment card: Luhn, an issuer's first digit, no run of one digit."""
    number = digits(text)
    return (
        len(number) in _CARD_LENGTHS
        and number[0] in "23456"
        and len(set(number)) > _REPEATED
        and bool(luhn.is_valid(number))
    )


def iban(text: str) -> bool:
    """ISO 13616: mod 97 is 1."""
    compact = "".join(text.split()).upper()
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def phone(text: str) -> bool:
    """A number of the international plan, or of one of the usual national ones."""
    if len(digits(text)) not in _PHONE_DIGITS:
        return False
    regions = (None,) if text.lstrip().startswith("+") else ("US", "GB")
    return any(_is_phone(text, region) for region in regions)


def _is_phone(text: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(number))


def network(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def anything(_: str) -> bool:
    """For patterns that say all by themselves."""
    return True


GOV_IDS: Final[dict[str, Check]] = {
    "us.ssn": ssn.is_valid,
    "gb.nhs": nhs.is_valid,
    "de.idnr": idnr.is_valid,
    "es.dni": lambda text: bool(dni.is_valid(text) or nie.is_valid(text)),
    "fr.nir": nir.is_valid,
    "it.codicefiscale": codicefiscale.is_valid,
    "nl.bsn": bsn.is_valid,
    "pl.pesel": pesel.is_valid,
    "br.cpf": cpf.is_valid,
}
