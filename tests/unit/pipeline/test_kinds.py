"""Every kind: found as it is, found in disguise, and what merely looks like it is not.

All values are made up; numbers with check digits were drawn until the check passed.
Keys are put together here, so that no scanner takes them for real ones.
"""

# ruff: noqa: E501 - tables read best as rows

from base64 import urlsafe_b64encode
from typing import Final

import pytest

from infra.recipes import load_recipe
from pipeline.detection.countries import NUMBERS
from pipeline.detection.engine import inspect
from pipeline.detection.recipe import RULES

RECIPE: Final = load_recipe()
Kind = tuple[str, str]

DIGITS: Final = """
GOV_ID us.ssn security 843559932
GOV_ID us.itin individual 986984590
GOV_ID us.tin taxpayer 23-5538893
GOV_ID us.ein federal 23-5538893
GOV_ID au.tfn file 230752809
GOV_ID ca.sin assurance 423590793
GOV_ID il.idnr israeli 457945954
GOV_ID nl.bsn bsn 685656317
GOV_ID nz.ird inland 128870075
GOV_ID pt.nif contribuinte 872086313
GOV_ID at.svnr sozialversicherung 1509835267
GOV_ID bg.egn egn 1951091259
GOV_ID co.nit cedula 1982012213
GOV_ID cz.rc cislo 8443028968
GOV_ID sk.rc rodne 8443028968
GOV_ID dk.cpr cpr 1505844451
GOV_ID ec.ci cedula 1807916992
GOV_ID gb.nhs health 2201965587
GOV_ID gb.utr taxpayer 1993081373
GOV_ID is.kennitala kennitala 2707632350
GOV_ID pl.nip nip 1540104175
GOV_ID se.personnummer personnummer 5607147088
GOV_ID ua.rntrc ипн 1993110732
GOV_ID ru.snils snils 17503757273
GOV_ID ar.cuit afip 23059905635
GOV_ID ar.dni documento 23.456.789
GOV_ID be.nn insz 82010328890
GOV_ID br.cpf cadastro 54525932333
GOV_ID cu.ni carnet 93010499223
GOV_ID de.idnr identifikationsnummer 16304750081
GOV_ID do.cedula cedula 47313861941
GOV_ID ee.ik isikukood 36708061310
GOV_ID gr.amka amka 14019522003
GOV_ID hr.oib oib 38312142645
GOV_ID lt.asmens asmens 90418704694
GOV_ID lv.pk kods 97110746625
GOV_ID no.fnr fnr 20099720825
GOV_ID pl.pesel pesel 84031753474
GOV_ID tr.tckimlik kimlik 34903907128
GOV_ID br.cnpj cnpj 17208026133866
GOV_ID ch.ahv ahv 7566509066396
GOV_ID fr.spi fiscal 1986091322397
GOV_ID kr.rrn registration 9501212532018
GOV_ID md.idnp idnp 1953011262912
GOV_ID pk.cnic cnic 1409958983679
GOV_ID ro.cnp cnp 3540221179046
GOV_ID rs.jmbg emso 1512993025997
GOV_ID th.pin thai 3720414395377
GOV_ID za.idnr african 8504071104080
GOV_ID cn.ric resident 110105199202015686
GOV_ID fr.nir insee 941008686913059
GOV_ID id.nik kependudukan 1962121807754510
GOV_ID in.aadhaar aadhaar 961005559076
GOV_ID jp.in my 155101084829
GOV_ID my.nric ic 500915216483
GOV_ID ru.inn inn 160596524900
GOV_ID dz.nif nif 998877665544332
BANK us.aba aba 021000021
MEDICAL_ID au.medicare medicare 2648138060
MEDICAL_ID us.npi npi 8039956874
"""
"""Class, kind, the word beside it, the number."""

_ANY: Final = "a1B2c3D4e5F6g7H8i9J0kL"
_HEX: Final = "0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d"
_UP: Final = "A2B3C4D5E6F7G2H3"
_JWT: Final = ".".join(
    urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256","typ":"JWT"}', b'{"sub":"made-up-one"}')
)

