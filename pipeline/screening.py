"""Screening: may this request, or this answer, pass?"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipeline.detection.engine import (
    MAX_PART_BYTES,
    Finding,
    GuardFailed,
    Recipe,
    inspect,
)
from pipeline.detection.linear import opinion
from pipeline.detection.normalise import normalise
from pipeline.detection.work import Clock, Work
from pipeline.findings import Acted, looked_by
from pipeline.mentions import apart
from pipeline.output import OutputHit, look
from pipeline.policies import REDACTING, cells, guard_of
from pipeline.text import Channel, TextPart
from pipeline.topics import spoken_of
from schemas.policies import DataClass, Failing, Guard, PolicyDocument
from schemas.requests import Decision, Looked

STAGE: Final = "screening"
CARRIED: Final = frozenset({Channel.TOOL, Channel.DOCUMENT})
_INJECTION: Final = "security.prompt_injection"
QUOTED: Final = ".quoted"
"""Ends the rule's id of a hit that a text only quotes (``pipeline/mentions.py``)."""
SCREENING: Final = (Guard.INJECTION, Guard.INSTRUCTION, Guard.INTENT)
"""Guards of a request, in the order in which they are told."""


class Verdict(StrEnum):
    """What screening says of a request."""

    ALLOWED = "allowed"
    FLAGGED = "flagged"
    BLOCKED = "blocked"
    UNSCREENED = "unscreened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """Every guard that had to decide has decided, or may fail open.

    Attributes:
        reasons: dotted; what the caller may see. The first is the gravest.
        guards_ran: those that really looked; one that failed open is not among them.
        looked: the recipe, and what was undone before it looked.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardUnavailable:
    """A guard that must not fail could not look; no verdict on the content."""

    guard: Guard
    decisions: tuple[Decision, ...]
    guards_ran: tuple[str, ...]
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """What a guard saw: a rule, and the reason as a caller may read it."""

    rule: str
    reason: str


@dataclass(slots=True)
class _Story:
    """What was said so far."""

    recipe: Recipe
    signals: set[str] = field(default_factory=set)
    verdict: Verdict = Verdict.ALLOWED
    reasons: dict[str, Verdict] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def tell(
        self, guard: Guard, hits: Collection[Hit], *, block: bool, ran: bool = True
    ) -> None:
        """A guard has looked; one without its model did not ``ran``."""
        said = Verdict.ALLOWED
        if hits:
            said = Verdict.BLOCKED if block else Verdict.FLAGGED
            self.verdict = max(self.verdict, said, key=_gravity)
        for hit in hits:
            self.reasons[hit.reason] = max(
                said, self.reasons.get(hit.reason, said), key=_gravity
            )
        rules: list[str | None] = [*dict.fromkeys(hit.rule for hit in hits)]
        self.decisions += [_decision(guard, said, rule) for rule in rules or [None]]
        if ran and guard.value not in self.ran:
            self.ran.append(guard.value)

    def fail(self, guard: Guard, failing: Failing) -> bool:
        """A guard could not look; whether it may fail open."""
        self.decisions.append(_decision(guard, "failed_" + failing))
        self.verdict = max(self.verdict, Verdict.UNSCREENED, key=_gravity)
        return failing is Failing.OPEN

    def looked(self) -> tuple[Looked, ...]:
        """What looked, and what it had to undo."""
        return (looked_by(STAGE, self.recipe, self.signals),)

    def screened(self) -> Screened:
        """The answer, gravest reasons first."""
        ranked = sorted(self.reasons, key=lambda r: -_gravity(self.reasons[r]))
        return Screened(
            verdict=self.verdict,
            reasons=tuple(ranked),
            decisions=tuple(self.decisions),
            guards_ran=tuple(self.ran),
            looked=self.looked(),
        )

    def unavailable(self, guard: Guard) -> GuardUnavailable:
        """A guard that must not fail has failed."""
        return GuardUnavailable(
            guard=guard,
            decisions=tuple(self.decisions),
            guards_ran=tuple(self.ran),
            looked=self.looked(),
        )


