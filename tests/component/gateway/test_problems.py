"""The page of problems says what the code does."""

from pathlib import Path

from pipeline.admission import No
from pipeline.reasons import Reason
from producers import faults
from producers.gateway import endpoints, errors
from producers.gateway.errors import (
    FAILURES,
    UNKNOWN_MODEL,
    UNSUPPORTED,
    ending,
    message,
)
from schemas.requests import Outcome

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "problems.md"
FAULTS = dict.fromkeys(
    each
    for module in (faults, errors, endpoints)
    for each in vars(module).values()
    if isinstance(each, faults.Fault)
)
"""In the order of the code."""


def rows(section: str) -> list[str]:
    """The rows of a section's table, without its head."""
    _, _, rest = PAGE.read_text().partition(f"## {section}\n")
    return [line for line in rest.partition("\n## ")[0].splitlines() if "|" in line][2:]


def test_every_code_is_on_the_page() -> None:
    told = [
        f"| `{each.code}` | {each.status} | {each.title} | {each.detail} "
        f"| `{each.kind}` | `{each.word}` |"
        for each in FAULTS
    ]

    assert told == rows("Codes")
    assert len(told) == len({each.code for each in FAULTS})


def test_every_reason_is_on_the_page_and_has_its_status() -> None:
    told = []
    for reason, (status, repeat, after_s, why) in FAILURES.items():
        again = f"yes, after {after_s} s" if repeat else "no"
        told.append(f"| `{reason}` | {status} | {again} | {why} |")

    assert told == rows("Requests that were accepted and failed")
    assert set(Reason) == set(FAILURES)


def test_every_rejection_is_on_the_page() -> None:
    told = [
        row.split("`")[1] for row in rows("Records of the inbox that were rejected")
    ]

    assert sorted(No) == told


def test_a_sentence_names_the_fields_or_else_the_reason_or_else_what_to_do() -> None:
    blocked = ending(Outcome.BLOCKED, "privacy.attachment")

    assert "Not supported here: n: expected 1; m: expected null." == message(
        UNSUPPORTED.about("n: expected 1", "m: expected null")
    )
    assert "Blocked by policy: privacy.attachment." == message(blocked)
    assert UNKNOWN_MODEL.detail == message(UNKNOWN_MODEL)
