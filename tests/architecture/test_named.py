"""What the pages name is there: files, links, commands, modules and settings."""

import pkgutil
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from infra.settings import Concern, Settings
from producers.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = [
    each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")
]
TREE = {*FOLDERS, *(each for folder in FOLDERS for each in folder.rglob("*"))}
NAMES = {each.name for each in TREE}
TOPS = "|".join(re.escape(each.name) for each in FOLDERS)
MAKEFILE = (ROOT / "Makefile").read_text()

BEFORE = r"(?<![\w./:@<-])"
PLACE = re.compile(rf"{BEFORE}((?:{TOPS})/[\w./-]*[\w/]|[\w./-]+\.(?:py|md))(#[\w-]+)?")
BRACES = re.compile(r"(\S*)\{([\w,]+)\}(\S*)")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]+)?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
NOTE = re.compile(r" {2,}| #")
DOTTED = re.compile(
    rf"{BEFORE}(?:schemas|pipeline|infra|consumers|producers)(?:\.\w+)+"
)
SETTING = re.compile(r"\bSLUICE_[A-Z_]*[A-Z]")


def codes(text: str) -> Iterator[str]:
    """Spans of code, and lines of blocks without what is noted beside them."""
    prose = FENCED.sub("", text)
    blocks = [line for found in FENCED.findall(text) for line in found.splitlines()]
    yield from SPAN.findall(prose)
    yield from (NOTE.split(each)[0] for each in [*LINE.findall(prose), *blocks])


def spelled_out(braces: re.Match[str]) -> str:
    before, words, after = braces.groups()
    return " ".join(before + word + after for word in words.split(","))


def absent(page: Path, text: str) -> Iterator[str]:
    """What the text of a page names and is not there."""
    for name, anchor in PLACE.findall(BRACES.sub(spelled_out, text)):
        if not is_there(name, anchor, ROOT, page.parent):
            yield name + anchor
    for name, anchor in LINK.findall(text):
        if not is_there(name or page.name, anchor, page.parent):
            yield f"link {name}{anchor}"
    for code in codes(text):
        first, *words = code.split() or [""]
        if first == "make":
            yield from absent_from_make(words)
        if first == "sluice":
            yield from absent_from_sluice(words)
        yield from filter(is_no_module, re.findall(r"\bpython -m ([\w.]+)", code))
        yield from filter(is_no_name, DOTTED.findall(code))
    yield from filter(is_no_setting, SETTING.findall(text))


def is_there(name: str, anchor: str, *bases: Path) -> bool:
    """Below a base; or a decision by its number, or a file by its name alone."""
    found = [base / name for base in bases if (base / name).exists()]
    if anchor:
        return any(anchor[1:] in anchors(each) for each in found)
    if len(bases) > 1 and "/" not in name:
        return bool(found) or name in NAMES
    return bool(found or [*ROOT.glob(f"{name}-*.md")])


def anchors(page: Path) -> set[str]:
    """Where a link can point into a page, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", each.lower()) for each in headings)
    return {each.replace(" ", "-") for each in words}


def absent_from_make(words: list[str]) -> Iterator[str]:
    for word in words:
        name, is_variable, _ = word.partition("=")
        if (f"$({name})" if is_variable else f"\n{name}:") not in MAKEFILE:
            yield f"make {word}"


def absent_from_sluice(words: list[str]) -> Iterator[str]:
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group):
        names = words.pop(0).split("|")
        found = [command.get_command(context, name) for name in names]
        yield from (f"sluice {names[n]}" for n, each in enumerate(found) if not each)
        command = found[0] or click.Command(None)
    options = {name for each in command.params for name in each.opts}
    asked = re.findall(r"--[a-z][a-z-]*", " ".join(words))
    yield from (f"{command.name} {name}" for name in asked if name not in options)


def is_no_module(name: str) -> bool:
    """Is there nothing that ``python -m`` could run?"""
    top, path = name.partition(".")[0], ROOT / name.replace(".", "/")
    if ROOT / top not in FOLDERS:
        return find_spec(top) is None
    return not {path.with_suffix(".py"), path / "__main__.py"} & TREE


def is_no_name(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return True
    return False


def is_no_setting(name: str) -> bool:
    """Judged to its second word: what follows may be a name of the operator's."""
    concern, *words = name.removeprefix("SLUICE_").lower().split("__")
    field = Settings.model_fields.get(concern)
    kind = field.annotation if field else None
    if not isinstance(kind, type) or not issubclass(kind, Concern):
        return kind is None
    return bool(words) and words[0] not in kind.model_fields


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert [] == list(absent(page, page.read_text()))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Read docs/architecture.md, then docs/nowhere.md.", "docs/nowhere.md"),
        ("`infra/log.py` and `infra/nowhere/`", "infra/nowhere/"),
        ("`infra/{log,nowhere}.py`, `GET /infra/{id}`", "infra/nowhere.py"),
        ("reference/problems.md and reference/nowhere.md", "reference/nowhere.md"),
        ("`test_named.py` and `test_nowhere.py`", "test_nowhere.py"),
        ("docs/adr/0001 and docs/adr/9999", "docs/adr/9999"),
        ("[here](../LICENSE), [there](../NOTHING)", "link ../NOTHING"),
        (
            "[here](adr/README.md), [there](docs/adr/README.md)",
            "link docs/adr/README.md",
        ),
        ("[here](#glossary) [there](#nowhere)", "link #nowhere"),
        ("docs/glossary.md#glossary docs/glossary.md#gone", "docs/glossary.md#gone"),
        ("`make test` and `make nothing`", "make nothing"),
        ("    make chaos KILLS=1 NOTHING=1  # kills", "make NOTHING=1"),
        ("```sh\nsluice audit verify\nsluice audit nothing\n```", "sluice nothing"),
        ("`sluice tenant|nothing`", "sluice nothing"),
        ("    sluice lag [--over N | --nothing]", "lag --nothing"),
        ("`python -m tests.chaos`, `python -m tests.nothing`", "tests.nothing"),
        ("`python -m demo` `python -m venv` `python -m nothing`", "nothing"),
        ("`infra.log.configure` and `infra.log.nothing`", "infra.log.nothing"),
        ("`SLUICE_LOG__LEVEL`, `SLUICE_LOG__NOTHING`", "SLUICE_LOG__NOTHING"),
        ("`SLUICE_PROVIDERS__A__BASE_URL` SLUICE_NOTHING__A", "SLUICE_NOTHING__A"),
    ],
)
def test_what_is_not_there_is_found(text: str, name: str) -> None:
    assert [name] == list(absent(ROOT / "docs" / "glossary.md", text))
