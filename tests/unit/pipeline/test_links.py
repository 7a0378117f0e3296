"""Links: what a word shows of an address decides nothing but how fast it is read."""

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.links import Links

WHOLE = re.compile(
    r"(?:(?:\\?/){2}|www\.|(?:data:[a-z]+\\?/|mailto:|javascript:)"
    r"|(?<![a-z0-9.-])[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}\.[a-z]{2,24}"
    r"(?::[0-9]{1,5})?\\?[/?])\S*",
    re.IGNORECASE,
)
PIECES = st.sampled_from(
    [
        "//", r"\/\/", "www.", "WWW.", "data:", "data:text/", "mailto:", "javascript:",
        "a", "b.c", "evil.example", "/", "?", ":80", " ", "\n", "\t", "\u00a0", "-",
        ".", "é", "x" * 70, "İ", "w", "W", "now.", " www. ",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_link_runs_from_its_address_to_the_next_white_space(text: str) -> None:
    links = Links(text)

    for found in WHOLE.finditer(text):
        assert links.open_at(found.start())
        assert links.open_at(found.end() - 1)
        assert not links.open_at(found.end())
    linked = {at for found in WHOLE.finditer(text) for at in range(*found.span())}
    assert linked == {at for at in range(len(text)) if links.open_at(at)}
