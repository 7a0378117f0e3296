"""Identity numbers that are digits alone: countries, layouts, check digits."""

# ruff: noqa: E501, PLR0917 - tables read best as rows, in many scripts

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from pipeline.detection import checks
from pipeline.detection.checks import Check, by
from pipeline.detection.rules import hinted
from schemas.policies import DataClass

Layout = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Digits:
    """One kind of number.

    Attributes:
        layouts: the groups in which it is written; ``()``: in no other than bare.
        layout: log-odds where it is written so; ``bare``: where it is not.
        accepts: how often the check accepts another number of this length.
    """

    kind: str
    length: int
    layouts: tuple[Layout, ...]
    check: Check | None
    accepts: float
    hints: frozenset[str]
    data_class: DataClass = DataClass.GOV_ID
    layout: float = -0.5
    bare: float = -3.6

    @property
    def rule(self) -> str:
        """Its id, as operators see it."""
        own = self.data_class is DataClass.GOV_ID
        return f"gov_id.{self.kind}" if own else self.kind


def stdnum(name: str) -> Check:
    """The check of python-stdnum's module of that name. It never goes on line."""
    return by(import_module(f"stdnum.{name}"))


def _layouts(told: str) -> tuple[Layout, ...]:
    return tuple(tuple(int(n) for n in each.split("-")) for each in told.split())


_ID: Final = "id identity identification identification national citizen personal "

_TABLE: Final = (
    # kind | python-stdnum module | length | layouts | false accepts | words
    ("ar.cuit", "ar.cuit", 11, "2-8-1", 0.02, "cuit cuil afip"),
    ("ar.dni", "", 8, "2-3-3", 1.0, "dni documento"),
    ("at.svnr", "at.vnr", 10, "4-6", 0.05, "svnr sozialversicherung sozialversicherungsnummer versicherungsnummer"),
    ("au.tfn", "au.tfn", 9, "3-3-3", 0.09, "tfn tax file"),
    ("be.nn", "be.nn", 11, "2-2-2-3-2 6-3-2", 0.004, "rijksregister rijksregisternummer national register niss insz registre"),
    ("bg.egn", "bg.egn", 10, "", 0.03, "egn егн"),
    ("br.cpf", "br.cpf", 11, "3-3-3-2", 0.009, "cpf cadastro"),
    ("br.cnpj", "br.cnpj", 14, "2-3-3-4-2", 0.009, "cnpj"),
    ("ca.sin", "ca.sin", 9, "3-3-3", 0.09, "sin social insurance assurance sociale nas"),
    ("ch.ahv", "ch.ssn", 13, "3-4-4-2", 0.001, "ahv avs ahvn sozialversicherungsnummer"),
    ("cn.ric", "cn.ric", 18, "6-8-4", 0.001, "身份 份证 证号 resident identity"),
    ("co.nit", "co.nit", 10, "3-3-3-1", 0.09, "nit cedula cédula ciudadanía ciudadania"),
    ("cu.ni", "cu.ni", 11, "", 0.3, "carnet identidad"),
    ("cz.rc", "cz.rc", 10, "6-4", 0.03, "rodné rodne číslo cislo rč rodného"),
    ("de.idnr", "de.idnr", 11, "2-3-3-3", 0.0055, "idnr steuer steuerid steueridentifikationsnummer identifikationsnummer steuernummer tax tin"),
    ("dk.cpr", "dk.cpr", 10, "6-4", 0.3, "cpr personnummer"),
    ("do.cedula", "do.cedula", 11, "3-7-1", 0.1, "cédula cedula"),
    ("ec.ci", "ec.ci", 10, "9-1", 0.03, "cédula cedula identidad"),
    ("ee.ik", "ee.ik", 11, "", 0.012, "isikukood"),
    ("fr.nir", "fr.nir", 15, "1-2-2-2-3-3-2", 0.001, "nir sécurité securite sociale sécu insee"),
    ("fr.spi", "fr.nif", 13, "2-2-3-3-3", 0.002, "fiscal spi impôts impots"),
    ("gb.nhs", "gb.nhs", 10, "3-3-4", 0.093, "nhs health"),
    ("gb.utr", "gb.utr", 10, "5-5", 0.09, "utr unique taxpayer"),
    ("gr.amka", "gr.amka", 11, "", 0.01, "amka αμκα"),
    ("hr.oib", "hr.oib", 11, "", 0.1, "oib osobni"),
    ("id.nik", "id.nik", 16, "", 0.1, "nik ktp kependudukan"),
    ("il.idnr", "il.idnr", 9, "", 0.1, "teudat zehut זהות israeli"),
    ("in.aadhaar", "in_.aadhaar", 12, "4-4-4", 0.076, "aadhaar aadhar uidai uid आधार"),
    ("is.kennitala", "is_.kennitala", 10, "6-4", 0.02, "kennitala"),
    ("jp.in", "jp.in_", 12, "4-4-4", 0.1, "マイ イナ ンバ 個人 人番 mynumber my"),
    ("kr.rrn", "kr.rrn", 13, "6-7", 0.02, "주민 등록 번호 rrn resident registration"),
    ("lt.asmens", "lt.asmens", 11, "", 0.012, "asmens kodas"),
    ("lv.pk", "lv.pvn", 11, "6-5", 0.05, "personas kods"),
    ("md.idnp", "md.idno", 13, "", 0.1, "idnp"),
    ("my.nric", "my.nric", 12, "6-2-4", 0.04, "mykad nric kad pengenalan ic"),
    ("nl.bsn", "nl.bsn", 9, "4-2-3 3-3-3", 0.09, "bsn burgerservicenummer sofi sofinummer"),
    ("no.fnr", "no.fodselsnummer", 11, "6-5", 0.003, "fødselsnummer fodselsnummer personnummer fnr"),
    ("nz.ird", "nz.ird", 9, "3-3-3", 0.09, "ird inland revenue"),
    ("nz.ird", "nz.ird", 8, "2-3-3", 0.09, "ird inland revenue"),
    ("pk.cnic", "pk.cnic", 13, "5-7-1", 0.3, "cnic nadra"),
    ("pl.nip", "pl.nip", 10, "3-3-2-2 3-2-2-3", 0.09, "nip"),
    ("pl.pesel", "pl.pesel", 11, "", 0.016, "pesel"),
    ("pt.nif", "pt.nif", 9, "3-3-3", 0.09, "nif contribuinte"),
    ("ro.cnp", "ro.cnp", 13, "", 0.003, "cnp"),
    ("rs.jmbg", "si.emso", 13, "", 0.004, "jmbg emšo emso matični maticni"),
    ("ru.inn", "ru.inn", 12, "", 0.01, "инн inn"),
    ("se.personnummer", "se.personnummer", 10, "6-4", 0.03, "personnummer"),
    ("se.personnummer", "se.personnummer", 12, "8-4", 0.01, "personnummer"),
    ("sk.rc", "sk.rc", 10, "6-4", 0.03, "rodné rodne číslo"),
    ("th.pin", "th.pin", 13, "1-4-5-2-1", 0.1, "ประ ชาช thai บัต"),
    ("tr.tckimlik", "tr.tckimlik", 11, "3-3-3-2", 0.01, "tckimlik kimlik tc tckn"),
    ("ua.rntrc", "ua.rntrc", 10, "", 0.09, "рнокпп іпн ипн"),
    ("us.ein", "", 9, "2-7", 1.0, "ein employer federal"),
    ("za.idnr", "za.idnr", 13, "6-4-2-1 6-4-3", 0.02, "identity south african rsa"),
)  # fmt: skip


