"""Phrases of attacks, by the channels in which they are attacks."""

# ruff: noqa: RUF001 - tables read best as rows, in many scripts

from dataclasses import dataclass
from typing import Final

from pipeline.text import Channel
from schemas.policies import Guard

_DIRECT: Final = (Channel.USER,)
_CARRIED: Final = (Channel.TOOL, Channel.DOCUMENT)
_ANY: Final = (*_DIRECT, *_CARRIED)
_EITHER: Final = "security.prompt_injection"
_PRIOR: Final = (
    r"(?:previous|prior|above|earlier|preceding|existing|original|former|initial|past|"
    r"foregoing|old|system|developer|safety|content|aforementioned)"
)
_ORDERS: Final = (
    r"(?:instruct\w*|prompts?|rules?|directions?|directives?|guidelines?|context|"
    r"commands|polic(?:y|ies)|restrictions?|constraints?|training|"
    r"programming|limitations?|safeguards?)"
)
_THINGS: Final = r"(?:commands?|orders?|messages?|settings?|filters?)"
"""What people cancel, ignore and reset every day, unless it is what came before."""
_WHICH: Final = r"(?:(?:all|any|every|each|the|these|those|your|of|about)\s+){0,4}"
_DROP: Final = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|"
    r"bypass(?:ing)?|skip|neglect|drop|discard|dismiss|abandon|overlook|cancel|"
    r"delete|erase|reset|set aside|pay no attention to|do not (?:follow|obey)|"
    r"don'?t (?:follow|obey|listen to)|stop following|unlearn)"
)
_PROMPT: Final = (
    r"(?:(?:system|initial|original|hidden|secret|internal|developer|base|starting|"
    r"pre|master|core|full|entire) ?-?(?:prompts?|messages?|instructions?|"
    r"configurations?|directives?|rules|settings)|your (?:own )?(?:prompts?|"
    r"instructions?)|the (?:prompts?|instructions?) (?:above|you (?:were|have|got|are))|"
    r"(?:your|the) (?:secret|hidden) (?:key|password|word|code))"
)
_TELL: Final = (
    r"(?:print|reveal|show|repeat|output|display|tell (?:me|us)|give (?:me|us)|what (?:is|"
    r"are|was|were)|what's|leak|dump|share|disclose|summari[sz]e|translate|encode|"
    r"paraphrase|recite|write (?:out|down)?|return|list|copy|expose|spell|describe|"
    r"provide|read|say|send|echo|quote)"
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """One shape of an attack.

    Attributes:
        id: as operators see it; callers never do.
        reason: dotted, without who carried it.
        channels: where it counts.
        guard: whose hit it is; None: by channel.
    """

    id: str
    reason: str
    pattern: str
    channels: tuple[Channel, ...] = _ANY
    guard: Guard | None = None

    def of(self, channel: Channel) -> Guard:
        """The guard whose hit it is, in a channel."""
        carried = channel in _CARRIED
        return self.guard or (Guard.INSTRUCTION if carried else Guard.INJECTION)


def _rule(name: str, reason: str, pattern: str, *where: Channel) -> Phrase:
    return Phrase(name, reason, rf"(?i){pattern}", where or _ANY)


def _direct(name: str, reason: str, pattern: str) -> Phrase:
    return _rule(name, reason, pattern, *_DIRECT)


def _carried(name: str, pattern: str) -> Phrase:
    return _rule(name, _EITHER, pattern, *_CARRIED)


_JAILBREAK: Final = "security.jailbreak"
_EXTRACTION: Final = "security.prompt_extraction"

PHRASES: Final = (
    _rule("override.prior", _EITHER, rf"\b{_DROP}\b[^.\n]{{0,40}}\b(?:{_PRIOR}|all|any|every|your|the|these|those)\b[^.\n]{{0,30}}\b{_ORDERS}\b|\b{_DROP}\s+{_WHICH}{_PRIOR}\s+(?:\S+\s+){{0,2}}{_THINGS}\b"),
    _rule("override.said", _EITHER, rf"\b{_DROP}\b\s+(?:about )?(?:everything|all|anything|what(?:ever)?|ever\w+ing)\b[^.\n]{{0,50}}\b(?:said|told|written|wrote|above|before|so far|previous|prior|learned|know|been given)\b"),
    _rule("override.above", _EITHER, rf"\b{_DROP}\s+(?:(?:all|everything|anything|any|of|that is)\s+){{0,3}}(?:the\s+)?above\b[^.\n]{{0,30}}\b(?:and|then|instead)\b"),
    _rule("override.new", _EITHER, r"\b(?:(?:your|here are (?:your|the)|these are (?:your|the)|follow (?:these|my|the)|obey (?:these|my)) new (?:instructions?|rules?|orders?|task|directives?|objective|goal)|new (?:instructions?|directive|system prompt)\s?:|from now on,? (?:you (?:will|must|are|should)|ignore|respond|act|answer)|instead of (?:the|your) (?:above|previous|task))"),
    _rule("override.authority", _EITHER, r"\b(?:i am|i'm|this is|as) (?:your|the|an?) (?:developer|creator|admin(?:istrator)?|system|root|owner|openai|anthropic)\b[^.\n]{0,60}\b(?:override|authori[sz]\w+|grant|allow|disable|reveal|ignore|unlock|access)"),
    _rule("override.marker", _EITHER, r"(?:<\|?(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|?>|\[/?INST\]|<<SYS>>|###\s?(?:system|new instructions?|instruction)\b|\[system\]|<system>|begin (?:new )?system prompt|end of (?:system )?(?:prompt|instructions)|-{3,}\s?end of)"),
    _rule("override.de", _EITHER, r"\b(?:ignorier\w*|vergiss|vergesst|missachte\w*|überschreib\w*)\b[^.\n]{0,50}\b(?:anweisung(?:en)?|regeln|vorgaben|befehle|vorherig\w+|bisherig\w+|alles)\b"),
    _rule("override.es", _EITHER, r"\b(?:ignora\w*|olvid[ae]\w*|omit[ae]|haz caso omiso|descarta)\b[^.\n]{0,50}\b(?:instruccion(?:es)?|reglas|anterior(?:es)?|órdenes|indicaciones|todo lo)\b"),
    _rule("override.fr", _EITHER, r"\b(?:ignore[rz]?|oublie[rz]?|fais abstraction|ne tiens? pas compte)\b[^.\n]{0,50}\b(?:(?:les|tes|vos|ces|mes|toutes|d') ?instructions?|consignes|règles|précédentes?|directives précédentes|tout ce qui)"),
    _rule("override.it", _EITHER, r"\b(?:ignora\w*|dimentica\w*|trascura)\b[^.\n]{0,50}\b(?:istruzioni|regole|precedenti|direttive)\b"),
    _rule("override.pt", _EITHER, r"\b(?:ignor[ea]\w*|esque[çc]a\w*|desconsidere)\b[^.\n]{0,50}\b(?:instruções|regras|anteriores|ordens|comandos)\b"),
    _rule("override.nl", _EITHER, r"\b(?:negeer|vergeet)\b[^.\n]{0,50}\b(?:instructies|regels|vorige|voorgaande|opdrachten)\b"),
    _rule("override.pl", _EITHER, r"\b(?:zignoruj|ignoruj|zapomnij)\b[^.\n]{0,50}(?:instrukcj|polece|zasad|poprzedni)"),
    _rule("override.ru", _EITHER, r"(?:игнорируй\w*|проигнорируй\w*|забудь\w*|не обращай внимания)[^.\n]{0,60}(?:инструкци|правил|указани|предыдущ|команд)"),
    _rule("override.tr", _EITHER, r"(?:önceki|yukarıdaki|tüm)[^.\n]{0,40}(?:talimat|kural|komut)[^.\n]{0,30}(?:yok say|unut|görmezden|dikkate alma)"),
    _rule("override.zh", _EITHER, r"(?:忽略|忘记|无视|忘掉|不要理会|請忽略|忘記)[^。\n]{0,20}(?:指令|指示|规则|提示|说明|命令|規則|之前|上面|以上)"),
    _rule("override.ja", _EITHER, r"(?:指示|命令|ルール|プロンプト|指令)[^。\n]{0,10}(?:無視|忘れ|破棄)"),
    _rule("override.ko", _EITHER, r"(?:이전|위의|모든|앞의)[^.\n]{0,20}(?:지시|명령|규칙|프롬프트)[^.\n]{0,12}(?:무시|잊)"),
    _rule("override.ar", _EITHER, r"(?:تجاهل|انس|انسى)[^.\n]{0,40}(?:التعليمات|الأوامر|القواعد|السابقة)"),
    _rule("override.hi", _EITHER, r"(?:निर्देश|आदेश|नियम)[^।\n]{0,30}(?:अनदेख[ाी]|भूल|नज़रअंदाज़|उपेक्षा)"),
    _rule("override.el", _EITHER, r"(?:αγνό\p{L}*|ξέχασ\p{L}*|παράβλεψ\p{L}*)[^.\n]{0,50}(?:οδηγί|εντολ|κανόν|προηγούμεν)"),
    _rule("override.id", _EITHER, r"\b(?:abaikan|lupakan|acuhkan)\b[^.\n]{0,50}\b(?:instruksi|perintah|aturan|arahan|petunjuk|sebelumnya)\b"),
    _rule("override.vi", _EITHER, r"(?:bỏ qua|phớt lờ|quên)[^.\n]{0,50}(?:hướng dẫn|chỉ dẫn|chỉ thị|mệnh lệnh|quy tắc)"),
    _rule("override.uk", _EITHER, r"(?:ігноруй\p{L}*|проігноруй\p{L}*|забудь\p{L}*)[^.\n]{0,60}(?:інструкц|правил|вказів|попередн|команд)"),
    _rule("override.nordic", _EITHER, r"\b(?:ignorer\p{L}*|glöm|glem|bortse|unohda|ohita|jätä huomiotta)\b[^.\n]{0,50}(?:instruktion|instruks|anvisning|regler|ohjee|sään|määräy|tidigare|tidligere)"),
    _rule("override.cs", _EITHER, r"(?:ignoruj\p{L}*|zapomeň\p{L}*|zabudni\p{L}*)[^.\n]{0,50}(?:pokyn|instrukc|inštrukc|pravid|příkaz|předchozí)"),
    _rule("override.ro", _EITHER, r"(?:ignor[ăa]\p{L}*|uit[ăa]\p{L}*)[^.\n]{0,50}(?:instrucțiun|instructiun|reguli|anterioar|indicați)"),
    _rule("override.hu", _EITHER, r"(?:hagyd figyelmen kívül|felejtsd el|ne törődj)[^.\n]{0,60}(?:utasítás|szabály|előző|korábbi)|(?:utasítás|szabály)\p{L}*[^.\n]{0,30}(?:hagyd figyelmen kívül|felejtsd el)"),
    _rule("override.th", _EITHER, r"(?:ละเว้น|เพิกเฉย|ลืม|ไม่ต้องสนใจ)[^\n]{0,40}(?:คำสั่ง|คำแนะนำ|กฎ)"),
    _rule("override.fa", _EITHER, r"(?:دستور|دستورالعمل|قوانین)[^.\n]{0,40}(?:نادیده|فراموش)|(?:نادیده|فراموش)[^.\n]{0,40}(?:دستور|قوانین)"),
    _direct("role.unbound", _JAILBREAK, r"\b(?:you are|you're|act (?:as|like)|pretend (?:to be|you are|that you)|become|role-?play as|simulate|imagine you(?:'re| are)|behave (?:as|like)|play the (?:role|part) of|emulate)\b[^.\n]{0,90}\b(?:dan\b|jailbroken|unrestricted|unfiltered|uncensored|amoral|unethical|evil|no (?:rules|restrictions|limits|limitations|filters?|ethic\w*|moral\w*|guidelines)|without (?:any )?(?:restrictions?|rules?|limits?|limitations|filters?|ethic\w*|moral\w*|censorship)|free (?:of|from) (?:all |any )?(?:restrictions?|rules|constraints|limitations)|not bound by|do anything now|opposite)"),
    _direct("role.mode", _JAILBREAK, r"\b(?:enable|enter|activate|switch to|turn on|simulate|in|with)\b[^.\n]{0,25}\b(?:developer|god|dan|jailbreak|jailbroken|unrestricted|debug|maintenance|sudo|opposite|evil|admin|chaos|anti-?gpt)\s+mode\b"),
    _direct("role.dan", _JAILBREAK, r"\b(?:do anything now|stay (?:a|in) (?:dan|character)|you are (?:now )?(?:dan|dude|stan|aim|kevin|mongo tom|evil-?bot|freegpt|basedgpt)\b|jailbr(?:eak|oken)\b[^.?!\n]{0,40}\b(?:response|answer|prompt|chatgpt|gpt|mode|version)|\[?[🔓🔒]|tokens? (?:system|left)[^.\n]{0,60}\b(?:lose|die|deduct))"),
    _direct("role.unfettered", _JAILBREAK, r"\b(?:broken|freed?|liberated|escaped) (?:free )?(?:of|from) the (?:typical )?(?:confines|constraints|chains|limits|restrictions|limitations) of (?:ai|openai)|\b(?:never|do not|don'?t|must not|cannot|can'?t|won'?t|will not) (?:refuse|decline|reject|say (?:no|that you can'?t|you can'?t|i can'?t|sorry)|apologi[sz]e|warn|include (?:any )?(?:warnings?|disclaimers?))\b[^.\n]{0,80}\b(?:request|question|answer|anything|order|prompt|task|user|matter|illegal|unethical|harmful|disclaimer)"),
    _direct("role.morals", _JAILBREAK, r"\b(?:regardless of|no matter (?:how|if|what)|even if (?:it(?:'s| is)|they(?:'re| are)))\b[^.\n]{0,60}\b(?:illegal|unethical|immoral|harmful|offensive|dangerous|legality|moral\w*|ethic\w*|consequences)\b"),
    _direct("role.twin", _JAILBREAK, r"\b(?:two|both|2) (?:responses?|answers?|ways|personas?|outputs?|paragraphs)\b[^.\n]{0,120}\b(?:uncensored|jailbreak|jailbroken|dan|unfiltered|developer mode|normal|classic|standard)\b"),
    _direct("role.hypothetical", _JAILBREAK, r"\b(?:hypothetical|fictional|imaginary|alternate)\b[^.\n]{0,60}\b(?:no (?:laws|rules|ethics|restrictions|filters)|where (?:everything|anything|all) is (?:legal|allowed|permitted)|unfiltered|uncensored|without (?:ethic|moral|rule|law|restriction)\w*)"),
    _direct("role.policy", _JAILBREAK, r"\b(?:openai|content|usage|safety|ethical|moral|community)(?:'s)? (?:content )?(?:polic(?:y|ies)|guidelines?|filters?|restrictions?|rules)\b[^.\n]{0,50}\b(?:do(?:es)? not|don'?t|doesn'?t|no longer|never|can be|are|is)\b[^.\n]{0,20}\b(?:apply|exist|matter|bypass\w*|ignored|disabled|lifted|removed|void)"),
    _direct("extract.prompt", _EXTRACTION, rf"\b{_TELL}\b[^.\n]{{0,60}}\b{_PROMPT}"),
    _direct("extract.repeat", _EXTRACTION, r"\b(?:repeat|print|output|copy|return|write|recite|echo|translate|summari[sz]e|put)\b[^.\n]{0,40}\b(?:everything|all|the (?:words|text|sentences|conversation|content|paragraphs?)|text|words)\b[^.\n]{0,30}\b(?:above(?:\s*(?:[.,:;!?\"')]|$)|\s+(?:this|here|it|and|in|into|as|to|verbatim|with|word|starting|exactly|line|message|prompt|text)\b)|before (?:this|that|it)\b|preceding\b|verbatim\b|word for word\b|prior to this\b)"),
    _direct("extract.told", _EXTRACTION, r"\bwhat (?:were|was|have|did)\b[^.\n]{0,30}\b(?:you|they)\b[^.\n]{0,20}\b(?:told|instructed|programmed|given|asked|say)\b[^.\n]{0,40}\b(?:before|beginning|start|initially|earlier|not to|first|above|conversation)"),
    _direct("extract.begin", _EXTRACTION, r"\b(?:start|begin|starting|beginning)(?:ing)? with [\"“']?you are\b|\bwhat(?:'s| is) (?:the first|written (?:at the )?(?:top|above))|\b(?:lines?|text|instructions?|message) (?:above|before) (?:this|the) (?:line|message|conversation|user)"),
    _direct("extract.secret", _EXTRACTION, r"\b(?:what(?:'s| is)|tell me|reveal|give me|show me|say|spell|hint\w*)\b[^.\n]{0,30}\b(?:the|your) (?:secret|hidden|confidential)(?: (?:key|password|word|code|phrase|message|instruction\w*))?\b"),
    _direct("extract.password", _EXTRACTION, rf"\b(?:{_TELL}|confirm)\b[^.?!\n]{{0,40}}\b(?:your|our system's) (?:own |secret |access )*(?:password|passcode|passphrase|pass ?phrase|pin code|api key|access code|credentials)(?: phrase)?(?:\s*(?:[.?!,;:\"']|$)|\s+(?:is|be|in|with|so|and|to|for me|or|backwards|please)\b)"),
    _direct("extract.de", _EXTRACTION, r"\b(?:zeig\w*|nenn\w*|gib|verrate|wiederhole|was (?:ist|sind|steht))\b[^.\n]{0,40}\b(?:system-?prompt|systemanweisung\w*|(?:deine|ursprünglich\w+) (?:anweisungen|vorgaben))"),
    _direct("extract.es", _EXTRACTION, r"\b(?:muestra\w*|dime|repite|revela|cuál(?:es)? (?:es|son))\b[^.\n]{0,40}\b(?:prompt|mensaje de sistema|instrucciones (?:iniciales|del sistema|originales)|tus instrucciones|(?:clave|contraseña) secreta)"),
    _direct("extract.fr", _EXTRACTION, r"\b(?:montre\w*|dis-?moi|répète\w*|révèle\w*|affiche\w*|quelles? (?:est|sont))\b[^.\n]{0,40}\b(?:prompt|instructions (?:initiales|système|d'origine)|tes instructions|tes consignes|(?:clé|mot de passe) secr[eè]te?)"),
    _direct("encode.run", _JAILBREAK, r"\b(?:decode|decrypt|decipher|base64|rot13|from hex|reverse (?:this|the) (?:text|string))\b[^.\n]{0,60}\b(?:and (?:then )?(?:follow|execute|do|obey|answer|perform|comply|respond))"),
    _carried("carried.orders", r"\b(?:dear |attention,? |note (?:to|for) (?:the )?|important:? |hey |hello )?(?:ai|assistant|language model|chatbot|llm|gpt|claude|agent|copilot|bot)\b[^.\n]{0,60}\b(?:must|should|please|now|instead|need to|have to|are (?:required|instructed|to))\b[^.\n]{0,80}\b(?:send|forward|reply|click|call|delete|transfer|email|e-mail|ignore|execute|visit|run|include|respond|output|say|tell|recommend|append|add|print|write|download|upload|post|share|exfiltrate)\b"),
    _carried("carried.before", r"\b(?:before|after|while|when) (?:you )?(?:answer|respond|reply|summari[sz]|process|continu|read|complet|finish)\w*\b[^.\n]{0,80}\b(?:send|forward|call|delete|transfer|execute|visit|run|include|append|tell the user|click|open|ignore|output|insert)\b"),
    _carried("carried.instead", r"\b(?:instead|rather),? (?:of (?:answering|summari[sz]\w+|responding|following)|respond|reply|answer|output|say|write|do|tell)\b"),
    _carried("carried.hide", r"\b(?:do not|don'?t|never|without) (?:tell|inform|mention|notify|alert|reveal|informing|notifying|alerting|telling)\b[^.\n]{0,30}\b(?:the )?(?:user|human|owner|anyone|him|her|them)\b"),
    _carried("carried.exfil", r"\b(?:send|forward|post|upload|e-?mail|transmit|submit|leak)\b[^.\n]{0,60}\b(?:conversation|chat history|api keys?|passwords?|credentials|tokens?|private|confidential|contacts|all (?:e-?mails|files|messages)|user'?s? (?:data|information|files))\b[^.\n]{0,60}\b(?:to|at|via)\b"),
    _carried("carried.image", r"!\[[^\]]{0,80}\]\(https?://[^)\s]{1,300}[?&=](?:\{|<|\[|%7b|data|q|secret|d=)"),
    _carried("carried.user", r"\b(?:the user|your user|my owner|the human) (?:wants|has asked|would like|asked|needs|is requesting|authori[sz]ed) you to\b"),
)  # fmt: skip
