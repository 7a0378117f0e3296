"""What happened to each request, as a table."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request of the tour.

    Attributes:
        saw: what the provider was sent; None: it was never asked.
        took_s: from a kill to its answer; None: nobody was killed.
        document: the request's document, once it has ended.
    """

    title: str
    sent: str
    saw: str | None
    got: str
    document: dict[str, Any]
    took_s: float | None = None


def table(rows: list[Row], ends: dict[str, int]) -> Table:
    """All of them, oldest first; ``ends``: ledger seq of each request's end."""
    made = Table(title="What happened", show_lines=True)
    for name in (
        "request",
        "sent",
        "verdict",
        "the provider saw",
        "came back",
        "ledger seq",
    ):
        made.add_column(name, overflow="fold")
    for row in rows:
        verdict = row.document["state"]
        if row.document.get("reason"):
            verdict += "\n" + row.document["reason"]
        if row.took_s is not None:
            verdict += f"\nrecovered in {row.took_s:.1f} s"
        made.add_row(
            row.title,
            row.sent,
            verdict,
            row.saw or "[dim]nothing[/]",
            row.got,
            str(ends.get(row.document["id"], "-")),
        )
    return made


def live(console: Console, rows: list[Row]) -> Live:
    """The table as it grows, below what is printed; a terminal alone shows it."""
    return Live(get_renderable=lambda: table(rows, {}), console=console, transient=True)