def screen(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    clock: Clock | None = None,
) -> Screened | GuardUnavailable:
    """Run the guards of screening on a request.

    Law: equal parts, policy and recipe give the equal answer; the order of the parts
    changes no verdict. Cells with ``block`` end a request that holds their class. Where
    a clock is given, a guard that takes longer over a part than it may has failed.
    """
    story = _Story(recipe)
    required = [guard for guard in SCREENING if policy.guard(guard).required]
    seen = _Seen(story.signals)
    for part in parts if required else ():
        _see(part, policy, recipe, seen, clock)
    for guard in required:
        rule = policy.guard(guard)
        if guard not in seen.failed:
            absent = guard in recipe.missing
            story.tell(guard, seen.hits[guard], block=rule.block, ran=not absent)
            if guard is Guard.INJECTION and seen.quoted:
                story.tell(guard, seen.quoted, block=False, ran=False)
            if guard is Guard.INTENT:
                for block, hits in seen.topics.items():
                    story.tell(guard, hits, block=block)
        elif not story.fail(guard, rule.on_failure):
            return story.unavailable(guard)
    blocked = _blocked_classes(parts, policy, recipe, story, clock)
    return blocked or story.screened()


def screen_answer(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    system: Sequence[TextPart] = (),
    findings: Sequence[Acted] = (),
    *,
    told: bool = False,
) -> Screened | GuardUnavailable:
    """Run the guard ``output`` on a completion, before its tokens are restored.

    Attributes:
        system: the request's own system parts: an answer that repeats them leaks them.
        findings: what redaction did to the answer. A cell with ``block`` withholds it;
            a secret is told, and blocks where its text stayed.
        told: the answer holds the canary of its request (``pipeline/canary.py``).
    """
    story = _Story(recipe)
    rule = policy.guard(Guard.OUTPUT)
    _blocked_answer(findings, policy, story)
    if not rule.required:
        return story.screened()
    if any(len(part.text.encode()) > MAX_PART_BYTES for part in parts):
        if not story.fail(Guard.OUTPUT, rule.on_failure):
            return story.unavailable(Guard.OUTPUT)
        return story.screened()
    prompts = [part.text for part in system if part.channel is Channel.SYSTEM]
    seen: list[OutputHit] = [hit for part in parts for hit in look(part.text, prompts)]
    hits = [Hit(hit.rule, hit.reason) for hit in seen]
    if told:
        hits.append(Hit("output.canary", "security.prompt_extraction"))
    story.tell(Guard.OUTPUT, hits, block=rule.block)
    for left in (False, True):
        secrets = [
            Hit(each.finding.rule, "security.secret_leak")
            for each in findings
            if each.finding.data_class is DataClass.SECRET
            and each.action != "near"
            and (each.token is None) is left
        ]
        if secrets:
            story.tell(Guard.OUTPUT, secrets, block=rule.block and left)
    return story.screened()


def _blocked_answer(
    findings: Sequence[Acted], policy: PolicyDocument, story: _Story
) -> None:
    """Cells of answers whose action is ``block``."""
    told = cells(policy, Channel.COMPLETION)
    for each in findings:
        found = each.finding
        if told[found.data_class].block and each.action != "near":
            reason = f"privacy.pii.{found.data_class.lower()}"
            story.tell(Guard.OUTPUT, [Hit(found.rule, reason)], block=True, ran=False)


@dataclass(slots=True)
class _Seen:
    """What guards saw in all parts, and which of them could not look at one.

    Attributes:
        quoted: attacks that a user quotes to speak about them: flagged, not blocked.
    """

    signals: set[str]
    quoted: list[Hit] = field(default_factory=list)
    hits: defaultdict[Guard, list[Hit]] = field(
        default_factory=lambda: defaultdict(list)
    )
    topics: defaultdict[bool, list[Hit]] = field(
        default_factory=lambda: defaultdict(list)
    )
    failed: set[Guard] = field(default_factory=set)


def _see(
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    seen: _Seen,
    clock: Clock | None,
) -> None:
    """Phrases and models, each failing alone."""
    guard = Guard.INJECTION if part.channel is Channel.USER else Guard.INSTRUCTION
    work = Work(len(part.text), clock)
    try:
        normal = normalise(part.text)
        seen.signals.update(normal.signals)
        text = normal.text
        hits = [*_phrases(text, part, recipe)]
        for topic in policy.topics:
            if part.channel in topic.channels and spoken_of(text, topic.terms):
                hit = Hit(f"topic.{topic.name}", f"safety.topic.{topic.name}")
                seen.topics[topic.block].append(hit)
        work.look()
    except Exception:  # noqa: BLE001 - whatever it was, none of them has looked
        seen.failed.update(SCREENING)
        return
    try:
        hits += [(guard, hit) for hit in _judged(text, part, policy, recipe)]
        told = _told(hits, text, part, policy, recipe)
        work.look()
    except Exception:  # noqa: BLE001 - the model's own guard has not looked
        seen.failed.add(guard)
        told = hits
    for of, hit in told:
        (seen.quoted if hit.rule.endswith(QUOTED) else seen.hits[of]).append(hit)


