"""Requests for harm, by kind: phrase rules of our own wording. Flagged by default.

``self_harm`` and ``child_safety`` are rules on purpose: an error of a model there is
not one that a threshold balances. Help-seeking is not a hit to punish but one to know.
"""

# ruff: noqa: E501 - tables read best as rows, in many scripts

from typing import Final

from pipeline.injection import Phrase
from pipeline.text import Channel
from schemas.policies import Guard

_HOW: Final = (
    r"(?:how (?:do|can|could|would|to|should)|(?:give|tell|show|teach|help) me|write|create|build|make|"
    r"provide|explain|describe|generate|develop|steps? (?:to|for)|instructions? (?:to|for|on)|guide (?:to|for|on)|"
    r"recipe|wie (?:kann|baue|mache)|cómo|comment|come (?:posso|si)|como)"
)


def _intent(name: str, rule: str, pattern: str) -> Phrase:
    return Phrase(
        f"intent.{name}.{rule}",
        f"safety.{name}",
        rf"(?i)\b{pattern}",
        (Channel.USER,),
        Guard.INTENT,
    )


def _asked(name: str, rule: str, what: str) -> Phrase:
    return _intent(name, rule, rf"{_HOW}\b[^.\n]{{0,80}}\b(?:{what})")


INTENTS: Final = (
    _asked("weapons", "explosive", r"(?:pipe|nail|car|dirty|fertili[sz]er|homemade) ?bombs?|explosives?\b|molotov|napalm|detonators?|ied\b|sprengstoff|bomba casera|bombe artisanale"),
    _asked("weapons", "mass", r"nerve agents?|sarin|vx gas|mustard gas|ricin|anthrax|chlorine gas|botulinum|chemical weapons?|biological weapons?|weaponi[sz]ed? (?:virus|pathogen)|smallpox"),
    _asked("weapons", "firearm", r"ghost guns?|3d[- ]printed? (?:gun|firearm)s?|untraceable (?:gun|firearm)s?|silencers?\b|full(?:y)?[- ]auto(?:matic)? conversion"),
    _asked("cyber_abuse", "malware", r"ransomware|keyloggers?|rootkits?|botnets?|malware|computer (?:virus|worm)|trojan|spyware|rat payload|zero[- ]day exploit|ddos|denial[- ]of[- ]service attack"),
    _asked("cyber_abuse", "intrusion", r"(?:hack|break) into|brute[- ]force (?:a|the|someone|passwords?)|phishing (?:e-?mail|page|site|kit|campaign)s?|steal (?:passwords?|credentials|cookies|credit cards?)|bypass (?:two|2)[- ]?factor|sql injection (?:attack )?(?:on|against)|crack (?:a |the )?(?:wi-?fi|password)"),
    _asked("illegal_goods", "drugs", r"(?:meth(?:amphetamine)?|crack cocaine|heroin|fentanyl|mdma|ecstasy|lsd|ghb)\b"),
    _asked("illegal_goods", "fraud", r"counterfeit (?:money|currency|bills)|fake (?:ids?|passports?|prescriptions?|money)|launder(?:ing)? money|money laundering scheme|clone (?:a |credit )?cards?|evade taxes|insider trading"),
    _asked("illegal_goods", "trafficking", r"(?:human|sex|organ) traffick|smuggl(?:e|ing) (?:people|drugs|weapons|humans)|sell (?:organs|stolen)"),
    _asked("harassment", "threat", r"(?:threaten|blackmail|extort|stalk|dox+|harass|bully|intimidate)(?:ing|ed)?\b[^.\n]{0,40}\b(?:him|her|them|someone|my|a|an|people|ex|neighbou?r|cowork\w+|classmate)"),
    _asked("harassment", "hate", r"(?:racist|antisemitic|homophobic|misogynist\w*|islamophobic|hateful|dehumani[sz]ing)\b[^.\n]{0,30}\b(?:jokes?|speech|rant|post|tweet|essay|message|article|propaganda)"),
    _intent("self_harm", "intent", r"(?:(?:i|we)(?:'m| am| want| plan| need| going|'ve been| have been| will)?\b[^.\n]{0,30}\b(?:kill(?:ing)? myself|end(?:ing)? (?:my life|it all)|suicid\w+|cut(?:ting)? myself|hurt(?:ing)? myself|don'?t want to (?:live|be alive))|ich will (?:sterben|mich umbringen)|quiero (?:morir|matarme)|je veux mourir|voglio morire)"),
    _asked("self_harm", "method", r"(?:commit suicide|kill myself|painless(?:ly)? (?:die|death)|overdose on|hang myself|starve myself|selbstmord|suicidarme|me suicider)"),
    _intent("child_safety", "sexual", r"(?:(?:child|kid|minor|underage|preteen|toddler|schoolgirl|schoolboy|loli|shota)s?\b[^.\n]{0,40}\b(?:porn\w*|nude\w*|naked|sexual\w*|erotic\w*|sexuali[sz]ed)|(?:porn\w*|nude|naked|sexual(?:ly explicit)?|erotic\w*)\b[^.\n]{0,40}\b(?:of|with|about|involving) (?:a |an |the )?(?:child|kid|minor|underage|preteen|little (?:girl|boy)|\d{1,2}[- ]year[- ]old))"),
    _asked("child_safety", "grooming", r"(?:groom(?:ing)?|lure|seduce|befriend)\b[^.\n]{0,30}\b(?:child|children|kids?|minors?|teen(?:ager)?s?|underage|little (?:girl|boy)s?)"),
    _asked("misinformation", "campaign", r"(?:fake news|disinformation|misinformation|false (?:claims?|article|story|rumou?rs?)|propaganda|hoax(?:es)?|astroturf\w*|fake reviews?)\b|(?:convinc\w+|persua\w+)\b[^.\n]{0,60}\b(?:vaccines? (?:cause|are)|election (?:was|is) (?:stolen|rigged)|holocaust (?:never|did not|didn't|was)|5g (?:causes|spreads)|earth is flat)"),
    _asked("copyright", "verbatim", r"(?:full|complete|entire|whole|exact|verbatim) (?:text|lyrics|chapter|book|script|passage)\b[^.\n]{0,40}\b(?:of|from)|(?:lyrics (?:of|to|for))|first (?:page|chapter|paragraph)s? of"),
)  # fmt: skip
