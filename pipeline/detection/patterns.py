"""Patterns of structured data, one rule a shape. RE2: no look-around.

Boundaries stand in the engine, which looks at the neighbours of each match.
"""

# ruff: noqa: RUF001, PLR0917 - tables read best as rows, in many scripts

from dataclasses import replace
from typing import Final

from stdnum import bic as stdnum_bic
from stdnum import imei as stdnum_imei

from pipeline.detection import checks
from pipeline.detection.checks import by
from pipeline.detection.countries import stdnum
from pipeline.detection.rules import Rule, hinted
from schemas.policies import DataClass

_ID: Final = (
    "id identity identification identificación identità identiteit ausweis dni "
)
_PASSPORT: Final = (
    r"passport|pasaporte|passeport|reisepass|passaporto|passaporte|paspoort|paszport|"
    r"pasport|паспорт|护照|旅券|パスポート"
)
_NUMBER: Final = r"(?:[ _-]?(?:(?:no|nos|number|num|nr|id|code|nummer|número|numero|numéro)\b|n[°º]|#)\.?)?"
_GAP: Final = r"[\"']?\s{0,3}(?:is|are|was|:|=|#|->|ist|es|est|è|é|>|：)?\s{0,3}[\"'#]?"


_OWN: Final = {
    "gb.nino": checks.nino,
    "sg.nric": checks.nric,
    "tw.id": checks.tw_id,
    "hk.id": checks.hk_id,
    "cn.ric": checks.cn_ric,
}


def gov(
    kind: str, pattern: str, base: float, hints: str, module: str = "", far: float = 1.0
) -> Rule:
    """A country's identifier with letters in it."""
    return Rule(
        id=f"gov_id.{kind}",
        data_class=DataClass.GOV_ID,
        kind=kind,
        pattern=pattern,
        base=base,
        check=_OWN[kind] if kind in _OWN else stdnum(module) if module else None,
        accepts=far,
        hints=hinted(hints),
        wide=kind == "mx.rfc",
    )


def labelled(
    rule: str,
    data_class: DataClass,
    kind: str,
    labels: str,
    value: str,
    base: float = 1.5,
) -> Rule:
    """A value that is what the word before it says."""
    pattern = rf"(?i)(?:^|[^a-z])(?:{labels}){_NUMBER}{_GAP}(?P<v>{value})"
    return Rule(id=rule, data_class=data_class, kind=kind, pattern=pattern, base=base)


_MONTH: Final = r"(?:jan|feb|fév|mar|mär|apr|abr|avr|mai|may|maj|jun|jui|giu|jul|lug|aug|ago|aoû|sep|set|okt|oct|ott|out|nov|dez|dec|déc|dic|gen|ene|mag|mei|янв|фев|мар|апр|мая|июн|июл|авг|сен|окт|ноя|дек)[\p{L}]{0,7}"
_TIME: Final = r"(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
"""Of a day, as timestamps have it behind the date (RFC 3339)."""
_PASSPORT_NUMBER: Final = (
    r"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}|[0-9]{2}[A-Z]{2}[0-9]{5}|"
    r"[A-Z]{0,3}[0-9]{5,9}[A-Z0-9]{0,2}"
)
"""German, French (letters within), all others."""
_CODE: Final = r"[A-Z]{0,4}-?[0-9][A-Z0-9]{0,2}[A-Z0-9-]{3,14}[A-Z0-9]"

