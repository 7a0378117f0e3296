"""Alerts and dashboard name only what exists; each alert says what to do."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.families import ALL
from infra.health import ALIVE, READY
from infra.metrics import OTHER
from infra.observability import dashboard

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "observability"
RUNBOOK = "docs/operations.md"
OF_THE_LIBRARY = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
DECLARED = {each.name: each for each in ALL}
KNOWN = {
    *DECLARED,
    *(f"{name}_{part}" for name in DECLARED for part in ("bucket", "count", "sum")),
    ALIVE,
    READY,
    *OF_THE_LIBRARY,
}
NAME = re.compile(r"\b(?:sluice|process)_[a-z_]+\b")
SELECTED = re.compile(r"\b(sluice_[a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r'([a-z]+)(=~|!~|!=|=)"([^"]*)"')


def rules() -> list[Mapping[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in dashboard.dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_expressions_name_only_metrics_that_exist() -> None:
    named = {name for text in expressions() for name in NAME.findall(text)}

    assert set() == named - KNOWN


def test_selectors_name_only_labels_and_values_that_exist() -> None:
    for text in expressions():
        for name, selectors in SELECTED.findall(text):
            declared = DECLARED[re.sub(r"_bucket$", "", name)]
            for label, operator, value in LABEL.findall(selectors):
                values = {*declared.labels[label], OTHER}
                pattern = value if "~" in operator else re.escape(value)

                assert any(re.fullmatch(pattern, each) for each in values), text


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_how_grave_it_is_and_what_to_do(
    rule: Mapping[str, Any],
) -> None:
    name = rule["alert"]
    section = (ROOT / RUNBOOK).read_text().partition(f"\n### {name}\n")[2]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert f"{RUNBOOK}#{name.lower()}" == rule["annotations"]["runbook"]
    assert len(section.partition("\n#")[0].strip()) > 20


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }

    assert fired == {rule["alert"] for rule in rules()}


def test_the_dashboard_that_lies_there_is_the_one_that_is_written() -> None:
    lies = (FOLDER / "dashboard.json").read_text()

    assert dashboard.written() == lies
    ids = [panel["id"] for panel in json.loads(lies)["panels"]]
    assert len(ids) == len(set(ids))


def test_every_metric_is_looked_at_by_a_panel_or_an_alert() -> None:
    text = "\n".join(expressions())
    unseen = {name for name in DECLARED if name not in text}

    assert {"sluice_batch_seconds"} >= unseen
