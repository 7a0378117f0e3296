"""Screening an answer: may it go to whoever asked?"""

from collections.abc import Iterator, Sequence

from pipeline.detection.engine import MAX_PART_BYTES, GuardFailed, Recipe
from pipeline.findings import Acted
from pipeline.output import OutputHit, look
from pipeline.policies import cells
from pipeline.text import Channel, TextPart
from pipeline.verdicts import GuardUnavailable, Hit, Screened, Story
from schemas.policies import DataClass, Guard, PolicyDocument


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
    story = Story(recipe)
    rule = policy.guard(Guard.OUTPUT)
    _blocked_answer(findings, policy, story)
    if not rule.required:
        return story.screened()
    try:
        hits = [Hit(hit.rule, hit.reason) for hit in _seen(parts, system)]
    except GuardFailed:
        if not story.fail(Guard.OUTPUT, rule.on_failure):
            return story.unavailable(Guard.OUTPUT, parts)
        return story.screened()
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


def _seen(parts: Sequence[TextPart], system: Sequence[TextPart]) -> Iterator[OutputHit]:
    if any(len(part.text.encode()) > MAX_PART_BYTES for part in parts):
        raise GuardFailed("a text is longer than the engine may look at")
    prompts = [part.text for part in system if part.channel is Channel.SYSTEM]
    yield from look([part.text for part in parts], prompts)


def _blocked_answer(
    findings: Sequence[Acted], policy: PolicyDocument, story: Story
) -> None:
    """Cells of answers whose action is ``block``."""
    told = cells(policy, Channel.COMPLETION)
    for each in findings:
        found = each.finding
        if told[found.data_class].block and each.action != "near":
            reason = f"privacy.pii.{found.data_class.lower()}"
            story.tell(Guard.OUTPUT, [Hit(found.rule, reason)], block=True, ran=False)
