"""Telephone numbers: by their shape, in the order in which shapes tell something."""

# ruff: noqa: PLR2004, PLR0911, E501 - shapes are their numbers of digits

import re
from collections.abc import Iterator
from typing import Any, Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from pipeline.detection.rules import Candidate, hinted
from schemas.policies import DataClass

HINTS: Final = hinted(
    "phone tel telephone mobile cell call fax whatsapp sms contact dial landline "
    "phones reach text hotline telefon telefonnummer handy mobil rufnummer anruf "
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


def readings(data: bytes, s: Any, start: int) -> Iterator[Candidate]:
    """The reading of a stretch as a telephone number, where it has its shape."""
    size = len(s.number)
    if not _MIN <= size <= _MAX + 6 or _DATE.fullmatch(s.text):
        return
    first = _opening(data, s.start, start)
    lead = data[first : s.start].decode()
    score = _shape(lead, s)
    if score is None:
        return
    score += s.hint(HINTS)
    yield Candidate(DataClass.PHONE, "number", "phone", first, s.end, score)


def _opening(data: bytes, at: int, floor: int) -> int:
    """Where a plus or a bracket before the first digit begins."""
    while at > floor and data[at - 1 : at] in (b"+", b"("):
        at -= 1
    return at


def _shape(lead: str, s: Any) -> float | None:
    """Log-odds by shape alone; None: no telephone number is written so."""
    number, layout, text = s.number, s.layout, s.text
    if "." in text and re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", text):
        return None
    extended = bool(re.search(r"[xX]|ext|durchwahl|poste", text))
    core = re.split(r"\s?(?:x|ext|durchwahl|poste)", text, flags=re.IGNORECASE)[0]
    size = sum(c.isdigit() for c in core)
    if size > _MAX:
        return None
    bonus = 1.0 if extended else 0.0
    if "+" in lead:
        return bonus + (3.0 if _country(number) else 0.5)
    if number.startswith("00") and len(number) > 10 and _country(number[2:]):
        return bonus + 1.2
    if _north_american(core, size):
        grouped = len(layout) > 1
        return bonus + (2.0 if grouped else -1.8)
    if "(" in lead:
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
    if re.search(r"[/]", core) and not number.startswith("0"):
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
