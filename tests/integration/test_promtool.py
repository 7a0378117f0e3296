"""Alert rules and dashboard, judged by Prometheus' own tool."""

import subprocess
from pathlib import Path

import pytest
import yaml

from infra.observability import dashboard
from tests.support.promtool import promtool

pytestmark = pytest.mark.integration
FOLDER = Path(dashboard.__file__).parent
ALERTS = FOLDER / "alerts.yml"
TESTS = FOLDER / "alerts_test.yml"


@pytest.fixture(scope="module")
def tool() -> Path:
    return promtool()


def run(tool: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [tool, *words], capture_output=True, text=True, check=False, cwd=FOLDER
    )
    return done.returncode, done.stdout + done.stderr


def test_the_rules_are_rules(tool: Path) -> None:
    code, told = run(tool, "check", "rules", str(ALERTS))

    assert 0 == code, told


def test_each_fires_where_it_should_and_none_where_all_is_well(tool: Path) -> None:
    code, told = run(tool, "test", "rules", str(TESTS))

    assert 0 == code, told


@pytest.mark.parametrize(
    ("good", "bent"),
    [
        ("checkpoint_age_seconds > 900", "checkpoint_age_seconds > 9000"),
        ("oldest_seconds > 300", "oldest_seconds > 0"),
        ('state="halted"}) > 0', 'state="held"}) > 0'),
    ],
)
def test_a_rule_that_is_bent_is_found(
    tool: Path, tmp_path: Path, good: str, bent: str
) -> None:
    text = ALERTS.read_text()
    assert good in text
    (tmp_path / ALERTS.name).write_text(text.replace(good, bent))
    (tmp_path / TESTS.name).write_text(TESTS.read_text())

    code, _ = run(tool, "test", "rules", str(tmp_path / TESTS.name))

    assert 1 == code


def test_every_expression_of_the_dashboard_is_one(tool: Path, tmp_path: Path) -> None:
    expressions = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard.dashboard()["panels"]
        for target in panel.get("targets", ())
    ]
    rules = [
        {"record": f"panel:{at}", "expr": expression}
        for at, expression in enumerate(expressions)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    code, told = run(tool, "check", "rules", str(path))

    assert 0 == code, told