GOVERNMENT: Final = (
    gov("gb.nino", r"(?i)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", 0.8, "nino national insurance ni", far=0.7),
    gov("es.dni", r"(?i)[0-9]{8}-?[A-HJ-NP-TV-Z]", -0.8, _ID + "nif documento", "es.dni", 0.043),
    gov("es.nie", r"(?i)[XYZ]-?[0-9]{7}-?[A-HJ-NP-TV-Z]", -0.3, _ID + "nie extranjero", "es.nie", 0.043),
    gov("it.codicefiscale", r"(?i)[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", 1.5, "codice fiscale cf", "it.codicefiscale", 0.038),
    gov("mx.curp", r"(?i)[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[A-Z0-9][0-9]", 1.5, "curp", "mx.curp", 0.1),
    gov("mx.rfc", r"(?i)[A-ZÑ&]{3,4}[0-9]{6}[A-Z0-9]{3}", -0.8, "rfc", "mx.rfc", 0.3),
    gov("in.pan", r"(?i)[A-Z]{3}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z]", -0.2, "pan permanent income", "in_.pan", 0.9),
    gov("in.epic", r"(?i)[A-Z]{3}[0-9]{7}", -3.2, "epic voter", "in_.epic", 0.1),
    gov("sg.nric", r"(?i)[STFGM][0-9]{7}[A-Z]", 0.0, "nric fin ic " + _ID, far=0.04),
    gov("fi.hetu", r"(?i)[0-3][0-9][01][0-9]{3}[-+A-FU-Y][0-9]{3}[0-9A-Y]", 0.0, "hetu henkilötunnus", "fi.hetu", 0.033),
    gov("ie.pps", r"(?i)[0-9]{7}[A-W][A-IW]?", -0.8, "pps ppsn", "ie.pps", 0.043),
    gov("cl.rut", r"(?i)[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}-[0-9K]", 0.0, "rut run", "cl.rut", 0.09),
    gov("ve.rif", r"(?i)[VEJPG]-?[0-9]{8}-?[0-9]", -0.8, "rif", "ve.rif", 0.1),
    gov("ke.pin", r"(?i)[AP][0-9]{9}[A-Z]", -0.4, "kra pin"),
    gov("tw.id", r"(?i)[A-Z][1289][0-9]{8}", -1.0, "身分 證字 taiwan " + _ID, far=0.1),
    gov("hk.id", r"(?i)[A-Z]{1,2}[0-9]{6}\([0-9A]\)", 1.0, "hkid 身份", far=0.09),
    gov("cn.ric", r"(?i)[1-9][0-9]{5}(?:19|20)[0-9]{9}X", 1.0, "身份 份证", "cn.ric", 0.09),
    gov("fr.nir", r"(?i)[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", 1.0, "nir sécurité sociale", "fr.nir", 0.01),
    gov("kr.rrn", r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-[1-8][0-9]{6}", 2.0, "주민 rrn resident"),
    gov("pt.cc", r"(?i)[0-9]{8} ?[0-9] ?[A-Z0-9]{2}[0-9]", -1.0, "cartão cidadão cc", "pt.cc", 0.1),
    gov("dz.nif", r"[0-9]{15}", -4.0, "nif algérie algeria"),
    labelled("gov_id.passport", DataClass.GOV_ID, "passport", _PASSPORT, _PASSPORT_NUMBER, 2.2),
    labelled(
        "gov_id.licence", DataClass.GOV_ID, "driving_licence",
        r"driver'?s?[ _-]?licen[cs]e|driving[ _-]?licen[cs]e|dl|führerschein|permis de conduire|"
        r"licencia de conducir|patente di guida|carta de condução|rijbewijs",
        r"[A-Z]{0,5}[0-9][A-Z0-9*-]{4,16}", 1.6,
    ),
    labelled(
        "gov_id.tax", DataClass.GOV_ID, "tax",
        r"tax[ _-]?(?:payer)?[ _-]?(?:id|identification|ref(?:erence)?)|tin|steuer-?(?:id|nummer)|"
        r"vat|ust-?id|nif|siret|siren|umsatzsteuer-?id|partita iva|p\.? ?iva|rfc",
        r"[A-Z]{0,3}[0-9][0-9A-Z /.-]{6,16}[0-9A-Z]", 1.0,
    ),
    labelled(
        "gov_id.national", DataClass.GOV_ID, "national_id",
        r"national[ _-]?(?:id|identity|identification)(?:[ _-]?(?:card|number))?|nid|id[ -]card|"
        r"identity[ -]card|personalausweis|carte d'identité|cédula|cedula|documento de identidad|"
        r"insurance[ _-]?id|voter[ _-]?id|green[ -]card|alien[ -]registration|visa[ -]number",
        r"[A-Z]{0,4}-?[0-9][A-Z0-9.-]{4,17}", 1.5,
    ),
    Rule(id="gov_id.nid", data_class=DataClass.GOV_ID, kind="national_id", pattern=r"NID-?[0-9]{6,12}", base=2.0),
)  # fmt: skip

MEDICAL: Final = (
    labelled(
        "medical_id.record", DataClass.MEDICAL_ID, "record",
        r"mrn|medical[ _-]?record(?:[ _-]?number)?|patient[ _-]?(?:id|number|no)|chart|"
        r"patientennummer|historia clínica|numéro de dossier|health[ _-]?(?:plan|card)(?:[ _-]?(?:id|number))?|"
        r"medicare|medicaid|member[ _-]?id|beneficiary[ _-]?(?:id|number)|krankenversicherungsnummer",
        _CODE, 1.6,
    ),
    Rule(id="medical_id.mrn", data_class=DataClass.MEDICAL_ID, kind="record", pattern=r"MRN-[0-9]{5,12}", base=2.6),
    Rule(
        id="medical_id.dea", data_class=DataClass.MEDICAL_ID, kind="us.dea", pattern=r"[ABCDEFGHJKLMPRSTUX][A-Z9][0-9]{7}",
        base=-2.0, check=checks.dea, accepts=0.1, hints=hinted("dea prescriber registration"),
    ),
    Rule(
        id="medical_id.mbi", data_class=DataClass.MEDICAL_ID, kind="us.mbi", base=1.0, hints=hinted("mbi medicare beneficiary"),
        pattern=r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]-?[AC-HJKMNP-RT-Y]{2}[0-9]{2}",
    ),
)  # fmt: skip

