"""The image, judged by rules: it is not built here."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
PACKAGES = ("schemas", "pipeline", "infra", "consumers", "producers")


def instructions(text: str) -> list[tuple[str, str]]:
    """Name and arguments of each, comments left out and lines joined."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    lines = "\n".join(kept).replace("\\\n", " ").splitlines()
    split = (line.split(maxsplit=1) for line in lines if line.strip())
    return [(words[0], words[1]) for words in split]


def stages(text: str) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, arguments in instructions(text):
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found


def complaints(text: str) -> Sequence[str]:
    """What is wrong, by rule."""
    everything, final = instructions(text), stages(text)[-1]
    runs = [arguments for name, arguments in everything if name == "RUN"]
    installs = [
        part for run in runs for part in run.split("&&") if "pip install" in part
    ]
    users = [arguments for name, arguments in final if name == "USER"]
    rules = {
        "several stages": len(stages(text)) >= 2,
        "bases have a version": all(
            re.match(r"\S+:\d[\w.-]+( AS \w+)?$", arguments)
            for name, arguments in everything
            if name == "FROM"
        ),
        "it ends as nobody of importance": bool(users)
        and re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1]) is not None,
        "nothing is changed as that user": final.index(("USER", users[-1]))
        > max(
            (i for i, (name, _) in enumerate(final) if name in {"RUN", "COPY"}),
            default=0,
        )
        if users
        else False,
        "only hashed requirements, or our own wheel": all(
            ("--require-hashes" in part or "dist/*.whl" in part) and "--no-deps" in part
            for part in installs
        ),
        "the last stage installs nothing": not any(
            "pip" in arguments or "apt" in arguments
            for name, arguments in final
            if name == "RUN"
        ),
        "no ADD": all(name != "ADD" for name, _ in everything),
        "no download": not re.search(r"\b(curl|wget|https?://)", " ".join(runs)),
        "no whole context": not re.search(r"^COPY\s+\.\s", text, re.MULTILINE),
        "no secret in a layer": not re.search(
            r"^(ARG|ENV)\b.*(KEY|SECRET|TOKEN|PASSWORD)", text, re.MULTILINE
        ),
        "nothing is written beside the volumes": "PYTHONDONTWRITEBYTECODE=1" in text,
        "what large bodies took is given back": any(
            name == "ENV" and "MALLOC_MMAP_THRESHOLD_=" in arguments
            for name, arguments in final
        ),
        "signals reach the process": all(
            arguments.startswith("[")
            for name, arguments in final
            if name in {"CMD", "ENTRYPOINT"}
        ),
    }
    return [rule for rule, kept in rules.items() if not kept]


def test_it_keeps_every_rule() -> None:
    assert [] == complaints(TEXT)


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("USER 10001:10001\n", "", "it ends as nobody of importance"),
        ("MALLOC_MMAP_THRESHOLD_", "MALLOC", "what large bodies took is given back"),
        ("USER 10001:10001", "USER root", "it ends as nobody of importance"),
        (
            "USER 10001:10001",
            "USER 10001:10001\nRUN true",
            "nothing is changed as that user",
        ),
        (
            "--require-hashes --no-deps",
            "--no-deps",
            "only hashed requirements, or our own wheel",
        ),
        ("python:3.11-slim-bookworm AS", "python AS", "bases have a version"),
        ("COPY schemas schemas", "COPY . .", "no whole context"),
        ("COPY schemas schemas", "ADD schemas schemas", "no ADD"),
        ('CMD ["python"', 'CMD python "', "signals reach the process"),
        ("PYTHONDONTWRITEBYTECODE=1", "A=1", "nothing is written beside the volumes"),
        ("ENV PATH", "ENV API_KEY=x PATH", "no secret in a layer"),
        (
            "groupadd",
            "apt-get install -y x && groupadd",
            "the last stage installs nothing",
        ),
        ("python -m venv /opt/sluice", "curl -O https://example.org/x", "no download"),
    ],
)
def test_each_rule_can_be_broken(was: str, becomes: str, complaint: str) -> None:
    assert was in TEXT
    assert complaint in complaints(TEXT.replace(was, becomes, 1))


def test_what_is_copied_is_what_the_context_holds() -> None:
    listed = (ROOT / ".dockerignore").read_text().splitlines()
    lines = [line for line in listed if line and not line.startswith("#")]
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for name, arguments in instructions(TEXT)
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }

    assert "*" == lines[0]
    assert kept == copied
    assert set(PACKAGES) <= kept
    assert all((ROOT / each).exists() for each in kept)


def test_the_python_is_one_that_we_support() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    versions = set(re.findall(r"FROM python:(\d+\.\d+)-", TEXT))

    assert 1 == len(versions)
    assert all(f"Python :: {version}" in project for version in versions)
