"""Scoring, on documents small enough to count by hand."""

import pytest

from evaluation.documents import IGNORE, Document, Span
from evaluation.scoring import f_beta, figures, intervals, iou, macro, tally

ALL = {"EMAIL", "PHONE"}
TEXT = "x" * 100


def document(*spans: tuple[str, int, int]) -> Document:
    return Document(TEXT, tuple(Span(*each) for each in spans))


def spans(*told: tuple[str, int, int]) -> list[Span]:
    return [Span(*each) for each in told]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [((0, 10), (0, 10), 1.0), ((0, 10), (5, 15), 1 / 3), ((0, 5), (5, 9), 0.0)],
)
def test_overlap_is_measured_over_the_union(
    one: tuple[int, int], other: tuple[int, int], share: float
) -> None:
    assert share == pytest.approx(iou(Span("A", *one), Span("A", *other)))


def test_half_of_the_union_is_enough_and_less_is_not() -> None:
    half = tally(document(("EMAIL", 0, 10)), spans(("EMAIL", 0, 5)), ALL)
    less = tally(document(("EMAIL", 0, 10)), spans(("EMAIL", 0, 4)), ALL)

    assert (1, 0, 0) == half.row(ALL)
    assert (0, 1, 1) == less.row(ALL)


def test_another_class_is_no_match() -> None:
    counted = tally(document(("EMAIL", 0, 10)), spans(("PHONE", 0, 10)), ALL)

    assert (0, 0, 1) == counted.row({"EMAIL"})
    assert (0, 1, 0) == counted.row({"PHONE"})


def test_a_label_is_matched_once_and_by_the_closest() -> None:
    found = spans(("EMAIL", 0, 7), ("EMAIL", 0, 10))

    counted = tally(document(("EMAIL", 0, 10)), found, ALL)

    assert (1, 1, 0) == counted.row(ALL)


def test_what_lies_on_an_ignored_label_is_neither_right_nor_wrong() -> None:
    there = document((IGNORE, 0, 10))

    assert (0, 0, 0) == tally(there, spans(("EMAIL", 2, 8)), ALL).row(ALL)


def test_a_class_that_a_set_does_not_label_is_not_scored() -> None:
    counted = tally(document(("EMAIL", 0, 10)), spans(("CARD", 20, 30)), ALL)

    assert (0, 0, 1) == counted.row({*ALL, "CARD"})


def test_exact_spans_and_any_overlap_are_told_apart() -> None:
    labels = document(("EMAIL", 0, 10), ("EMAIL", 20, 30), ("PHONE", 40, 50))
    found = spans(("EMAIL", 0, 10), ("EMAIL", 29, 60))

    told = figures([tally(labels, found, ALL)], ALL)

    assert (0.3333, 0.6667, 3) == (told["exact"], told["overlap"], told["labels"])


def test_figures_are_micro_over_documents() -> None:
    right = tally(document(("EMAIL", 0, 9)), spans(("EMAIL", 0, 9)), ALL)
    wrong = tally(document(), spans(("EMAIL", 0, 9)), ALL)
    missed = tally(document(("PHONE", 0, 9)), [], ALL)

    told = figures([right, right, wrong, missed], ALL)

    assert [0.6667] * 3 == [told[key][0] for key in ("p", "r", "f1")]


def test_f2_leans_to_recall() -> None:
    assert 5 / 9 == pytest.approx(f_beta(1.0, 0.5))
    assert 5 / 6 == pytest.approx(f_beta(0.5, 1.0))
    assert 0.0 == f_beta(0.0, 0.0)


def test_macro_counts_each_class_the_same() -> None:
    rows = [
        {"p": [1.0], "r": [1.0], "f1": [1.0]},
        {"p": [0.5], "r": [0.0], "f1": [0.0]},
    ]

    assert {"p": 0.75, "r": 0.5, "f1": 0.5} == macro(rows)


def test_an_interval_holds_the_figure_and_is_the_same_each_time() -> None:
    rows = [(1, 0, 0)] * 30 + [(0, 1, 1)] * 10

    low, high = intervals(rows)[1]

    assert 0.55 < low < 0.75 < high < 0.92
    assert intervals(rows) == intervals(rows)


def test_what_is_always_right_has_no_width() -> None:
    assert [(1.0, 1.0)] * 3 == intervals([(1, 0, 0)] * 5)
    assert [(0.0, 0.0)] * 3 == intervals([])