CONTACT: Final = (
    Rule(
        id="email", data_class=DataClass.EMAIL, kind="address", base=4.0, joined=True,
        pattern=r"(?i)[\p{L}0-9][\p{L}\p{M}0-9._%+'-]*@(?:[\p{L}\p{M}0-9](?:[\p{L}\p{M}0-9-]*[\p{L}\p{M}0-9])?\.)+[a-z]{2,24}",
    ),
    Rule(
        id="email.quoted", data_class=DataClass.EMAIL, kind="obfuscated", base=2.5,
        pattern=r"(?i)[a-z0-9][a-z0-9._+-]*\s?(?:[\[({<]\s?(?:at|@)\s?[\])}>]|\s+at\s+)\s?[a-z0-9-]+(?:\s?(?:[\[({<]\s?(?:dot|\.)\s?[\])}>]|\s+dot\s+|\.)\s?[a-z0-9-]+)*\s?(?:[\[({<]\s?(?:dot|\.)\s?[\])}>]|\s+dot\s+|\.)\s?(?:com|org|net|edu|gov|io|co|uk|de|fr|es|it|nl|eu|info|biz|dev|ai|app|me|us|ca|au|in|jp|cn|br|ru|pl|ch|at|be|se|no|dk|fi)",
    ),
    Rule(
        id="url", data_class=DataClass.URL, kind="link", base=3.0,
        pattern=r"(?i)(?:https?|ftp)://[^\s\"'<>`{}|\\^]+[^\s\"'<>`{}|\\^.,;:!?)\]]|www\.[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[^\s\"'<>]*)?",
    ),
)  # fmt: skip

BANKING: Final = (
    Rule(
        id="bank.iban", data_class=DataClass.BANK, kind="iban", base=0.6, check=checks.iban, accepts=0.0103, fits=checks.iban_fits,
        pattern=r"(?i)[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?", hints=hinted("iban account konto bank compte cuenta conto rekening"),
    ),
    Rule(
        id="bank.bic", data_class=DataClass.BANK, kind="bic", base=-2.0, check=by(stdnum_bic), accepts=0.5,
        pattern=r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", hints=hinted("bic swift iban code"),
    ),
    Rule(
        id="bank.sort_code", data_class=DataClass.BANK, kind="gb.sort_code", base=-2.0,
        pattern=r"[0-9]{2}-[0-9]{2}-[0-9]{2}", hints=hinted("sort sortcode"),
    ),
    labelled(
        "bank.labelled", DataClass.BANK, "account",
        r"(?:bank[ _-]?)?(?:account|acct|a/c)|kontonummer|konto|numéro de compte|cuenta|conto corrente|conta|routing|clabe|bsb|ifsc",
        r"[A-Z]{0,4}[0-9][0-9 -]{5,24}[0-9]", 1.0,
    ),
    Rule(
        id="card.cvv", data_class=DataClass.CARD, kind="cvv", base=2.0,
        pattern=r"(?i)\b(?:cvv2?|cvc2?|csc|security code|card verification(?: code| value)?|cid)[\"']?\s?(?:is|:|=|#|code)?\s?[\"']?(?P<v>[0-9]{3,4})",
    ),
)  # fmt: skip

NETWORK: Final = (
    Rule(
        id="network.ipv4", data_class=DataClass.NETWORK, kind="ipv4", base=2.2, check=checks.ipv4, accepts=0.9,
        pattern=r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?:/[0-9]{1,2})?", hints=hinted("ip address host server addr"),
    ),
    Rule(
        id="network.ipv6", data_class=DataClass.NETWORK, kind="ipv6", wide=True, base=0.8, check=checks.ipv6, accepts=0.2,
        pattern=r"(?i)(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%[a-z0-9]+)?", hints=hinted("ip address ipv host server"),
    ),
    Rule(
        id="network.mac", data_class=DataClass.NETWORK, kind="mac", base=2.5, check=checks.mac, accepts=0.9,
        pattern=r"(?i)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}",
    ),
    Rule(
        id="network.imei", data_class=DataClass.NETWORK, kind="imei", base=-2.5, check=by(stdnum_imei), accepts=0.1,
        pattern=r"[0-9]{2}-?[0-9]{6}-?[0-9]{6}-?[0-9]", hints=hinted("imei device handset phone"),
    ),
    Rule(
        id="crypto.bitcoin", data_class=DataClass.CRYPTO, kind="bitcoin", base=-1.0, check=stdnum("bitcoin"), accepts=0.0001,
        pattern=r"[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,87}", hints=hinted("bitcoin btc wallet"),
    ),
    Rule(
        id="crypto.ethereum", data_class=DataClass.CRYPTO, kind="ethereum", base=2.5,
        pattern=r"0x[0-9a-fA-F]{40}", hints=hinted("ethereum eth wallet"),
    ),
    Rule(
        id="crypto.other", data_class=DataClass.CRYPTO, kind="other", base=-1.5, hints=hinted("wallet litecoin ltc monero xmr ripple xrp doge tron trx"),
        pattern=r"[LMDrT4][1-9A-HJ-NP-Za-km-z]{25,94}",
    ),
)  # fmt: skip

