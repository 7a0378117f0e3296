"""``sluice detect``: what would happen to a text, without calling anybody."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import click
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from infra.recipes import load_recipe
from pipeline.detection.engine import Recipe
from pipeline.detection.explain import STANDS, Account, Explained, summed
from pipeline.detection.linear import opinion, reasons
from pipeline.detection.normalise import normalise
from pipeline.findings import Acted
from pipeline.policies import cells, default_policy
from pipeline.redaction import Redacted, redact
from pipeline.screening import CARRIED, screen
from pipeline.text import Channel, TextPart
from pipeline.verdicts import Screened
from schemas.policies import DataClass, PolicyDocument

NONCE: Final = "DEMO"
COLOURS: Final = {
    "strict": "bold red",
    "reversible": "bold yellow",
    "flag": "cyan",
    "near": "dim",
}


@click.command()
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A policy document in JSON; the default policy, where none is given.",
)
@click.option(
    "--channel",
    type=click.Choice([each.value for each in Channel]),
    default=Channel.USER.value,
    help="Who put the text there.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Tell the evidence in log-odds, what stayed below, and what lost to what.",
)
@click.option(
    "--why",
    multiple=True,
    metavar="TEXT",
    help="Explain, and say why this piece of FILE was found, or was not.",
)
@click.argument("file", type=click.File("r", encoding="utf-8"))
def detect(
    policy: Path | None,
    channel: str,
    why: tuple[str, ...],
    *,
    explain: bool,
    file: TextIO,
) -> None:
    """Show what screening and redaction make of FILE, or of - for standard input."""
    document = default_policy() if policy is None else _policy(policy)
    recipe = load_recipe()
    part = TextPart(("text",), Channel(channel), _text(file))
    console = Console()
    for line in rendered(part, document, recipe, explain=explain, why=why):
        console.print(line, highlight=False)


def _text(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError:
        raise click.BadParameter("expected text in UTF-8", param_hint="FILE") from None


def _policy(path: Path) -> PolicyDocument:
    try:
        return PolicyDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'policy'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise click.BadParameter(told, param_hint="--policy") from None


def rendered(
    part: TextPart,
    policy: PolicyDocument,
    recipe: Recipe,
    *,
    explain: bool,
    why: Sequence[str] = (),
) -> Iterator[Text]:
    """The text in colours, then verdict, findings and, explained, the reasons."""
    done = redact([part], policy, recipe, NONCE)
    if not isinstance(done, Redacted):
        yield Text("a guard could not look at this text: it would fail closed", "red")
        return
    yield _coloured(part.text, done.findings)
    yield Text()
    yield from _verdict(part, policy, recipe)
    for acted in done.findings:
        if explain or why or acted.action != "near":
            yield _told(acted, part.text)
    if explain or why:
        yield from _explained(part, policy, recipe, why)


def _coloured(text: str, findings: tuple[Acted, ...]) -> Text:
    shown = Text(text)
    for acted in findings:
        where = acted.finding
        shown.stylize(COLOURS[acted.action], where.start, where.end)
    return shown


def _verdict(part: TextPart, policy: PolicyDocument, recipe: Recipe) -> Iterator[Text]:
    screened = screen([part], policy, recipe)
    if not isinstance(screened, Screened):
        yield Text(f"screening: guard {screened.guard} unavailable", "red")
        return
    rules = [each.rule for each in screened.decisions if each.rule is not None]
    why = ", ".join([*screened.reasons, *rules])
    yield Text(f"screening: {screened.verdict.value} {why}".rstrip())


def _told(acted: Acted, text: str) -> Text:
    found = acted.finding
    value = text[found.start : found.end]
    line = f"{found.data_class.value:<11}{found.kind:<18}{found.confidence:5.2f}  "
    line += f"{acted.action:<11}{found.rule:<24}{found.via:<16}{value!r}"
    return Text(f"{line} -> {acted.token}" if acted.token else line)


def _explained(
    part: TextPart, policy: PolicyDocument, recipe: Recipe, why: Sequence[str]
) -> Iterator[Text]:
    """The evidence of everything, what lost to what, and the model's reasons."""
    looked = Explained(part.text, recipe, policy.regions)
    accounts = looked.accounts()
    told = cells(policy, part.channel)
    for account in accounts:
        cell = told[DataClass(account.data_class)]
        yield _account(account, part.text, recipe.least(cell))
    for wanted in why:
        yield from _about(wanted, part.text, looked, accounts)
    yield from _opinion(part, recipe)
    if signals := normalise(part.text).signals:
        yield Text(f"undone: {', '.join(signals)}")
    yield Text(f"recipe {recipe.id[:16]}", "dim")


def _account(found: Account, text: str, threshold: float) -> Text:
    """One candidate: its evidence, and what became of it."""
    value = text[found.start : found.end]
    line = f"  {found.rule} at {found.start}-{found.end} {value!r}: "
    line += summed(found.terms) if found.terms else f"{found.score:+.2f}"
    line += f", {found.confidence:.2f}"
    if found.words:
        line += f" (beside: {', '.join(found.words)})"
    if found.via:
        line += f" ({found.via})"
    fate = found.fate
    if fate == STANDS:
        side = "reaches" if found.confidence >= threshold else "stays below"
        fate = f"{side} {threshold:.2f}"
    return Text(f"{line}; {fate}", "" if found.fate == STANDS else "dim")


def _about(
    wanted: str, text: str, looked: Explained, accounts: Sequence[Account]
) -> Iterator[Text]:
    """Why a piece of the text was found, or was not."""
    start = text.find(wanted)
    if start < 0:
        yield Text(f"why {wanted!r}: it is not in the text", "yellow")
        return
    end = start + len(wanted)
    near = [a for a in accounts if a.start < end and start < a.end]
    stands = [a for a in near if a.fate == STANDS]
    told = ", ".join(f"{a.rule} at {a.start}-{a.end}" for a in stands or near)
    if stands:
        yield Text(f"why {wanted!r}: {told} stands there", "yellow")
    elif near:
        yield Text(f"why {wanted!r}: of {told} none stands, see above", "yellow")
    else:
        yield Text(f"why {wanted!r}: no rule's pattern matches there", "yellow")
    for line in looked.silence(start, end):
        yield Text(f"  {line}")


def _opinion(part: TextPart, recipe: Recipe) -> Iterator[Text]:
    """What the model of the channel says, and what in its highest sentence weighs."""
    user = part.channel is Channel.USER
    model = recipe.attacks if user else recipe.orders
    if model is None or not (user or part.channel in CARRIED):
        return
    text = normalise(part.text).text
    said = opinion(text, model, together=user)
    told = ", ".join(f"{name} {weight:+.2f}" for name, weight in reasons(text, model))
    hit = "a hit" if said.sure else "no hit"
    line = f"  model.{model.name}: {said.score:+.2f}, {said.confidence:.2f}, {hit}"
    yield Text(f"{line}; most in its sentence: {told}" if told else line)
