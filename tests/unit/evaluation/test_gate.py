"""The gate: more than a point lost fails and writes nothing; a gain does not."""

import json
from pathlib import Path
from typing import Any

import pytest

import evaluation.__main__ as run
from evaluation import documents, report
from evaluation.gate import worse


def results(f1: float = 0.9, seen: float = 0.5, **more: float) -> dict[str, Any]:
    classes = {name: {"f1": [value]} for name, value in {"EMAIL": f1, **more}.items()}
    return {
        "sets": {"made_up": {"sluice": {"classes": classes}}},
        "injection": {"made_up": {"seen": seen, "at_5": 0.8}, "own": {"false": 0.0}},
    }


@pytest.mark.parametrize("now", [results(), results(0.89), results(0.95, 0.9)])
def test_a_point_less_is_no_loss(now: dict[str, Any]) -> None:
    assert [] == list(worse(results(), now))


def test_a_class_that_lost_more_than_a_point_is_told() -> None:
    told = list(worse(results(CARD=0.8), results(0.888, CARD=0.8)))

    assert ["made_up EMAIL, F1: 0.900 before, 0.888 now"] == told


def test_a_class_or_a_set_that_is_gone_is_lost() -> None:
    gone = {"sets": {}, "injection": results()["injection"]}

    assert 1 == len(list(worse(results(CARD=0.8), results())))
    assert 1 == len(list(worse(results(), gone)))


def test_a_source_of_attacks_that_is_seen_less_is_told() -> None:
    told = list(worse(results(), results(seen=0.48)))

    assert ["made_up, seen: 0.500 before, 0.480 now"] == told


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(report, "tables", lambda now: {"sets": f"{now['sets']}"})
    kept, page = tmp_path / "results.json", tmp_path / "page.md"
    kept.write_text(json.dumps(results()))
    page.write_text("<!-- sets -->\n<!-- /sets -->")
    return kept, page


def test_nothing_is_written_where_a_class_got_worse(files: tuple[Path, Path]) -> None:
    before = [each.read_text() for each in files]

    assert 1 == run.settled(*files, results(0.8), accept=False)
    assert before == [each.read_text() for each in files]


def test_what_is_accepted_is_written(files: tuple[Path, Path]) -> None:
    kept, page = files

    assert 0 == run.settled(kept, page, results(0.8), accept=True)
    assert results(0.8) == json.loads(kept.read_text())
    assert "0.8" in page.read_text()


def test_without_the_peer_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(documents, "DATA", tmp_path)
    monkeypatch.setattr(run, "detectors", dict)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")

    assert 1 == run.main()
    assert not (tmp_path / "results.json").exists()
