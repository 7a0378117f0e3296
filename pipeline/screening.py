"""Screening: may this request pass?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from pipeline.mentions import apart
from pipeline.policies import REDACTING, cells, guard_of
from pipeline.text import Channel, TextPart
from pipeline.topics import spoken_of
from pipeline.verdicts import GuardUnavailable, Hit, Screened, Story
from schemas.policies import DataClass, Guard, PolicyDocument

CARRIED: Final = frozenset({Channel.TOOL, Channel.DOCUMENT})
_INJECTION: Final = "security.prompt_injection"
QUOTED: Final = ".quoted"
"""Ends the rule's id of a hit that a text only quotes (``pipeline/mentions.py``)."""
UNREAD: Final = Hit("attachments.unread", "privacy.attachment")
SCREENING: Final = (Guard.INJECTION, Guard.INSTRUCTION, Guard.INTENT)
"""Guards of a request, in the order in which they are told."""


def screen(
    parts: Sequence[TextPart],
    policy: PolicyDocument,
    recipe: Recipe,
    clock: Clock | None = None,
    *,
    attached: bool = False,
) -> Screened | GuardUnavailable:
    """Run the guards of screening on a request.

    Law: equal parts, policy and recipe give the equal answer; the order of the parts
    changes no verdict. Cells with ``block`` end a request that holds their class. Where
    a clock is given, a guard that takes longer over a part than it may has failed.
    ``attached``: the request holds more than its parts, which no guard can read.
    """
    story = Story(recipe)
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
            return story.unavailable(guard, parts)
    unread = policy.guard(Guard.ATTACHMENTS)
    if unread.required:
        hits = [UNREAD] if attached else []
        story.tell(Guard.ATTACHMENTS, hits, block=unread.block)
    blocked = _blocked_classes(parts, policy, recipe, story, clock)
    return blocked or story.screened()


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
    story: Story,
    clock: Clock | None,
) -> GuardUnavailable | None:
    """Cells whose action is ``block``; the engine runs only where there are any."""
    blocking = {cell.channel for cell in policy.cells if cell.block}
    for part in parts:
        if part.channel not in blocking:
            continue
        told = cells(policy, part.channel).items()
        least = {c: recipe.least(cell) for c, cell in told if cell.block}
        findings, failed = _inspected(
            part, policy, recipe, story.signals, clock, acting=least
        )
        for guard in sorted(_blockers(policy, part.channel) & failed):
            if not story.fail(guard, policy.guard(guard).on_failure):
                return story.unavailable(guard, [part])
        for each in findings:
            blocks = least.get(each.data_class)
            if blocks is not None and (not each.checked or each.confidence >= blocks):
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
    *,
    acting: Mapping[DataClass, float],
) -> tuple[Sequence[Finding], frozenset[Guard]]:
    """What is found, and the guards that could not look."""
    try:
        seen = inspect(
            part.text, recipe, regions=policy.regions, clock=clock, acting=acting
        )
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


def _reason(reason: str, channel: Channel) -> str:
    if reason != _INJECTION:
        return reason
    return reason + (".indirect" if channel in CARRIED else ".direct")
