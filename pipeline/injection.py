"""Phrases of attacks, by the channels in which they are attacks."""

from dataclasses import dataclass
from typing import Final

from pipeline.text import Channel

_DIRECT: Final = (Channel.USER,)
_CARRIED: Final = (Channel.TOOL, Channel.DOCUMENT)
_ANY: Final = (*_DIRECT, *_CARRIED)


@dataclass(frozen=True, slots=True)
class Phrase:
    """One shape of an attack.

    Attributes:
        id: as operators see it; callers never do.
        reason: dotted, without who carried it.
        channels: where it counts.
    """

    id: str
    reason: str
    pattern: str
    channels: tuple[Channel, ...] = _ANY


_PRIOR: Final = r"(?:previous|prior|above|earlier|preceding|existing|original|former)"
_ORDERS: Final = (
    r"(?:instructions?|prompts?|rules?|directions?|guidelines?|context|commands?)"
)
_DROP: Final = r"(?:ignore|disregard|forget|override|bypass|skip|neglect|drop)"

PHRASES: Final = (
    Phrase(
        "override.prior",
        "security.prompt_injection",
        rf"(?i)\b{_DROP}\b[^.\n]{{0,40}}\b(?:{_PRIOR}|all|any|your|my|the)\b"
        rf"[^.\n]{{0,30}}\b{_ORDERS}\b",
    ),
    Phrase(
        "override.said",
        "security.prompt_injection",
        rf"(?i)\b{_DROP}\b\s+(?:everything|all|anything|what)\b[^.\n]{{0,40}}"
        r"\b(?:said|told|written|above|before|so far)\b",
    ),
    Phrase(
        "override.new",
        "security.prompt_injection",
        r"(?i)\b(?:your|these are (?:your|the)) new (?:instructions?|rules?|orders?)\b",
    ),
    Phrase(
        "override.de",
        "security.prompt_injection",
        r"(?i)\b(?:ignoriere|vergiss|missachte)\b[^.\n]{0,40}"
        r"\b(?:anweisung(?:en)?|regeln|vorgaben|vorherigen|bisherigen)\b",
    ),
    Phrase(
        "override.es",
        "security.prompt_injection",
        r"(?i)\b(?:ignora|olvida|omite)\b[^.\n]{0,40}\b(?:instrucciones|reglas|anteriores)\b",
    ),
    Phrase(
        "override.fr",
        "security.prompt_injection",
        r"(?i)\b(?:ignore[rz]?|oublie[rz]?)\b[^.\n]{0,40}\b(?:instructions|consignes|"
        r"règles)\b",
    ),
    Phrase(
        "role.unbound",
        "security.jailbreak",
        r"(?i)\b(?:you are|act as|pretend to be|become|roleplay as)\b[^.\n]{0,60}"
        r"\b(?:DAN|jailbroken|unrestricted|unfiltered|uncensored|without (?:any )?"
        r"(?:restrictions?|rules?|limits?|filters?|ethics))\b",
        _DIRECT,
    ),
    Phrase(
        "role.mode",
        "security.jailbreak",
        r"(?i)\b(?:enable|enter|activate|switch to)\b[^.\n]{0,20}\b(?:developer|god|dan|"
        r"jailbreak|unrestricted)\s+mode\b",
        _DIRECT,
    ),
    Phrase(
        "extract.prompt",
        "security.prompt_extraction",
        r"(?i)\b(?:print|reveal|show|repeat|output|display|tell me|give me|what (?:is|are)"
        r"|leak|dump)\b[^.\n]{0,40}\b(?:your|the|hidden|initial|full)\b[^.\n]{0,20}"
        r"\b(?:system (?:prompt|message)|initial (?:prompt|instructions?)|hidden "
        r"(?:prompt|instructions?)|instructions? (?:above|verbatim))\b",
        _DIRECT,
    ),
    Phrase(
        "extract.repeat",
        "security.prompt_extraction",
        r"(?i)\brepeat\b[^.\n]{0,30}\b(?:everything|all|the (?:words|text))\b[^.\n]{0,30}"
        r"\b(?:above|before|verbatim|word for word)\b",
        _DIRECT,
    ),
    Phrase(
        "carried.orders",
        "security.prompt_injection",
        r"(?i)\b(?:dear |attention,? |note to |important:? )?(?:ai|assistant|language "
        r"model|chatbot|llm)\b[^.\n]{0,60}\b(?:must|should|please|now|instead)\b"
        r"[^.\n]{0,60}\b(?:send|forward|reply|click|call|delete|transfer|email|ignore|"
        r"execute|visit)\b",
        _CARRIED,
    ),
)
