"""The tables of the names model against the features that it was trained on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.people import gated, listed, words
from pipeline.detection.weights import Tables, features

EXACT = 1e-9
LISTS = listed(frozenset({"anna", "will", "maría"}), frozenset({"will", "berg", "王"}))
WORDS = ("Anna", "anna", "WILL", "Berg", "J", "de", "王", "María", "of", "x2", "'s")
GAPS = (" ", " ", "\n", ", ", ". ", "-", "12:30", "\u00a0", "<", "é")
TEXTS = st.lists(st.sampled_from((*WORDS, *GAPS)), max_size=30).map("".join)


@settings(max_examples=40)  # each lays out all tables
@given(text=TEXTS, salt=st.integers(1, 97))
def test_a_word_weighs_what_its_features_weigh(text: str, salt: int) -> None:
    found = words(text, LISTS)
    seen = [[*features(found, i)] for i in range(len(found.codes))]
    names = sorted({name for each in seen for name in each})
    weights = {name: (k * salt % 401 - 200) / 100 for k, name in enumerate(names)}
    tables = Tables(weights)

    assert [round(100 * sum(weights[name] for name in each)) for each in seen] == [
        round(100 * tables.score(found, i)) for i in range(len(seen))
    ]
    for i in range(len(seen)):
        told = sum(weight for _, weight in tables.terms(found, i))
        assert abs(told - tables.score(found, i)) < EXACT


@given(text=TEXTS)
def test_words_and_gaps_are_the_text(text: str) -> None:
    found = words(text, LISTS)
    ends = zip(found.gaps, found.starts, found.ends, strict=False)

    assert text == "".join(gap + text[s:e] for gap, s, e in ends) + found.gaps[-1]


@given(text=st.text(st.characters(codec="ascii"), max_size=60))
def test_a_letter_beyond_ascii_changes_no_word_before_it(text: str) -> None:
    """A text of ASCII alone is read by a pattern of its own."""
    plain, mixed = words(text, LISTS), words(text + " é", LISTS)

    assert [*zip(plain.starts, plain.ends, strict=True)] == [
        *zip(mixed.starts, mixed.ends, strict=True)
    ][:-1]


def test_a_small_word_that_no_list_knows_is_passed_over() -> None:
    found = words("the berg will of Anna", LISTS)

    assert [1, 2, 4] == [i for i in range(5) if gated(found, i)]
