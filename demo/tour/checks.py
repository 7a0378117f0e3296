"""What the tour claims, and whether it was true."""

from dataclasses import dataclass, field

from rich.console import Console


@dataclass(slots=True)
class Checks:
    """Claims in the order in which they were made."""

    console: Console
    failed: list[str] = field(default_factory=list)
    count: int = 0

    def that(self, claim: str, true: bool) -> None:  # noqa: FBT001 - a claim's truth
        """Say whether ``claim`` held, and remember it if it did not."""
        self.count += 1
        mark = "[green]✓[/]" if true else "[bold red]✗[/]"
        self.console.print(f"  {mark} {claim}")
        if not true:
            self.failed.append(claim)