PLACES: Final = (
    Rule(
        id="plate.vin", data_class=DataClass.PLATE, kind="vin", base=-1.2, check=checks.vin, accepts=0.09,
        pattern=r"(?i)[A-HJ-NPR-Z0-9]{8}[0-9X][A-HJ-NPR-Z0-9]{8}", hints=hinted("vin vehicle chassis fahrgestellnummer"),
    ),
    replace(labelled(
        "plate.labelled", DataClass.PLATE, "plate",
        r"licen[cs]e plate|number plate|plate|registration plate|kennzeichen|plaque|matrícula|targa|kenteken|tablice",
        r"[A-ZÄÖÜ0-9]{1,4}[ -]?[A-Z0-9]{1,4}[ -]?[A-Z0-9]{0,5}[0-9][A-Z0-9]{0,3}", 1.2,
    ), check=checks.plate, accepts=0.9),
    Rule(
        id="birth_date", data_class=DataClass.BIRTH_DATE, kind="date", wide=True, base=-2.2,
        pattern=(
            rf"(?i)(?:19|20)[0-9]{{2}}[-/.](?:0?[1-9]|1[0-2])[-/.](?:[12][0-9]|3[01]|0?[1-9]){_TIME}?"
            r"|(?:[12][0-9]|3[01]|0?[1-9])[-/. ]{1,2}(?:[12][0-9]|3[01]|0?[1-9])[-/. ]{1,2}(?:(?:19|20)[0-9]{2}|[0-9]{2})"
             r"|(?:[12][0-9]|3[01]|0?[1-9])(?:st|nd|rd|th|\.)?(?: of| de)? " + _MONTH + r"\.?,?(?: de)? (?:19|20)[0-9]{2}|" + _MONTH + r"\.? (?:[12][0-9]|3[01]|0?[1-9])(?:st|nd|rd|th)?,? (?:19|20)[0-9]{2}"
        ),
        hints=hinted(
            "born birth dob birthday birthdate bday d.o.b geboren geburtsdatum geburtstag né née naissance nacido nacida nacimiento "
            "nato nata nascita nascimento nascido nascida geboortedatum urodzony urodzenia född födelsedatum født syntynyt doğum "
            "дата рождения родился родилась 出生 生年 誕生 生日 생년 ميلاد जन्म"
        ),
    ),
    Rule(
        id="minor.age", data_class=DataClass.MINOR, kind="age", base=1.5,
        pattern=r"(?i)\b(?:(?:aged?|turned|turning|(?:i|he|she|child|son|daughter|kid|boy|girl|pupil|student|patient)(?:'s|'m| is| am| was))\s(?:[1-9]|1[0-7])(?:\s(?:years?|yrs?)(?:[ -]old)?)?\b|(?:is|am|was)\s(?:[1-9]|1[0-7])\s(?:years?|yrs?)(?:[ -]old)?\b|(?:[1-9]|1[0-7])[ -](?:years?|yrs?|yo)[ -]?old|(?:[1-9]|1[0-7])[ -]?jährige[rn]?|(?:[1-9]|1[0-7]) ans\b|(?:[1-9]|1[0-7]) años\b)",
        hints=hinted("child boy girl son daughter student pupil kid minor teen toddler baby kind tochter sohn fille fils hijo hija"),
    ),
    Rule(
        id="minor.school", data_class=DataClass.MINOR, kind="school", base=0.3,
        pattern=r"(?i)\b(?:(?:[1-9]|1[0-2])(?:st|nd|rd|th)[ -]grade(?:r)?|grade (?:[1-9]|1[0-2])|year (?:[1-9]|1[0-3]) (?:pupil|student)|kindergart(?:en|ner)|preschooler|elementary school|primary school pupil|legal guardian|parental consent|guardian of)\b",
        hints=hinted("child boy girl son daughter student pupil kid minor teen my our his her"),
    ),
)  # fmt: skip

STRUCTURED: Final = (*GOVERNMENT, *MEDICAL, *CONTACT, *BANKING, *NETWORK, *PLACES)
