"""Postal addresses: an anchor (number and street word, postcode), then what follows."""

# ruff: noqa: E501, RUF001 - tables read best as rows, in many scripts

from typing import Final

from pipeline.detection import checks
from pipeline.detection.checks import Check
from pipeline.detection.rules import Rule, hinted
from schemas.policies import DataClass

_WORD: Final = r"\p{Lu}[\p{L}\p{M}'’.-]*"
_STREET: Final = (
    r"(?i:street|avenue|ave|road|lane|drive|boulevard|blvd|way|court|place|terrace|square|parkway|pkwy|circle|highway|hwy|"
    r"close|crescent|gardens|grove|mews|trail|turnpike|plaza|loop|alley|st|rd|ln|dr|ct|pl|sq|cir|ter)\b\.?"
)
_UNIT: Final = r"(?:,?\s{1,3}(?i:apt|apartment|suite|ste|unit|flat|floor|room|#)\.?\s?#?[0-9A-Za-z-]{1,6})?"
_TOWN: Final = rf"(?:,?\s{{1,3}}{_WORD}(?:[ -]{_WORD}){{0,3}})?(?:,?\s{{1,3}}[A-Z]{{2,3}})?(?:,?\s{{1,3}}{_WORD}(?: {_WORD}){{0,3}})?(?:,?\s{{1,3}}[A-Z]{{0,2}}[0-9][0-9A-Z -]{{2,8}}[0-9A-Z])?"
_BREAK: Final = r"(?:\s{0,2}[,/]\s{0,2}|\s{0,2}\n\s{0,2}| )"
_POSTCODE: Final = r"(?:[A-Z]{1,2}-)?[0-9]{4,6}(?:\s?[A-Z]{2}\b)?"
_PLACE: Final = rf"{_WORD}(?:[ -]{_WORD}){{0,2}}"
_FLAT: Final = rf"(?:{_BREAK}(?i:apt|apartment|suite|ste|unit|flat|wohnung|appartement|piso|app)\b\.?\s?#?[0-9][0-9A-Za-z-]{{0,5}})?"
_ON: Final = rf"(?:(?:{_BREAK}{_PLACE}){{1,3}}{_BREAK}{_POSTCODE}|{_BREAK}{_POSTCODE}(?:,? {_PLACE})?|(?:, ?|/ ?){_PLACE})?"
_CONTINENT: Final = rf"(?: ?[a-zA-Z]\b)?{_FLAT}{_ON}"
"""What follows a street and its number: a flat, towns and countries, a postcode."""
_NORTH: Final = (
    r"straat|laan|gracht|plein|kade|dijk|singel|dreef|hof|plantsoen|steenweg|markt|vej|gade|stræde|torv|plads|allé|gata|gatan|gate|vägen|veien|vegen|väg|"
    r"gränd|backen|bakken|stien|stigen|torget|vegur|stígur|braut|götu|gerði|veien|katu|tie|kuja|polku|kaari|raitti|väylä|tänav"
)
_HUNGARIAN: Final = r"utca|u\.|út|útja|tér|tere|körút|rakpart|fasor|sétány|köz"
_HINTS: Final = hinted(
    "address street live lives living ship shipping billing deliver home located reside resides adresse wohnt wohne anschrift dirección vivo domicilio "
    "indirizzo abito endereço moro adres woon habite city zip postcode postal plz"
)


def _rule(name: str, pattern: str, base: float, check: Check | None = None) -> Rule:
    return Rule(
        id=f"address.{name}",
        data_class=DataClass.ADDRESS,
        kind=name,
        pattern=pattern,
        base=base,
        hints=_HINTS,
        wide=True,
        check=check,
    )