SECRETS: Final = {
    "aws_access_key": ("AKIA", _UP, "AKIA" + _UP[:9]),
    "github": ("ghp_", _ANY * 2, "ghp_short1"),
    "gitlab": ("glpat-", _ANY, "glpat-abc1"),
    "slack": ("xoxb-", f"2094-{_ANY}", "xoxb-12"),
    "slack_webhook": ("https://hooks.slack.com/services/", f"T0A1B2C3D/B4E5F6G7H/{_ANY}", "https://hooks.slack.com/services/T0"),
    "discord": ("https://discord.com/api/webhooks/", "12345678901234567/" + (_ANY * 4)[:68], "https://discord.com/api/webhooks/12"),
    "stripe": ("sk_live_", _ANY, "sk_live_abc"),
    "google": ("AIza", (_ANY * 2)[:35], "AIza-short-one"),
    "openai": ("sk-proj-", _ANY * 2, "sk-proj-abc"),
    "anthropic": ("sk-ant-", "api03-" + _ANY * 2, "sk-ant-abc"),
    "huggingface": ("hf_", (_ANY * 2)[:34], "hf_hub"),
    "model_provider": ("gsk_", _ANY * 2, "gsk_abc"),
    "sendgrid": ("SG.", f"{_ANY}.{_ANY * 2}", "SG.abc.def"),
    "twilio": ("SK", _HEX, "SK0a1b2c"),
    "mailgun": ("key-", _HEX, "key-0a1b2c"),
    "npm": ("npm_", (_ANY * 2)[:36], "npm_config_registry"),
    "pypi": ("pypi-", _ANY * 3, "pypi-publish"),
    "docker": ("dckr_pat_", _ANY + "aB3", "dckr_pat_abc"),
    "digitalocean": ("dop_v1_", _HEX * 2, "dop_v1_0a1b"),
    "azure": ("AccountKey=", (_ANY * 4)[:86] + "==", "AccountKey=abc"),
    "shopify": ("shpat_", _HEX, "shpat_0a1b"),
    "square": ("sq0atp-", _ANY, "sq0atp-abc"),
    "telegram": ("1234567890:AA", (_ANY * 2)[:33], "1234567890:AAbc"),
    "vault": ("hvs.", _ANY * 2, "hvs.abc"),
    "terraform": ("a1B2c3D4e5F6g7.atlasv1.", (_ANY * 4)[:64], "a1B2c3D4e5F6g7.atlasv1.abc"),
    "linear": ("lin_api_", _ANY * 2, "lin_api_abc"),
    "notion": ("ntn_", _ANY * 2, "ntn_abc"),
    "databricks": ("dapi", _HEX, "dapi0a1b"),
    "grafana": ("glsa_", _ANY * 2, "glsa_abc"),
    "newrelic": ("NRAK-", (_UP * 2)[:27], "NRAK-ABC"),
    "age": ("AGE-SECRET-KEY-1", (_UP * 4)[:58], "AGE-SECRET-KEY-1ABC"),
    "sluice": ("sluice_live_", _ANY, "sluice_live_abc"),
    "jwt": (f"{_JWT}.", "abcDEF123_-abc", "eyJhello-there.not-a-token.abc"),
    "named": ("client_secret = ", "q8Zr2LpW7xKd0vTn", "client_secret = ${CLIENT_SECRET}"),
    "bearer": ("Authorization header Bearer ", "q8Zr2LpW7xKd0vTnB4", "the bearer of bad news arrives today"),
    "password": ("password: ", "hunter22x", "password: required"),
    "cookie": ("Set-Cookie: sid=", "q8Zr2LpW7xKd0vTnB4", "Set-Cookie: lang=en"),
    "connection": ("postgres://app:", "s3cr3tpw@db.internal/main", "postgres://db.internal/main"),
    "private_key": ("-----BEGIN PRIVATE KEY-----", "\nMIIEow\n-----END PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----\nMIIEow"),
}  # fmt: skip
"""How it begins, how it goes on, and a near miss; by kind."""

