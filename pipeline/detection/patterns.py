"""Patterns of structured data: RE2, no look-around; boundaries stand in the engine."""

from dataclasses import dataclass
from typing import Final

from pipeline.detection import checks
from pipeline.detection.checks import Check
from schemas.policies import DataClass

CONTEXT_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """One way of finding something.

    Attributes:
        id: as operators see it.
        pattern: RE2; its group ``v``, where it has one, is what is found.
        check: must hold for what was found.
        context: words of which one must stand near; empty: none is needed.
        confidence: of a match whose check and context hold.
    """

    id: str
    data_class: DataClass
    pattern: str
    check: Check = checks.anything
    context: tuple[str, ...] = ()
    confidence: float = 0.9


def _gov(kind: str, pattern: str, *context: str) -> Rule:
    check = checks.GOV_IDS[kind]
    return Rule(f"gov_id.{kind}", DataClass.GOV_ID, pattern, check, context)


_NAME: Final = r"(?P<v>\p{Lu}[\p{L}'\x{2019}-]+(?:\s+(?:(?:de|da|van|von|der|la|el|bin)\s+)*\p{Lu}[\p{L}'\x{2019}-]+){0,3})"
_FULL_NAME: Final = _NAME.replace("{0,3}", "{1,3}")

RULES: Final = (
    Rule(
        "email",
        DataClass.EMAIL,
        r"(?i)[a-z0-9][a-z0-9._%+'-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}",
    ),
    Rule(
        "card",
        DataClass.CARD,
        r"[2-6][0-9]{3}(?:[ -]?[0-9]){8,15}",
        checks.card,
    ),
    Rule(
        "iban",
        DataClass.BANK,
        r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?",
        checks.iban,
    ),
    Rule(
        "phone.international",
        DataClass.PHONE,
        r"\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}",
        checks.phone,
    ),
    Rule(
        "phone.national",
        DataClass.PHONE,
        r"(?:\(0?[0-9]{2,4}\)|0?[0-9]{2,5})[ .-]?[0-9]{3,4}[ .-][0-9]{3,4}",
        checks.phone,
        ("phone", "tel", "call", "mobile", "cell", "fax", "dial", "number", "whatsapp"),
        0.7,
    ),
    _gov("us.ssn", r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}", "ssn", "social", "security"),
    _gov("gb.nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", "nhs"),
    _gov("de.idnr", r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", "steuer", "tax", "idnr"),
    _gov("es.dni", r"[XYZ]?[0-9]{7,8}-?[A-Z]"),
    _gov("fr.nir", r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9AB]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"),
    _gov("it.codicefiscale", r"[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]"),
    _gov("nl.bsn", r"[0-9]{9}", "bsn", "burgerservice", "sofi"),
    _gov("pl.pesel", r"[0-9]{11}", "pesel"),
    _gov("br.cpf", r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}", "cpf"),
    Rule(
        "network.ipv4",
        DataClass.NETWORK,
        r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}",
        checks.network,
    ),
    Rule(
        "network.ipv6",
        DataClass.NETWORK,
        r"(?i)(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}",
        checks.network,
    ),
    Rule("crypto.ethereum", DataClass.CRYPTO, r"0x[0-9a-fA-F]{40}"),
    Rule("crypto.bitcoin", DataClass.CRYPTO, r"bc1[02-9ac-hj-np-z]{25,71}"),
    Rule("secret.private_key", DataClass.SECRET,
         r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\n]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"),
    Rule("secret.aws", DataClass.SECRET, r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    Rule("secret.github", DataClass.SECRET, r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    Rule("secret.slack", DataClass.SECRET, r"xox[abprs]-[A-Za-z0-9-]{10,250}"),
    Rule("secret.model_provider", DataClass.SECRET, r"sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,200}"),
    Rule("secret.payment", DataClass.SECRET, r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,99}"),
    Rule("secret.google", DataClass.SECRET, r"AIza[0-9A-Za-z_-]{35}"),
    Rule("secret.sluice", DataClass.SECRET, r"sluice_[a-z]{4}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"),
    Rule("secret.jwt", DataClass.SECRET, r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    Rule("secret.url", DataClass.SECRET, r"(?i)[a-z][a-z0-9+.-]{1,20}://[^\s:@/]{1,64}:[^\s:@/]{1,128}@[^\s/]+"),
    Rule("secret.assignment", DataClass.SECRET,
         r"(?i)(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token)[\"']?\s{0,3}(?:[:=]|is)\s{0,3}[\"']?(?P<v>[^\s\"',;<>]{8,200})",
         confidence=0.8),
    Rule("person.introduced", DataClass.PERSON,
         r"(?:[Mm]y name is|[Nn]ame:|I am|I'm|[Tt]his is|called|[Ss]igned,?|[Rr]egards,?|[Mm]ein Name ist|[Jj]e m'appelle|[Mm]e llamo|[Mm]i chiamo)\s+" + _NAME,
         confidence=0.8),
    Rule("person.title", DataClass.PERSON,
         r"(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Herr|Frau|Mme|Señora?)\.?\s+" + _NAME, confidence=0.8),
    Rule("person.patient", DataClass.PERSON,
         r"(?:[Pp]atient|[Cc]ustomer|[Cc]lient|[Ee]mployee|[Cc]olleague)\s+" + _FULL_NAME, confidence=0.7),
)  # fmt: skip
