"""``sluice detect``: what would happen to a text, without calling anybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import click
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from infra.recipes import load_recipe
from pipeline.detection.engine import Finding, Recipe, inspect
from pipeline.findings import Acted
from pipeline.policies import cells, default_policy
from pipeline.redaction import Redacted, redact
from pipeline.screening import Screened, screen
from pipeline.text import Channel, TextPart
from schemas.policies import PolicyDocument

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
@click.option("--explain", is_flag=True, help="Tell rules, and what stayed below.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
def detect(policy: Path | None, channel: str, *, explain: bool, file: TextIO) -> None:
    """Show what screening and redaction make of FILE, or of - for standard input."""
    document = default_policy() if policy is None else _policy(policy)
    recipe = load_recipe()
    part = TextPart(("text",), Channel(channel), file.read())
    console = Console()
    for line in rendered(part, document, recipe, explain=explain):
        console.print(line, highlight=False)


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
    part: TextPart, policy: PolicyDocument, recipe: Recipe, *, explain: bool
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
        if explain or acted.action != "near":
            yield _told(acted, part.text)
    if explain:
        yield from _explained(part, policy, recipe)


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
    part: TextPart, policy: PolicyDocument, recipe: Recipe
) -> Iterator[Text]:
    inspection = inspect(part.text, recipe)
    told = cells(policy, part.channel)
    for found in inspection.findings:
        yield Text(f"  {_why(found, told[found.data_class].threshold)}", "dim")
    if inspection.signals:
        yield Text(f"signals: {', '.join(inspection.signals)}")
    yield Text(f"recipe {recipe.id[:16]}; what no rule matched is not listed", "dim")


def _why(found: Finding, threshold: float) -> str:
    where = f"{found.rule} at {found.start}-{found.end}"
    if found.confidence < threshold:
        return f"{where}: {found.confidence:.2f} stays below {threshold:.2f}"
    return f"{where}: {found.confidence:.2f} reaches {threshold:.2f}"