OTHERS: Final = (
    # class, kind, frame, value, near miss
    ("GOV_ID", "gb.nino", "NI {}", "AB 12 34 56 C", "part QQ 12 34 56 Z"),
    ("GOV_ID", "es.dni", "DNI {}", "12345678Z", "order no. 12345678A"),
    ("GOV_ID", "es.nie", "NIE {}", "X1234567L", "order no. X1234567A"),
    ("GOV_ID", "it.codicefiscale", "codice fiscale {}", "RCCMNL83S18D969H", "order no. RCCMNL83S18D969A"),
    ("GOV_ID", "mx.curp", "CURP {}", "BOXW310820HNERXN09", "order no. BOXW310820HNERXN08"),
    ("GOV_ID", "mx.rfc", "mi RFC: {}", "GODE561231GR8", "order no. GODE561331GR8"),
    ("GOV_ID", "in.pan", "PAN {}", "ACUPA7085R", "order no. ACUXA7085R"),
    ("GOV_ID", "in.epic", "EPIC voter {}", "WKH1186253", "order no. WKH1186254"),
    ("GOV_ID", "sg.nric", "NRIC {}", "S1234567D", "order no. S1234567A"),
    ("GOV_ID", "fi.hetu", "henkilötunnus {}", "131052-308T", "order no. 131052-308A"),
    ("GOV_ID", "ie.pps", "PPS {}", "6433435F", "order no. 6433435E"),
    ("GOV_ID", "cl.rut", "RUT {}", "12.531.909-2", "order no. 12.531.909-3"),
    ("GOV_ID", "ve.rif", "RIF {}", "V-11470283-4", "order no. V-11470283-3"),
    ("GOV_ID", "ke.pin", "KRA PIN {}", "A001234567B", "order no. A001234567B"),
    ("GOV_ID", "tw.id", "Taiwan ID {}", "A123456789", "order no. A123456788"),
    ("GOV_ID", "hk.id", "HKID {}", "A123456(3)", "order no. A123456(4)"),
    ("GOV_ID", "cn.ric", "身份证号 {}", "11010519491231002X", "order no. 11010519491331002X"),
    ("GOV_ID", "fr.nir", "sécurité sociale {}", "1 85 05 2A 123 456 16", "order no. 1 85 05 2A 123 456 17"),
    ("GOV_ID", "kr.rrn", "주민 {}", "971013-9019902", "order no. 971313-9019902"),
    ("GOV_ID", "pt.cc", "cartão cidadão {}", "00000000 0 ZZ4", "order no. 00000000 0 ZZ5"),
    ("GOV_ID", "passport", "passport no. {}", "X1234567", "the passport office opens at 9"),
    ("GOV_ID", "driving_licence", "driver's license: {}", "D1234567", "a driver's license is needed in 2024"),
    ("GOV_ID", "tax", "tax id: {}", "12/345/67890", "the tax year 2023"),
    ("GOV_ID", "national_id", "national ID: {}", "AB-1234567", "the national ID scheme of 2016"),
    ("MEDICAL_ID", "record", "MRN: {}", "40021877", "a chart of 2024 sales"),
    ("MEDICAL_ID", "us.dea", "DEA {}", "AB1234563", "order no. AB1234564"),
    ("MEDICAL_ID", "us.mbi", "MBI {}", "1EG4-TE5-MK73", "order no. 0EG4-TE5-MK73"),
    ("EMAIL", "address", "write to {}", "nora.lind@mail.example", "we met @noon at the door"),
    ("EMAIL", "obfuscated", "write to {}", "nora [at] mail [dot] com", "meet me at noon dot the i"),
    ("URL", "link", "see {}", "https://wiki.example/page?id=4", "see http:// and what follows"),
    ("PHONE", "number", "call {} today", "+49 30 9012345", "version 10.14.2201"),
    ("CARD", "pan", "pay with {}", "4111 1111 1111 1111", "ticket 4111 1111 1111 1112"),
    ("CARD", "cvv", "the cvv is {}", "412", "the cvv is three digits"),
    ("BANK", "iban", "iban {}", "DE89 3704 0044 0532 0130 00", "ref DE89 3704 0044 0532 0130 01"),
    ("BANK", "bic", "swift {}", "DEUTDEFF", "the word PASSWORD in capitals"),
    ("BANK", "gb.sort_code", "sort code {}", "20-48-51", "score 20-48-51"),
    ("BANK", "account", "account number: {}", "3300412298", "order no. 3300412298"),
    ("NETWORK", "ipv4", "from {}", "203.0.113.9", "version 1.2.3.4"),
    ("NETWORK", "ipv6", "host {}", "2001:db8:85a3::8a2e:370:7334", "at 12:30:45 sharp"),
    ("NETWORK", "mac", "mac {}", "3c:22:fb:0e:4d:91", "ratio 3c:22:fb"),
    ("NETWORK", "imei", "IMEI {}", "490154203237518", "order no. 490154203237519"),
    ("CRYPTO", "bitcoin", "btc {}", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "id 1BoatSLRHtKNngkdXEeobR76b53LETtpyU"),
    ("CRYPTO", "ethereum", "send to {}", "0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F70300698"),
    ("CRYPTO", "other", "litecoin wallet {}", "LaMT348PWRnrqeeWArpwQPbuanpXDZGEUz", "order no. LaMT348PWRnrqeeWArpwQPbuanpXDZGEUz"),
    ("PLATE", "vin", "VIN {}", "1M8GDM9AXKP042788", "order no. 1M8GDM9A1KP042788"),
    ("PLATE", "plate", "license plate: {}", "KA-NL 4711", "a plate of 12 cakes"),
    ("BIRTH_DATE", "date", "born on {}", "3 May 1980", "the meeting is on 2024-03-17"),
    ("MINOR", "age", "my daughter is {}", "9 years old", "the bridge is 90 years old"),
    ("MINOR", "school", "my son is in {}", "4th grade", "a 4th floor office"),
    ("PERSON", "name", "My name is {}.", "Nora Lind", "My name is on the list."),
    ("ADDRESS", "street", "she lives at {}", "742 Elm Street, Springfield, IL 62704", "the street was long"),
    ("ADDRESS", "german", "Anschrift {}", "Lindenstraße 12, 50674 Köln", "die Lindenstraße ist lang"),
    ("ADDRESS", "french", "habite au {}", "12 rue de la Paix, 75002 Paris", "la rue est longue"),
    ("ADDRESS", "southern", "vivo en {}", "Calle de Alcalá 45, 28014 Madrid", "la calle es larga"),
    ("ADDRESS", "northern", "adres {}", "Kalverstraat 92, 1012 Amsterdam", "de straat is lang"),
    ("ADDRESS", "hungarian", "lakcím {}", "Király utca 15, Budapest", "a hosszú utca"),
    ("ADDRESS", "greek", "διεύθυνση {}", "Λεωφόρος Αθηνών 189", "η λεωφόρος είναι μεγάλη"),
    ("ADDRESS", "military", "send it to {}", "Unit 4714 Box 6368, DPO AE 29271", "a unit of 12 boxes"),
    ("ADDRESS", "flat", "my address is {}", "Apt. 469", "an apartment with 4 rooms"),
    ("ADDRESS", "postcode", "my zip code is {}", "46718", "the zip file is 46718 bytes"),
    ("ADDRESS", "slavic", "adres {}", "ul. Marszałkowska 10", "ulica jest długa"),
    ("ADDRESS", "box", "send it to {}", "PO Box 1187", "a box of 1187 nails"),
    ("ADDRESS", "postcode.gb", "my address is {}", "SW1A 2AA", "order no. SW1A 2AA"),
    ("ADDRESS", "zip.us", "she lives in {}", "Springfield, IL 62704", "Springfield has 62704 people"),
    ("ADDRESS", "japanese", "住所 {}", "〒100-0001 東京都千代田区千代田1-1", "東京は大きい"),
    ("ADDRESS", "labelled", "address: {}", "house 4 by the old mill", "address: unknown"),
    ("HEALTH", "condition", "My sister, who moved to the coast two years ago and works in a small library there, has lived with {} since.", "lupus", "The lupus foundation, which moved to the coast two years ago, opened a library."),
    ("HEALTH", "condition", "Meine Mutter hat {}.", "Vorhofflimmern", "Größer als gedacht, mein Haus."),
    ("HEALTH", "medication", "Sie nimmt seit Jahren {}", "Ramipril", "Ramipril wurde 1981 beschrieben."),
    ("HEALTH", "condition", "the patient was diagnosed with {}", "asthma", "the asthma foundation opened a museum"),
    ("HEALTH", "medication", "she takes {} for her condition", "sertraline", "the price of sertraline fell"),
    ("HEALTH", "procedure", "my {} at the hospital", "colonoscopy", "the colonoscopy market grew"),
    ("BIOMETRIC", "term", "stored {} of the employee", "fingerprint template", "facial recognition is a field of research"),
    ("BIOMETRIC", "template", '"face_template": "{}"', "aGVsbG8gd29ybGQgdGhpcyBpcyBh", '"face_template": "none"'),
)  # fmt: skip


