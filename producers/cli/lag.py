"""``sluice lag``: how far each group is behind, and for how long.

Exit codes: 0; 1 where a group has more than ``--over`` records to do; 3 Kafka is away.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from infra.kafka.lags import Lag, Lags
from infra.system import SystemClock
from pipeline.errors import RetryableError
from producers.cli.brokers import brokers
from producers.cli.desk import AWAY, kafka
from producers.cli.words import Number
from schemas.topics import TOPICS

BEHIND = 1


@click.command()
@kafka
@click.option(
    "--watch",
    "every_s",
    type=Number(min=0.1),
    is_flag=False,
    flag_value=2.0,
    help="Look again every so many seconds (2), until a group is over, or Ctrl-C.",
)
@click.option(
    "--over",
    type=click.IntRange(min=0),
    help="Exit with 1 where a group has more records than this to do.",
)
@click.option("--all", "every", is_flag=True, help="Partitions without lag too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a look.")
def lag(
    kafka: str, every_s: float | None, over: int | None, *, every: bool, as_json: bool
) -> None:
    """Committed, end, lag and oldest waiting age, by group, topic and partition."""
    try:
        over_it = asyncio.run(
            _watch(kafka, every_s, over, every=every, as_json=as_json)
        )
    except RetryableError as error:
        click.echo(f"not now: {error}", err=True)
        sys.exit(AWAY)
    except KeyboardInterrupt:
        return
    sys.exit(BEHIND if over_it else 0)


async def _watch(
    bootstrap: str,
    every_s: float | None,
    over: int | None,
    *,
    every: bool,
    as_json: bool,
) -> bool:
    """Look until there is a reason to stop; is a group over it?"""
    clock = SystemClock()
    lags = Lags(clients=brokers(bootstrap), clock=clock)
    while True:
        found = await lags.of(TOPICS)
        _show(found, every=every, as_json=as_json)
        if over is not None and is_over(found, over):
            return True
        if every_s is None:
            return False
        await clock.sleep(every_s)


def is_over(found: Sequence[Lag], over: int) -> bool:
    """Has a group more than ``over`` records to do, in all its partitions?"""
    of_group: Counter[str] = Counter()
    for each in found:
        of_group[each.group] += each.lag
    return any(records > over for records in of_group.values())


def _show(found: Sequence[Lag], *, every: bool, as_json: bool) -> None:
    shown = [each for each in found if every or each.lag]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in shown]))
        return
    names = ("group", "topic", "partition", "committed", "end", "lag", "oldest")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for each in shown:
        table.add_row(
            each.group,
            each.topic,
            str(each.partition),
            "-" if each.committed is None else str(each.committed),
            str(each.end),
            str(each.lag),
            "-" if each.oldest_s is None else f"{each.oldest_s:.1f} s",
        )
    total = sum(each.lag for each in found)
    Console().print(table if shown else "no group is behind")
    if shown:
        click.echo(f"{total} records to do")
