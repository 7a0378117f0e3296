"""The tour's live table: it grows on a terminal, and is silent where there is none."""

from io import StringIO

import pytest
from rich.console import Console

from demo.tour.show import Row, live

DOCUMENT = {"id": "r1", "state": "completed"}
ROW = Row(title="A clean one", sent="Hi", saw="Hi", got="Hello", document=DOCUMENT)


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_a_row_shows_while_the_tour_goes_on(*, terminal: bool, shown: bool) -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    rows = list[Row]()
    with live(console, rows) as growing:
        before = out.getvalue()
        rows.append(ROW)
        growing.refresh()
        during = out.getvalue()

    assert "A clean one" not in before
    assert shown == ("A clean one" in during)