def _rows() -> list[tuple[str, str, str, str, str]]:
    rows = list(OTHERS)
    for line in DIGITS.split("\n")[1:-1]:
        data_class, kind, word, value = line.split()
        near = value[:-1] + str((int(value[-1]) + 1) % 10)
        rows.append((data_class, kind, f"{word}: {{}}", value, f"order no. {near}"))
    for kind, (head, rest, near) in SECRETS.items():
        rows.append(("SECRET", kind, "use {}", head + rest, near))
    return rows


ROWS: Final = _rows()
TWINS: Final[dict[Kind, str]] = {
    ("GOV_ID", "dz.nif"): "tax",
    ("GOV_ID", "sk.rc"): "cz.rc",
    ("GOV_ID", "us.ein"): "us.tin",
    ("SECRET", "cookie"): "named",
}
"""Kinds that are written like another, and told as that."""
FULL_WIDTH: Final = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}


def kinds(text: str) -> set[Kind]:
    """What a default policy acts on."""
    return {
        (each.data_class.value, each.kind)
        for each in inspect(text, RECIPE).findings
        if each.confidence >= RECIPE.thresholds[each.data_class]
    }


def told(data_class: str, kind: str) -> Kind:
    return data_class, TWINS.get((data_class, kind), kind)


@pytest.mark.parametrize(("data_class", "kind", "frame", "value", "near"), ROWS)
def test_it_is_found(
    data_class: str, kind: str, frame: str, value: str, near: str
) -> None:
    assert told(data_class, kind) in kinds(frame.replace("{}", value))


@pytest.mark.parametrize(("data_class", "kind", "frame", "value", "near"), ROWS)
def test_it_is_found_in_disguise(
    data_class: str, kind: str, frame: str, value: str, near: str
) -> None:
    hidden = value.translate(FULL_WIDTH)

    assert told(data_class, kind) in kinds(frame.replace("{}", hidden))


@pytest.mark.parametrize(("data_class", "kind", "frame", "value", "near"), ROWS)
def test_what_merely_looks_like_it_is_not(
    data_class: str, kind: str, frame: str, value: str, near: str
) -> None:
    assert data_class not in {of for of, _ in kinds(near)}


def test_every_kind_has_its_rows() -> None:
    rules = {(rule.data_class.value, rule.kind) for rule in RULES}
    digits = {
        (n.data_class.value, n.kind) for all_of in NUMBERS.values() for n in all_of
    }
    read = {("CARD", "pan"), ("BANK", "account"), ("SECRET", "private_key")}
    tried = {(data_class, kind) for data_class, kind, *_ in ROWS}

    assert set() == (rules | digits | read) - tried
