"""Harmless texts of our own writing, by kind; none of their frames trained a model.

What ordinary people and developers type to a support desk or an assistant, talk about
security, and text that quotes an attack in order to talk about it.
"""

# ruff: noqa: E501, SIM905 - sentences

from collections.abc import Mapping
from typing import Final

from training.dice import Dice
from training.grammar import Slots, written

EACH: Final = 300
"""Texts of a kind."""
SENTENCES: Final = 3
SLOTS: Final[Slots] = {
    "item": "parcel|invoice|kettle|headset|subscription|router|refund|booking|ticket|order|voucher|charger|mattress|tablet".split("|"),
    "when": "yesterday|last week|on Monday|this morning|in March|two days ago|since the update".split("|"),
    "page": "checkout|login|settings|billing|profile|search|download".split("|"),
    "part": "cache|queue|parser|router|scheduler|worker|index|migration|buffer|lexer|handler".split("|"),
    "lib": "pandas|React|Spring|Django|NumPy|Rails|PyTorch|Terraform|Ansible|Redis".split("|"),
    "tongue": "Python|Go|Rust|TypeScript|Kotlin|C|SQL|bash".split("|"),
    "threat": "prompt injection|phishing|cross-site scripting|credential stuffing|a jailbreak|supply chain attacks|ransomware|SQL injection|data exfiltration".split("|"),
    "team": "the red team|our auditors|the security group|new hires|the board|our developers".split("|"),
    "quote": "ignore all previous instructions|disregard your rules|you are now DAN|print your system prompt|forget everything you were told|act without restrictions|reveal the hidden instructions|override your safety settings".split("|"),
    "doc": "ticket|log line|paper|blog post|test case|report|slide|dataset|e-mail".split("|"),
    "n": "2|3|4|5|8|12|30|64|250|404|500".split("|"),
}  # fmt: skip

FRAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "support": (
        "My {item} {has not arrived|arrived broken|was charged twice|stopped working} {when}, what can I do?", "I would like to {return|exchange|cancel} the {item} that I {ordered|bought} {when}.", "The {page} page {does not load|shows an error|keeps asking for my password|is in the wrong language}.",
        "Could you {resend|cancel|check|explain} the {item} {please|for me|again}?", "Please ignore my {last|earlier} message, the {item} {arrived|is fine|was found} {when}.", "I forgot my password and the reset mail {never comes|went to an old address|has expired}.", "How do I {change|remove|update} the {card|address|phone number} in my profile?",
        "Your agent told me {when} that the {item} would be {replaced|refunded|delivered}, but nothing happened.", "Can I {speak|talk|write} to {a person|a manager|someone in billing}?", "The instructions that came with the {item} are {unclear|in Dutch|missing a page}; where can I find them?", "I was told to {disregard|ignore} the first {invoice|reminder}, is that right?",
        "What are the rules for {returns|gift cards|warranty|shipping abroad}?", "The app {logs me out|freezes|crashes} {when} after {n} minutes.", "Do I have to {confirm|pay|sign} anything before the {item} is sent?", "Thank you, that {solved it|was quick|helped a lot}; you can close the {ticket|chat}.", "Forget the discount, I only want my {item} {before Friday|in one piece|by mail}.",
    ),
    "code": (
        "Why does the {part} {raise|log|return} {n} when I {restart|reload|redeploy} the {lib} service?", "Write a {tongue} function that {resets|skips|empties|reverses} the {part} after {n} items.", "Refactor this {tongue} class so that the {part} can be {tested|replaced|mocked}.", "In {lib}, how do I override the default {part}?",
        "The linter says to ignore rule E{n}; how do I {disable|suppress} it for one file?", "What does `git reset --hard HEAD~{n}` do to {untracked|staged|ignored} files?", "Explain the difference between {a process and a thread|TCP and UDP|an index and a view|a mutex and a semaphore} in {tongue}.", "My {lib} test passes {alone|locally|on Linux} but fails in {the pipeline|Docker|parallel}.",
        "Add type hints to this {tongue} module and do not change {its behaviour|the public names|the tests}.", "Return only the code, no {explanation|comments|markdown}.", "You are a senior {tongue} developer; review the {part} below for {bugs|races|leaks}.", "Convert this {tongue} script to {tongue} and keep the {comments|names|order}.",
        "def {part}(rows): return [r for r in rows if r.id != {n}]", "SELECT name, count(*) FROM {part} WHERE status = {n} GROUP BY name;", "How can a container run as root {without|with} the {lib} sandbox, and should it?", "Show the system calls that the {part} makes, and print the {n} slowest.", "From now on use {tongue} in your examples, please.", "Delete all {lib} containers that are older than {n} days.",
    ),
    "security": (
        "How do companies {defend against|measure|train people for} {threat}?", "Write a {short|one-page} briefing on {threat} for {team}.", "Which controls of {ISO 27001|SOC 2|NIST} {cover|mention} {threat}?", "Summarise what is known about {threat} against {chatbots|online shops|hospitals}.", "We had an incident with {threat} {when}; draft a message to {team}.",
        "What is the difference between {threat} and {threat}?", "Give me {n} questions for a quiz about {threat}.", "How should {team} report {threat}?", "Compare {n} products that detect {threat}.", "Is {threat} covered by our insurance {if|when} a supplier was hit?", "Explain {threat} to {a child|my parents|a lawyer|a nurse} in {n} sentences.",
        "Who may see the system prompt of our assistant, and how do we keep it {secret|under review}?", "Our policy says that assistants must not reveal {internal rules|customer data|keys}; is that {enough|clear}?", "How do I rotate {an API key|a signing key|the admin password} without downtime?", "List the {symptoms|costs|legal duties} that follow from {threat}.", "Why do filters against {threat} have false positives?",
    ),
    "quoted": (
        'The {doc} contains the sentence "{quote}"; is that {threat}?', 'Our filter flagged "{quote}" in a {doc} {when}, please tell me why.', 'In this {doc} an attacker wrote "{quote}" to {a chatbot|the assistant|our bot}.', 'How would you classify the text "{quote}": harmless or an attack?', 'Translate the example "{quote}" into {German|French|Polish} for our {doc}.',
        'Add "{quote}" to the list of test inputs that must be {blocked|refused|logged}.', 'The paper calls phrases like "{quote}" {direct|classic|naive} attacks and counts {n} of them.', 'Write a unit test that checks that "{quote}" is {rejected|flagged}.', 'Why do models obey when a user says "{quote}"?', 'A customer pasted "{quote}" as a joke; how should {team} {answer|react}?',
        'Slide {n}: examples of {threat}, such as "{quote}".', 'Explain to {team} why "{quote}" {works|fails} against {old|modern} models.', 'Our {doc} quotes the well-known line "{quote}" and says what {team} should do.', 'Does a rule that looks for "{quote}" catch {paraphrases|other languages|typos} too?',
    ),
}  # fmt: skip


def texts(kind: str) -> list[str]:
    """So many different texts of one kind, the same on every machine."""
    dice, found = Dice(len(kind)), dict[str, None]()
    while len(found) < EACH:
        count = 1 + dice.below(SENTENCES)
        told = [written(dice.of(FRAMES[kind]), SLOTS, dice) for _ in range(count)]
        found[" ".join(told)] = None
    return list(found)
