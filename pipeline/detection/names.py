"""Names of people: cues that introduce them, and places where only names stand."""

# ruff: noqa: E501, RUF001 - tables read best as rows, in many scripts

from typing import Final

from pipeline.detection.rules import Rule
from schemas.policies import DataClass

_WORD: Final = r"\p{Lu}[\p{L}\p{M}'’]*(?:-\p{Lu}?[\p{L}\p{M}'’]+)*"
_PARTICLE: Final = r"(?:de|da|do|dos|das|di|del|della|van|von|der|den|ter|la|le|el|al|bin|ibn|bint|y|e|zu|af|av)"
_MORE: Final = rf"(?:(?:\s|\s{_PARTICLE}\s(?:{_PARTICLE}\s)?)(?:\p{{Lu}}\.|{_WORD}))"
NAME: Final = rf"(?P<v>{_WORD}{_MORE}{{0,3}})"
FULL_NAME: Final = rf"(?P<v>{_WORD}{_MORE}{{1,3}})"

_TITLES: Final = (
    r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Lady|Lord|Rev|Capt|Sgt|Lt|Col|Gen|Judge|"
    r"Herr|Frau|Hr|Fr|Mme|Mlle|M|Monsieur|Madame|Señora|Señor|Sra|Sr|Srta|Don|Doña|"
    r"Signor|Signora|Sig|Dott|Dhr|Mevr|Pan|Pani|Senhor|Senhora"
)
_SAID: Final = (
    r"[Mm]y (?:full )?name is|[Nn]ame(?:'s| is)|[Tt]his is|I am|I'm|[Cc]all me|[Ss]igned,?|"
    r"[Rr]egards,|[Ss]incerely,|[Cc]heers,|[Tt]hanks,|[Yy]ours,|[Dd]ear|[Hh]ello,?|[Hh]i,?|"
    r"[Mm]ein Name ist|[Ii]ch heiße|[Ii]ch bin|[Gg]rüße,?|[Jj]e m'appelle|[Jj]e suis|"
    r"[Mm]on nom est|[Cc]ordialement,|[Mm]e llamo|[Mm]i nombre es|[Ss]oy|[Ss]aludos,|"
    r"[Mm]i chiamo|[Ss]ono|[Mm]eu nome é|[Mm]e chamo|[Ii]k ben|[Mm]ijn naam is|"
    r"[Nn]azywam się|[Mm]en adım|Меня зовут"
)
_ROLES: Final = (
    r"[Pp]atient|[Cc]ustomer|[Cc]lient|[Ee]mployee|[Cc]olleague|[Mm]anager|[Aa]gent|"
    r"[Uu]ser|[Cc]ardholder|[Tt]enant|[Ww]itness|[Pp]atientin|[Kk]unde|[Kk]undin|"
    r"[Ss]tudent|[Cc]ontact|[Aa]uthor|[Bb]eneficiary|[Aa]ttn:?"
)
_KEYS: Final = (
    r"(?:full|first|last|given|family|user|patient|customer|client|contact|account|card)?"
    r"[ _-]?name|holder|surname|author|beneficiary|nombre|nom|vorname|nachname|naam|"
    r"patient|employee|manager|recipient|sender|from|to|attn|cc"
)


_ADDRESSED: Final = frozenset(
    [
        "sir",
        "madam",
        "sirs",
        "team",
        "all",
        "colleagues",
        "colleague",
        "customer",
        "customers",
        "client",
        "friends",
        "friend",
        "user",
        "users",
        "everyone",
        "diary",
        "god",
        "folks",
        "support",
        "reader",
        "readers",
        "member",
        "members",
        "damen",
        "herren",
        "kunde",
        "monsieur",
        "madame",
        "clients",
        "señores",
        "señor",
        "señora",
        "signori",
        "cliente",
        "hiring",
        "manager",
        "committee",
        "board",
        "applicant",
        "valued",
    ]
) | frozenset(_TITLES.lower().split("|"))

_GROUPS: Final = frozenset(
    [
        "team",
        "support",
        "department",
        "desk",
        "service",
        "services",
        "office",
        "group",
        "committee",
        "management",
        "staff",
        "crew",
        "inc",
        "ltd",
        "llc",
        "gmbh",
        "bank",
        "university",
        "council",
    ]
)


def named(value: str) -> bool:
    """Whether it is more than a title, or whom a letter to nobody is addressed to."""
    words = value.lower().replace(".", "").split()
    return not _ADDRESSED.issuperset(words) and words[-1] not in _GROUPS


def _person(rule: str, cue: str, name: str, base: float) -> Rule:
    return Rule(
        id=f"person.{rule}",
        data_class=DataClass.PERSON,
        kind="name",
        pattern=rf"(?:^|[^\p{{L}}\p{{N}}_])(?:{cue})\s{{1,2}}{name}",
        base=base,
        check=named,
        accepts=0.9,
    )


CUES: Final = (
    _person("introduced", _SAID, FULL_NAME, 1.6),
    _person(
        "introduced.first",
        r"[Mm]y (?:full )?name is|[Nn]ame(?:'s| is)|[Cc]all me|[Mm]ein Name ist|[Ii]ch heiße|"
        r"[Jj]e m'appelle|[Mm]e llamo|[Mm]i nombre es|[Mm]i chiamo|[Mm]eu nome é|[Dd]ear",
        NAME,
        1.4,
    ),
    _person("title", rf"(?:{_TITLES})\.?", NAME, 2.0),
    _person("role", rf"(?:{_ROLES}):?", FULL_NAME, 1.2),
    Rule(
        id="person.key",
        data_class=DataClass.PERSON,
        kind="name",
        pattern=rf"(?i:[\"'<{{,\s](?:{_KEYS}))[\"']?\s?[:=>]\s?[\"']?{NAME}[\"'<,;\n]",
        base=0.9,
    ),
)
