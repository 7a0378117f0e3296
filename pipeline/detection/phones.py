"""Telephone numbers: by their shape, in the order in which shapes tell something."""

# ruff: noqa: PLR2004, PLR0911, E501 - shapes are their numbers of digits

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    is_valid_number_for_region,
    parse,
)

from pipeline.detection.checks import digits
from pipeline.detection.rules import Candidate, Term, hinted
from schemas.policies import DataClass

HINTS: Final = hinted(
    "phone tel telephone mobile cell call fax whatsapp sms contact dial landline "
    "phones reach text hotline answering calling voicemail callback ring rang telefon telefonnummer handy mobil rufnummer anruf "
    "téléphone tél portable appelez teléfono telefono móvil llámame celular tlf cellulare "
    "telefone celular ligue tel. telefoon bel mobiel telefonie puhelin "
    "telefonnr gsm телефон тел 電話 电话 手机 携帯 전화 연락 τηλέφωνο هاتف जोड़ फोन"
)
_DATE: Final = re.compile(
    r"(?:(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)?\d\d)"
    r"(?: \d{1,2})?"
)
_MIN, _MAX = 7, 15
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_EXTENSION: Final = re.compile(r"\s?(?:x|ext|durchwahl|poste)", re.IGNORECASE)
MAX_PARSED: Final = 200
"""Numbers of one text that are parsed: each takes 70 us and region."""
VALID: Final = 1.4
"""What it adds that a national number is one in a region that the tenant expects."""
_AMBIGUOUS: Final = (-2.5, 0.5)
"""Log-odds between which shape and context leave it open."""


class Phones:
    """Reads telephone numbers of one text.

    Attributes:
        regions: ISO 3166 codes whose national numbers are expected.
    """

    def __init__(self, data: bytes, regions: Sequence[str] = ()) -> None:
        self._data = data
        self._regions = regions
        self._parsed: dict[str, bool] = {}

    def readings(self, s: Any, start: int) -> Iterator[Candidate]:
        """The reading of a stretch as a telephone number, where it has its shape."""
        size = len(s.number)
        if not _MIN <= size <= _MAX + 6:
            return
        first = _opening(self._data, s.start, start)
        lead = self._data[first : s.start]
        score = _shape(lead, s)
        if score is None or _DATE.fullmatch(s.text):
            return
        hint = s.hint(HINTS)
        terms: tuple[Term, ...] = (("shape", score), ("context", hint))
        score += hint
        if _AMBIGUOUS[0] < score < _AMBIGUOUS[1] and not lead and self.valid(s.text):
            score += VALID
            terms = (*terms, ("region", VALID))
        yield Candidate(
            DataClass.PHONE, "number", "phone", first, s.end, score, terms=terms
        )

    @property
    def parsed(self) -> int:
        """How many numbers were parsed."""
        return len(self._parsed)

    def valid(self, text: str) -> bool:
        """Whether it is a number of a region that the tenant expects.

        Beyond ``MAX_PARSED`` nobody knows; shape and context decide alone.
        """
        found = self._parsed.get(text)
        if found is None and len(self._parsed) < MAX_PARSED:
            found = any(_is_valid(text, region) for region in self._regions)
            self._parsed[text] = found
        return bool(found)


def _is_valid(text: str, region: str) -> bool:
    try:
        return is_valid_number_for_region(parse(text, region), region)
    except NumberParseException:
        return False


def _opening(data: bytes, at: int, floor: int) -> int:
    """Where a plus or a bracket before the first digit begins."""
    while at > floor and data[at - 1] in b"+(":
        at -= 1
    return at


def _shape(lead: bytes, s: Any) -> float | None:
    """Log-odds by shape alone; None: no telephone number is written so."""
    number, layout, text = s.number, s.layout, s.text
    if len(layout) == 4 and _ADDRESS.fullmatch(text):
        return None
    core, size, bonus = text, len(number), 0.0
    if (extension := _EXTENSION.search(text)) is not None:
        core, bonus = text[: extension.start()], 1.0
        size = len(digits(core))
    if size > _MAX:
        return None
    if b"+" in lead:
        return bonus + (3.0 if _country(number) else 0.5)
    if number.startswith("00") and len(number) > 10 and _country(number[2:]):
        return bonus + 1.2
    if _north_american(core, size):
        grouped = len(layout) > 1
        return bonus + (2.0 if grouped else -1.8)
    if b"(" in lead:
        return bonus + 1.2 if size >= 8 else bonus - 0.5
    return bonus + _national(core, number, layout)


def _country(number: str) -> bool:
    return any(int(number[:n]) in COUNTRY_CODE_TO_REGION_CODE for n in (1, 2, 3))


_NANP: Final = re.compile(
    r"(?:1[ .-]?)?\(?[2-9]\d\d\)?[ .\-/]{0,3}[2-9]?\d{2,3}[ .-]?\d{4}"
)


def _north_american(core: str, size: int) -> bool:
    return size in (10, 11) and _NANP.fullmatch(core.strip()) is not None


def _national(core: str, number: str, layout: tuple[int, ...]) -> float:
    """National numbers: the leading zero and pairs of digits tell something."""
    groups = len(layout)
    if "/" in core and not number.startswith("0"):
        return -3.0
    if number.startswith("0") and groups > 1 and 9 <= len(number) <= 12:
        return 0.9
    if number.startswith("0") and 9 <= len(number) <= 12:
        return -1.5
    if layout in {(2, 2, 2, 2), (3, 3, 3), (2, 3, 2, 2), (3, 2, 2, 2), (1, 2, 2, 2, 2)}:
        return -0.6
    if layout in {(3, 4), (4, 4), (3, 3, 4), (5, 5), (5, 6), (3, 4, 4)}:
        return -0.8
    return -1.6 if groups > 1 else -2.4
