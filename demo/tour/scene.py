"""What the chapters of the tour share: the house, its clients, what was seen so far."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from openai import AsyncOpenAI
from rich.console import Console

from demo.launch import Access, Sluice
from demo.tour.checks import Checks
from demo.tour.clients import Answer
from demo.tour.clients import Sluice as Gateway
from demo.tour.show import Row
from demo.tour.stories import Story

ROOT: Final = Path(__file__).parents[2] / ".sluice"
EVIDENCE: Final = ROOT / "evidence"


@dataclass(slots=True, kw_only=True)
class Scene:
    """One installation, seen from outside.

    Attributes:
        rows: what happened to each request, oldest first.
        calls: how often the provider had been asked at the last look.
    """

    console: Console
    checks: Checks
    sluice: Sluice
    access: Access
    sdk: AsyncOpenAI
    gateway: Gateway
    rows: list[Row] = field(default_factory=list)
    calls: int = 0

    def heading(self, text: str) -> None:
        """A chapter begins."""
        self.console.print(f"\n[bold cyan]{text}[/]")

    def that(self, claim: str, true: bool) -> None:  # noqa: FBT001 - a claim's truth
        """One claim of the tour, and whether it held."""
        self.checks.that(claim, true)

    async def told(self, story: Story, answer: Answer) -> Answer:
        """Note what became of a request that was answered."""
        document = await self.gateway.ended(answer.request_id)
        saw = await self.seen()
        self.row(story, saw, answer.text or (answer.code or ""), document)
        return answer

    def row(
        self, story: Story, saw: str | None, got: str, document: dict[str, Any]
    ) -> None:
        """One more line of the table."""
        row = Row(
            title=story.title, sent=story.text, saw=saw, got=got, document=document
        )
        self.rows.append(row)
        self.console.print(f"  [bold]{story.title}[/]: {document['state']}")

    async def seen(self) -> str | None:
        """What the provider was sent since the last look; None: it was not asked."""
        url = self.access.stand_in + "/seen"
        async with self.gateway.session.get(url) as answer:
            found = await answer.json()
        asked, self.calls = found["calls"] > self.calls, found["calls"]
        return str(found["bodies"][-1]["messages"][-1]["content"]) if asked else None
