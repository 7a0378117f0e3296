"""``sluice completeness``."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import click

from infra.kafka.accepted import KafkaAccepted
from infra.kafka.clients import KafkaClients
from infra.postgres.logs import PostgresLogs
from infra.system import SystemClock
from pipeline.completeness import Completeness, reconcile
from pipeline.ports.accepted import Span
from producers.cli.books import pool_of
from producers.cli.desk import at_kafka, expected
from producers.cli.words import YEAR_S
from schemas.ids import RequestId, TenantId

SETTLED_S: Final = 900
Counted = dict[TenantId, Completeness]


@click.command()
@click.option("--database-url", envvar="SLUICE_DATABASE__ADMIN_URL", required=True)
@click.option(
    "--settled-s",
    type=click.IntRange(0, YEAR_S),
    default=SETTLED_S,
    show_default=True,
    help="Only requests accepted so many seconds ago: younger ones may be open.",
)
@at_kafka
async def completeness(
    clients: KafkaClients, database_url: str, settled_s: int
) -> Sequence[Mapping[str, Any]]:
    """Count what Kafka still holds of accepted requests against the ledger, now.

    Ends with 1 where a request is not recorded, or did not end exactly once.
    """
    before = SystemClock().now() - timedelta(seconds=settled_s)
    asked: dict[TenantId, list[RequestId]] = {}
    async for span in _spans(KafkaAccepted(clients), before):
        for tenant, request in span.requests:
            asked.setdefault(tenant, []).append(request)
    async with pool_of("--database-url", database_url, size=1) as pool:
        logs = PostgresLogs(pool=pool, role="sluice_tenant")
        counted = {
            tenant: reconcile(ids, await logs.actions(tenant, ids))
            for tenant, ids in asked.items()
        }
    missing = [*_missing(counted)]
    if missing:
        raise expected("one end of each accepted request:\n  " + "\n  ".join(missing))
    return [
        {"tenant": tenant, "accepted": found.accepted, "ended": found.accepted}
        for tenant, found in sorted(counted.items())
    ]


async def _spans(accepted: KafkaAccepted, before: datetime) -> AsyncIterator[Span]:
    begin: Mapping[int, int] = {}
    while True:
        span = await accepted.read(begin, before)
        if span.ends == span.begins:
            return
        yield span
        begin = span.ends


def _missing(counted: Counted) -> Iterable[str]:
    for tenant, found in sorted(counted.items()):
        for word in ("unrecorded", "unended", "twice"):
            ids = getattr(found, word)
            if ids:
                yield f"tenant {tenant}, {word}: {', '.join(ids)}"
