"""The Grafana dashboard: ``python -m infra.observability.dashboard > dashboard.json``.

A panel is a title, a unit and expressions; where it stands follows from its order.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.families import (
    ACCEPTED,
    ANSWER_SECONDS,
    CHECKPOINT_AGE,
    COMMITS_REFUSED,
    DEAD_LETTERS,
    FINISHED,
    GUARD_VERDICTS,
    HANDLED,
    INCIDENTS,
    KEYSTORE_FAILURES,
    KEYSTORE_KEYS,
    KEYSTORE_SECONDS,
    LAG,
    LEDGER_LOGS,
    LEDGER_RECORDS,
    LOGS_BROKEN,
    OPEN_REQUESTS,
    OUTBOX,
    OUTBOX_AGE,
    REFUSED,
    RETRIES,
    STAGE_SECONDS,
    STOPPED,
    WAITING,
    WEBHOOK_ATTEMPTS,
    WORKER_IDLE,
    Declared,
)
from infra.health import ALIVE, READY

WIDTH: Final = 8
HEIGHT: Final = 8
ACROSS: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph.

    Attributes:
        unit: in Grafana's words, e.g. ``s`` or ``reqps``.
        queries: an expression, and what its lines are called.
    """

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]


def rate(declared: Declared[Any], *by: str) -> str:
    """So many a second, summed over all processes."""
    return f"sum by ({', '.join(by)}) (rate({declared.name}[$__rate_interval]))"


def quantile(share: float, declared: Declared[Any], *by: str) -> str:
    """Below it are so many of a histogram's observations."""
    inner = f"rate({declared.name}_bucket[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({', '.join((*by, 'le'))}) ({inner}))"


def both(declared: Declared[Any], *by: str) -> Sequence[tuple[str, str]]:
    """The median and the 95th percentile."""
    name = " ".join(f"{{{{{each}}}}}" for each in by)
    return [
        (quantile(share, declared, *by), f"p{share * 100:.0f} {name}".strip())
        for share in (0.5, 0.95)
    ]


def highest(declared: Declared[Any], *by: str) -> str:
    """The largest that any process tells."""
    return f"max by ({', '.join(by)}) ({declared.name})"


ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Requests",
        (
            Panel("Accepted", "reqps", [(rate(ACCEPTED, "way"), "{{way}}")]),
            Panel("Refused", "reqps", [(rate(REFUSED, "way", "code"), "{{code}}")]),
            Panel(
                "Ended",
                "reqps",
                [(rate(FINISHED, "outcome", "reason"), "{{outcome}} {{reason}}")],
            ),
            Panel("Answer", "s", both(ANSWER_SECONDS)),
            Panel("Open", "short", [(f"sum({OPEN_REQUESTS.name})", "waiting")]),
            Panel(
                "Guards",
                "reqps",
                [(rate(GUARD_VERDICTS, "guard", "verdict"), "{{guard}} {{verdict}}")],
            ),
        ),
    ),
    (
        "Delivery",
        (
            Panel("Lag", "short", [(f"sum by (group) ({LAG.name})", "{{group}}")]),
            Panel("Handled", "ops", [(rate(HANDLED, "group"), "{{group}}")]),
            Panel("From append to effects", "s", both(STAGE_SECONDS, "group")),
            Panel(
                "Dead letters",
                "ops",
                [(rate(DEAD_LETTERS, "group", "reason"), "{{group}} {{reason}}")],
            ),
            Panel(
                "Retries",
                "ops",
                [
                    (rate(RETRIES, "group", "error"), "{{group}} {{error}}"),
                    (rate(COMMITS_REFUSED, "group"), "{{group}} commit"),
                ],
            ),
            Panel(
                "Standing still",
                "short",
                [
                    (highest(WAITING, "group"), "{{group}} waiting"),
                    (highest(STOPPED, "group", "state"), "{{group}} {{state}}"),
                ],
            ),
            Panel(
                "Webhooks",
                "ops",
                [
                    (
                        rate(WEBHOOK_ATTEMPTS, "answer", "outcome"),
                        "{{answer}} {{outcome}}",
                    )
                ],
            ),
        ),
    ),
    (
        "Keystore and ledger",
        (
            Panel("Keystore", "s", both(KEYSTORE_SECONDS, "operation")),
            Panel(
                "Keys",
                "ops",
                [
                    (rate(KEYSTORE_KEYS, "operation"), "{{operation}}"),
                    (rate(KEYSTORE_FAILURES, "operation"), "{{operation}} failed"),
                ],
            ),
            Panel("Records", "short", [(highest(LEDGER_RECORDS), "records")]),
            Panel("Logs", "short", [(highest(LEDGER_LOGS), "logs")]),
            Panel("Checkpoint's age", "s", [(highest(CHECKPOINT_AGE), "age")]),
            Panel(
                "Incidents",
                "short",
                [
                    (f"sum(increase({INCIDENTS.name}[1h]))", "in an hour"),
                    (highest(LOGS_BROKEN), "logs that do not hold"),
                ],
            ),
        ),
    ),
    (
        "Processes",
        (
            Panel(
                "Alive and ready",
                "short",
                [(ALIVE, "{{instance}} alive"), (READY, "{{instance}} ready")],
            ),
            Panel(
                "Timed workers",
                "s",
                [(f"min by (worker) ({WORKER_IDLE.name})", "{{worker}}")],
            ),
            Panel(
                "Outbox",
                "short",
                [(highest(OUTBOX), "events"), (highest(OUTBOX_AGE), "oldest, s")],
            ),
            Panel(
                "CPU",
                "short",
                [
                    (
                        "rate(process_cpu_seconds_total[$__rate_interval])",
                        "{{instance}}",
                    )
                ],
            ),
            Panel(
                "Memory", "bytes", [("process_resident_memory_bytes", "{{instance}}")]
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "sluice",
        "title": "Sluice",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus"}]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    top, ids = 0, iter(range(1, 1000))
    for title, panels in ROWS:
        place = {"h": 1, "w": ACROSS, "x": 0, "y": top}
        yield {"id": next(ids), "type": "row", "title": title, "gridPos": place}
        for index, panel in enumerate(panels):
            line, column = divmod(index, ACROSS // WIDTH)
            yield _panel(next(ids), panel, column * WIDTH, top + 1 + line * HEIGHT)
        top += 1 + HEIGHT * -(-len(panels) // (ACROSS // WIDTH))


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for at, (expression, legend) in enumerate(panel.queries)
        ],
    }


def written() -> str:
    """The dashboard as it lies beside this module."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
