"""The page says what the results say, and each target is told as met or missed."""

import json
from dataclasses import replace

import pytest

from evaluation import benign, disguises
from evaluation.__main__ import RESULTS
from evaluation.report import PAGE, filled
from evaluation.targets import Target, targets

KEPT = json.loads(RESULTS.read_text())


def test_the_tables_of_the_page_are_those_of_the_results() -> None:
    assert filled(PAGE.read_text(), KEPT) == PAGE.read_text()


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(LookupError):
        filled("nothing is marked here", KEPT)


def test_a_target_is_met_at_its_bound() -> None:
    least = Target("recall", measured=0.98, target=0.98)
    most = Target("ms", measured=50, target=50, most=True)

    assert least.met
    assert most.met
    assert not replace(least, measured=0.979).met
    assert not replace(most, measured=51).met


def test_the_results_hold_the_peer_of_the_same_run() -> None:
    assert "presidio-analyzer" in KEPT["machine"]
    assert all("presidio" in by for by in KEPT["sets"].values())
    assert any(each.peer for each in targets(KEPT))


def test_there_are_a_thousand_harmless_texts_of_our_own_and_all_differ() -> None:
    texts = [text for kind in benign.FRAMES for text in benign.texts(kind)]

    assert 1_000 <= len(set(texts)) == len(texts)


def test_a_disguised_value_is_labelled_where_it_stands() -> None:
    made = list(disguises.documents())

    assert made == list(disguises.documents())
    assert {"EMAIL", "CARD", "BANK", "GOV_ID", "PHONE"} == {
        span.data_class for each in made for span in each.spans
    }
    for each in made:
        [span] = each.spans
        frame = disguises.VALUES[span.data_class][1]
        before, after = frame.split("{}")
        assert each.text[: span.start] == before
        assert each.text[span.end :] == after
