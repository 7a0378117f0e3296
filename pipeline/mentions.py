"""Talk about attacks: what a text quotes in order to speak about it, it does not say."""

# ruff: noqa: E501 - tables read best as rows, in many scripts

import re
from typing import Final

_QUOTED: Final = re.compile(
    r"\"[^\"\n]{1,160}\"|(?<!\w)'[^'\n]{3,160}'(?!\w)|```.{1,160}?```|`[^`\n]{1,160}`|"
    r"«[^»\n]{1,160}»|„[^\"“”\n]{1,160}[\"“”]|「[^」\n]{1,160}」|『[^』\n]{1,160}』",
    re.DOTALL,
)
"""What stands in quotation marks; look-alikes of the straight ones are folded before."""
_ABOUT: Final = re.compile(
    r"(?i)\b(?:sentences?|phrases?|texts?|strings?|examples?|inputs?|lines?|quot(?:e|es|ed|ing)|wording|"
    r"sa(?:ys?|id)|wrote|writes|written|typed?|types|pasted?|sent|contain(?:s|ed)?|mention(?:s|ed)?|outputs?|printed|shown|appears?|responses?|flag(?:s|ged)?|block(?:s|ed)|"
    r"detect(?:s|ed|ion|ors?)?|catch(?:es)?|classif\w+|translat\w+|called|means?|attack(?:s|ers?)?|injections?|jailbreaks?|"
    r"filters?|rules?|tests?|papers?|slides?|tickets?|logs?|reports?|incidents?|malicious|harmless|reject(?:s|ed)?|refus(?:e|es|ed)|"
    r"explain|why|analy[sz]\w+|joke|such as|called|dataset|blog|"
    r"satz|sätze|beispiele?|eingaben?|schrieb|schreibt|enthält|angriffe?|regeln?|übersetz\w+|warum|erkläre?|bedeutet|"
    r"phrase|exemples?|écrit|contient|attaques?|règles?|filtres?|tradui\w+|pourquoi|expliqu\w+|signifie|"
    r"frases?|ejemplos?|escribió|contiene|ataques?|reglas?|filtros?|traduc\w+|explica\w*|significa|"
    r"esempi?o?|scritto|contiene|attacchi?o?|regole|traduci|perché|spiega\w*|exemplos?|escreveu|contém|regras|por que|"
    r"zin|voorbeeld(?:en)?|schreef|bevat|aanval(?:len)?|vertaal|waarom|zdanie|przykład|napisał|zawiera|atak|dlaczego)\b|"
    r"(?:предложени|фраз|пример|написал|содержит|атак|правил|перевед|почему|объясн)\w*|文|例|翻译|翻訳|攻击|攻撃|为什么|なぜ|とは|什么意思"
)
"""Words with which people speak about what somebody wrote."""
_OBEYED: Final = re.compile(
    r"(?i)(?:^|[.!?:;,\n(]\s*|\b(?:please|then|and|so|now|must|you|to|just|always|immediately|should|bitte|und|dann|por favor|y|luego|puis|et)\s+)"
    r"(?:do (?:as|what|exactly|so|it|that|this)|follow|obey|execute|comply|carry|perform|act|treat|adopt|apply|run|behave|become|respond|proceed|"
    r"befolge|führe|tu|gehorche|sigue|obedece|ejecuta|haz|cumple|suis|obéis|exécute|fais|segui|esegui|obbedisci|siga|execute|obedeça|volg|voer)\b|"
    r"\b(?:from now on|you are now|you will (?:act|play|pretend)|pretend(?:ing)? to be|(?:du|sie) wir(?:st|d) vorgeben|ab jetzt|a partir de ahora|désormais|(?:your|these are|here are) (?:new |real |actual )?(?:instructions?|task|rules|orders)|new (?:instructions?|rules|orders|task)s?\s?:|instead of)\b|"
    r"执行|照做|遵循|従って|実行|выполни|следуй"
)
"""Words that want what is quoted to be done."""
_MARK: Final = " … "


def apart(text: str) -> tuple[str, str]:
    """What a text says itself, and what it quotes in order to speak about it.

    Nothing is quoted so where the rest of the text speaks about no words of somebody,
    or wants what is quoted to be done: quotation marks alone excuse nothing.
    """
    rest = _QUOTED.sub(_MARK, text)
    if rest == text or not _ABOUT.search(rest) or _OBEYED.search(rest):
        return text, ""
    return rest, "\n".join(_QUOTED.findall(text))