_OWN: Final = {"cn.ric": checks.cn_ric, "ca.sin": checks.card}
"""Checks that stand in for python-stdnum's: its SIN knows no number that begins with 0
or 8, which everybody writes in examples; the check digit is Luhn's."""


def _row(
    kind: str, module: str, length: int, layouts: str, far: float, words: str
) -> Digits:
    check = _OWN.get(kind) or (stdnum(module) if module else None)
    hints = hinted(f"{words} {_ID}") if far < 1 else hinted(words)
    return Digits(kind, length, _layouts(layouts), check, far, hints)


def _own() -> tuple[Digits, ...]:
    gov, med, bank = DataClass.GOV_ID, DataClass.MEDICAL_ID, DataClass.BANK
    ssn = hinted("ssn social security ssns ss sozialversicherungsnummer seguro")
    return (
        Digits("us.ssn", 9, ((3, 2, 4),), checks.ssn, 0.89, ssn, gov, 1.6, -2.4),
        Digits("us.itin", 9, ((3, 2, 4),), stdnum("us.itin"), 0.05, hinted("itin taxpayer individual tin"), gov, -0.5),
        Digits("us.tin", 9, ((2, 7),), None, 1.0, hinted("tin tax taxpayer ein fein federal employer"), gov, 0.1),
        Digits("au.medicare", 10, ((4, 5, 1),), checks.medicare_au, 0.07, hinted("medicare"), med, 0.0),
        Digits("ru.snils", 11, ((3, 3, 3, 2),), checks.snils, 0.01, hinted("снилс snils"), gov, 0.5),
        Digits("us.npi", 10, (), checks.npi, 0.1, hinted("npi provider prescriber"), med),
        Digits("us.aba", 9, (), checks.aba, 0.03, hinted("routing aba rtn transit"), bank, -0.5, -4.5),
    )  # fmt: skip


def _by_length() -> Mapping[int, tuple[Digits, ...]]:
    found: dict[int, list[Digits]] = defaultdict(list)
    for each in (*_own(), *(_row(*row) for row in _TABLE)):
        found[each.length].append(each)
    return {length: tuple(kinds) for length, kinds in found.items()}


NUMBERS: Final = _by_length()