def _told(
    hits: Sequence[tuple[Guard, Hit]],
    text: str,
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
) -> Sequence[tuple[Guard, Hit]]:
    """The hits; those of a user that stand only in what is quoted are told so."""
    of_user = any(of is Guard.INJECTION for of, _ in hits)
    said, quoted = apart(text) if of_user else (text, "")
    if not quoted:
        return hits

    def rules(piece: str) -> set[str]:
        phrases = {hit.rule for _, hit in _phrases(piece, part, recipe)}
        return phrases | {hit.rule for hit in _judged(piece, part, policy, recipe)}

    excused = rules(quoted) - rules(said)
    return [
        (of, Hit(hit.rule + QUOTED, hit.reason))
        if of is Guard.INJECTION and hit.rule in excused
        else (of, hit)
        for of, hit in hits
    ]


def _phrases(text: str, part: TextPart, recipe: Recipe) -> Iterator[tuple[Guard, Hit]]:
    """Every phrase that counts in the channel of its part."""
    data = text.encode()
    if len(data) > MAX_PART_BYTES:
        raise GuardFailed("a text is longer than the engine may look at")
    for index in recipe.words.hits(data):
        phrase = recipe.phrases[index]
        if part.channel in phrase.channels:
            reason = _reason(phrase.reason, part.channel)
            yield phrase.of(part.channel), Hit(phrase.id, reason)


def _judged(
    text: str, part: TextPart, policy: PolicyDocument, recipe: Recipe
) -> Iterator[Hit]:
    """What the model of the part's channel says, where a policy wants it."""
    user = part.channel is Channel.USER
    guard = Guard.INJECTION if user else Guard.INSTRUCTION
    model = recipe.attacks if user else recipe.orders
    rule = policy.guard(guard)
    if model is None or not rule.required or not (user or part.channel in CARRIED):
        return
    said = opinion(text, model, together=user)
    least = rule.least(part.channel)
    if said.sure if least is None else said.confidence >= least:
        yield Hit(f"model.{model.name}", _reason(_INJECTION, part.channel))


def _blocked_classes(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    story: _Story,
    clock: Clock | None,
) -> GuardUnavailable | None:
    """Cells whose action is ``block``; the engine runs only where there are any."""
    blocking = {cell.channel for cell in policy.cells if cell.block}
    for part in parts:
        if part.channel not in blocking:
            continue
        told = cells(policy, part.channel)
        findings, failed = _inspected(part, policy, recipe, story.signals, clock)
        for guard in sorted(_blockers(policy, part.channel) & failed):
            if not story.fail(guard, policy.guard(guard).on_failure):
                return story.unavailable(guard)
        for each in findings:
            cell = told[each.data_class]
            sure = not each.checked or each.confidence >= recipe.least(cell)
            if cell.block and sure:
                reason = f"privacy.pii.{each.data_class.lower()}"
                story.tell(
                    guard_of(each.data_class), [Hit(each.rule, reason)], block=True
                )
    return None


def _inspected(
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    signals: set[str],
    clock: Clock | None,
) -> tuple[Sequence[Finding], frozenset[Guard]]:
    """What is found, and the guards that could not look."""
    try:
        seen = inspect(part.text, recipe, regions=policy.regions, clock=clock)
    except GuardFailed:
        return (), frozenset(REDACTING)
    signals.update(seen.signals)
    return seen.findings, seen.failed


def _blockers(policy: PolicyDocument, channel: Channel) -> set[Guard]:
    """Guards whose findings end a request in a channel."""
    return {
        guard_of(cell.data_class)
        for cell in policy.cells
        if cell.block and cell.channel == channel
    }


def _gravity(verdict: Verdict) -> int:
    order = (Verdict.ALLOWED, Verdict.FLAGGED, Verdict.UNSCREENED, Verdict.BLOCKED)
    return order.index(verdict)


def _reason(reason: str, channel: Channel) -> str:
    if reason != _INJECTION:
        return reason
    return reason + (".indirect" if channel in CARRIED else ".direct")


def _decision(guard: Guard, verdict: str, rule: str | None = None) -> Decision:
    return Decision(stage=STAGE, control=guard.value, verdict=verdict, rule=rule)