ADDRESSES: Final = (
    _rule("street", rf"(?:{_WORD} )?[0-9]{{1,6}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:{_WORD} ){{1,4}}{_STREET}{_UNIT}{_TOWN}", 1.6),
    _rule("german", rf"{_WORD}(?:[ -]{_WORD}){{0,2}}(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|ufer|damm|steig|chaussee|Straße|Strasse|Str\.|Weg|Platz|Allee|Ring|Gasse|Damm|Ufer) [0-9]{{1,4}}{_CONTINENT}", 2.6),
    _rule("french", rf"[0-9]{{1,4}}(?: ?(?:bis|ter))?,? (?i:rue|avenue|boulevard|place|chemin|impasse|allée|quai|cours|route) (?:(?:de|du|des|la|le|les|l'|d')\s?){{0,3}}{_WORD}(?:[ -](?:(?:de|du|des|la) )?{_WORD}){{0,4}}{_CONTINENT}", 2.6),
    _rule("southern", rf"(?:Calle|C/|Avenida|Avda\.?|Av\.?|Plaza|Paseo|Carrera|Camino|Via|Viale|Piazza|Corso|Vicolo|Rua|R\.?|Travessa|Trav\.|Praça|Largo|Estrada|Rúa) (?:(?:de|del|della|delle|dello|degli|dei|di|da|das|do|dos|la|el|los|las) ){{0,3}}{_WORD}(?:[ -](?:(?:de|di|da|del|y|e) )?{_WORD}){{0,4}},? (?:n[º°o.]{{1,2}} ?)?[0-9]{{1,4}}{_CONTINENT}", 2.6),
    _rule("northern", rf"{_WORD}(?:{_NORTH}| (?:{_NORTH}|tn|pst|mnt|tee)) [0-9]{{1,4}}{_CONTINENT}", 2.6),
    _rule("hungarian", rf"{_WORD}(?: {_WORD})? (?:{_HUNGARIAN}) [0-9]{{1,4}}\.?{_CONTINENT}", 2.6),
    _rule("military", r"(?i:unit|psc|cmr)\s[0-9]{2,5},?\s{1,3}(?i:box)\s[0-9]{2,5}(?:[,/]?\s{0,3}(?i:dpo|apo|fpo),?\s(?i:a[aep])(?:\s[0-9]{5})?)?", 2.6),
    _rule("flat", r"(?:Apt\.?|Apartment|Suite|Ste\.|Flat|Wohnung|Appartement) #?[0-9]{1,5}[A-Za-z]?", 0.4),
    _rule("slavic", rf"(?:ul\.|ulica|al\.|aleja|ulice|nám\.|ул\.|улица|пр\.|проспект) {_WORD}(?: {_WORD}){{0,3}},? (?:д\. ?)?[0-9]{{1,4}}[a-z]?(?:/[0-9]{{1,4}})?{_CONTINENT}", 1.6),
    _rule("greek", rf"(?i:οδός|οδού|οδο|λεωφόρος|λεωφόρου|λεωφ\.|πλατεία) {_PLACE} [0-9]{{1,4}}{_CONTINENT}", 2.6),
    _rule("postcode", r"(?i)(?:^|[^\p{L}])(?:zip(?:[ _-]?code)?|post(?:al)?[ _-]?code|plz|postleitzahl|code postal|código postal|postnummer|kod pocztowy|codice postale|cep)[\"']?\s?(?:is|:|=|ist|est|es|è|é)?\s{0,2}[\"']?(?P<v>[a-z]{0,2}-?[0-9][0-9a-z]{1,5}(?:[ -][0-9a-z]{2,4})?)", 1.6),
    _rule("box", r"(?i)\bp\.? ?o\.? ?box [0-9]{1,6}|postfach [0-9]{2,6}|apartado (?:de correos )?[0-9]{1,6}", 2.5),
    _rule("postcode.gb", r"[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}", 0.4),
    _rule("zip.us", rf"{_WORD}(?: {_WORD}){{0,2}}, [A-Z]{{2}},? [0-9]{{5}}(?:-[0-9]{{4}})?", 1.4),
    _rule("japanese", r"〒?[0-9]{3}-[0-9]{4}\s?[\p{Han}ぁ-ヿ]{2,4}[都道府県][\p{Han}ぁ-ヿ0-9-]{2,30}|[\p{Han}]{2,3}[都道府県][\p{Han}ぁ-ヿ]{1,12}[市区町村郡][\p{Han}ぁ-ヿ0-9-]{1,24}", 1.6),
    _rule("labelled", r"(?i)(?:^|[^a-z-])(?:(?:home|street|mailing|shipping|billing|postal)[ _-]?)?(?:address|adresse|anschrift|dirección|indirizzo|endereço|adres)[\"']?\s?[:=]\s?[\"']?(?P<v>[^\"'\n;<>|@:]{2,60}[0-9][^\"'\n;<>|@:]{0,60})", 0.9, checks.postal),
)  # fmt: skip
