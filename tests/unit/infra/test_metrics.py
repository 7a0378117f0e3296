"""Metrics: every label is a closed set, and nothing a caller sends makes a series."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from infra.families import (
    ALL,
    FINISHED,
    GROUPS,
    GUARD_VERDICTS,
    HANDLED,
    HTTP_CODES,
    REFUSED,
    WORKERS,
    Declared,
)
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from infra.metrics import OTHER, Metrics
from infra.observability.observed import ObservedPublisher, reason
from infra.system import SystemClock
from pipeline.reasons import CUT_SHORT, Reason
from producers import faults
from producers.faults import Fault
from producers.gateway import errors
from producers.workers import TIMED
from schemas.policies import Failing

MAX_SERIES = 500
"""Of one family, in one process."""
ENDS_AFTER_ACCEPTANCE = {"blocked", "failed", "not-found", "method-not-allowed"}


def series(metrics: Metrics) -> set[tuple[str, ...]]:
    """Label values of all samples."""
    text = generate_latest(metrics.registry).decode()
    return {
        tuple(sample.labels.values())
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(st.lists(st.text(max_size=30), min_size=2, max_size=2))
def test_a_value_outside_the_set_becomes_other(values: list[str]) -> None:
    metrics = Metrics(CollectorRegistry())

    metrics.refused.labels(*values).inc()

    allowed = {*REFUSED.labels["way"], *REFUSED.labels["code"], OTHER}
    assert all(set(found) <= allowed for found in series(metrics))


def test_a_series_is_made_once() -> None:
    metrics = Metrics(CollectorRegistry())

    first = metrics.of(HANDLED).labels("audit")

    assert first is metrics.of(HANDLED).labels("audit")
    assert metrics.of(HANDLED).labels("x") is metrics.of(HANDLED).labels("y")


def test_names_are_ours_and_used_once() -> None:
    names = [each.name for each in ALL]

    assert len(names) == len(set(names))
    assert all(name.startswith("sluice_") for name in names)


@pytest.mark.parametrize("declared", ALL, ids=lambda each: each.name)
def test_every_family_is_bounded_and_explained(declared: Declared[Any]) -> None:
    size = 1
    for values in declared.labels.values():
        size *= len(values) + 1

    assert MAX_SERIES >= size
    assert declared.help.endswith(".")
    assert not {"tenant", "request", "key", "path", "model"} & set(declared.labels)


def test_every_way_in_which_http_says_no_is_counted_by_its_name() -> None:
    found = {
        fault.code
        for module in (faults, errors)
        for fault in vars(module).values()
        if isinstance(fault, Fault)
    }

    assert set() == found - set(HTTP_CODES) - ENDS_AFTER_ACCEPTANCE


def test_every_timed_worker_and_every_group_has_its_series() -> None:
    assert {*TIMED, "checkpointer"} <= set(WORKERS)
    assert set(HANDLED.labels["group"]) == set(GROUPS)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (None, "none"),
        ("ok", "none"),
        ("security.prompt_injection.direct", "security"),
        ("privacy.pii.contact", "privacy"),
        (CUT_SHORT, CUT_SHORT),
        *((each.value, each.value) for each in Reason),
    ],
)
def test_the_reason_of_an_end_is_one_word(status: str | None, word: str) -> None:
    assert word == reason(status)
    assert word in FINISHED.labels["reason"]


def test_a_recogniser_from_outside_tells_of_no_failure_before() -> None:
    """SluiceGuardUnavailable is of growth: a series that appears at 1 never grew."""
    metrics = Metrics(CollectorRegistry())
    publisher = MemoryPublisher(MemoryLog((), SystemClock()))
    ObservedPublisher(publisher, metrics, ["redaction"])

    for mode in Failing:
        labels = {"guard": OTHER, "verdict": f"failed_{mode}"}
        found = metrics.registry.get_sample_value(GUARD_VERDICTS.name, labels)

        assert 0 == found


def test_what_guards_say_is_known() -> None:
    assert {"blocked", "strict", "failed_closed"} <= set(
        GUARD_VERDICTS.labels["verdict"]
    )
