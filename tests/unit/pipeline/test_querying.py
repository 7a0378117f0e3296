"""Records as tables: every cell inert, every destruction marked."""

import csv
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit import Entry, chain, empty
from pipeline.querying import COLUMNS, Query, table
from schemas.audit import ContentCommitment, Erase, Retained
from schemas.events import timestamp
from schemas.requests import Decision, PolicyRef, Usage
from tests.support.audit import NOON, recorded, request_id

CONTENT = ContentCommitment(
    purpose="request", commit="0" * 64, sealed_sha256="1" * 64, key_id="2" * 32
)


def entry(action: str = "request.completed", **data: Any) -> Entry:
    event = recorded("a", action, request="r", **data)
    (made,) = chain(empty("ledger.test.example/x"), [event]).entries
    return made


def rows(*entries: Entry, erased: tuple[Erase, ...] = ()) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO("".join(table(entries, erased)))))


def test_a_record_is_a_row() -> None:
    said = Decision(stage="screening", control="phrases", verdict="blocked", rule="r-1")
    made = entry(
        status="ok",
        decision=(said,),
        guards_required=("phrases", "pii"),
        guards_ran=("phrases",),
        policy=PolicyRef(id="default", version=3, sha256="0" * 64),
        model="gpt",
        usage=Usage(input_tokens=5, output_tokens=7),
        content=(CONTENT,),
    )

    (row,) = rows(made)

    assert list(COLUMNS) == list(row)
    assert "screening:phrases:blocked:r-1" == row["decisions"]
    assert "pii" == row["guards_missing"]
    assert "default@3" == row["policy"]
    assert ("5", "7", "request") == (
        row["input_tokens"],
        row["output_tokens"],
        row["content"],
    )
    assert (request_id("r"), timestamp(NOON)) == (row["request_id"], row["ts"])


@given(
    st.sampled_from("=+-@"),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
)
def test_no_cell_is_a_formula(first: str, rest: str) -> None:
    """A provider chooses the model's name that it answers with."""
    (row,) = rows(entry(model=first + rest))

    assert f"'{first}{rest}" == row["model"]


def erase(scope: Any, ref: str, *, late: bool = True) -> Erase:
    as_of = "2026-01-01T12:00:00.000000Z" if late else "2026-01-01T11:59:59.999999Z"
    return Erase(scope=scope, ref=ref, as_of=as_of)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (erase("request", request_id("r")), "erased"),
        (erase("request", request_id("s")), "request"),
        (erase("request", request_id("r"), late=False), "request"),
        (erase("class", "days30:2026-01-01"), "erased"),
        (erase("class", "days30:2026-01-02"), "request"),
        (erase("tenant", "x"), "erased"),
        (erase("subject", "s"), "request"),
    ],
)
def test_what_was_destroyed_is_marked(made: Erase, expected: str) -> None:
    kept = Retained(retention_class="days30", day="2026-01-01")

    (row,) = rows(entry(content=(CONTENT,), retention=kept), erased=(made,))

    assert expected == row["content"]


def test_what_committed_to_nothing_is_not_erased() -> None:
    (row,) = rows(entry(), erased=(erase("tenant", "x"),))

    assert not row["content"]


def test_a_query_of_nothing_admits_all() -> None:
    assert Query().admits(entry())
    assert not Query(action="no.such").admits(entry())


def test_a_record_without_a_class_is_of_no_class() -> None:
    made = entry(content=(CONTENT,))
    (row,) = rows(made, erased=(erase("class", "days30:2026-01-01"),))

    assert "request" == row["content"]
