"""The composition root of the timed workers."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Final

from infra.families import CHECKED_UNTIL, GAUGES, INCIDENTS
from infra.kafka.accepted import KafkaAccepted
from infra.kafka.inbox import KafkaInbox
from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.partitions import PostgresKeyPartitions
from infra.log import Word
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.expired import PostgresExpired
from infra.postgres.gauges import count
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.outbox import Outbox
from infra.postgres.retention import PostgresPurges
from infra.postgres.sweep import PostgresSweep
from infra.resources import Resources, keeper_pool, open_resources
from infra.settings import Settings
from infra.signer.receipts import RECEIPTS, stated
from pipeline.keystore import TRANSIENT, Partition
from producers.completeness import CompletenessWorker
from producers.contentpass import ContentPass
from producers.expired import Expired
from producers.expiry import Expiry
from producers.inbox import OldInboxKeys
from producers.incidents import Incidents
from producers.process import loop_of, looping, stopping
from producers.replay import Replay
from producers.sweeper import Sweeper
from producers.timed import Timed
from producers.webhooks import DueWebhooks
from schemas.ids import TenantId

DAY_S: Final = 86_400.0

Made = Callable[[AsyncExitStack, Resources], Awaitable[Timed]]
"""Makes one worker; what it opens for itself alone is closed with the process."""


async def run_timed(settings: Settings, names: Sequence[str]) -> None:
    """Run timed workers in one process."""
    stop = stopping()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_resources(settings, "+".join(names))
        )
        loops = [loop_of(opened, await WORKERS[name](stack, opened)) for name in names]
        publisher = opened.publisher
        port = await stack.enter_async_context(
            looping(settings, loops, opened.metrics, lambda: publisher.alive)
        )
        opened.log.info("started", port=port)
        await stop.wait()
        opened.log.info("stopped")


async def work_once(settings: Settings, names: Sequence[str]) -> None:
    """Let each worker do all that is due now, one after the other, and end.

    Raises:
        SluiceError: a round failed; those named behind it had none.
    """
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_resources(settings, "+".join(names))
        )
        for name in names:
            timed = await WORKERS[name](stack, opened)
            while await timed.job():
                pass
            opened.log.info("rounds_ended_well", worker=timed.name)


async def _outbox(_: AsyncExitStack, opened: Resources) -> Timed:
    outbox = Outbox(pool=opened.pool, publisher=opened.publisher)
    return Timed(name=Word("outbox"), job=outbox.round, every_s=1.0, alive_within_s=60)


async def _sweeper(_: AsyncExitStack, opened: Resources) -> Timed:
    worker = Sweeper(
        sweep=PostgresSweep(opened.pool),
        keystore=opened.keystore,
        publisher=opened.publisher,
        clock=opened.clock,
    )
    return Timed(name=Word("sweeper"), job=worker.round, every_s=15, alive_within_s=300)


def _due_webhooks(opened: Resources) -> DueWebhooks:
    return DueWebhooks(
        deliveries=PostgresDeliveries(pool=opened.pool),
        publisher=opened.publisher,
        clock=opened.clock,
    )


async def _webhooks(_: AsyncExitStack, opened: Resources) -> Timed:
    """Brings due deliveries back to their topic."""
    job = _due_webhooks(opened).round
    return Timed(name=Word("webhooks"), job=job, every_s=1.0, alive_within_s=60)


async def _old_webhooks(_: AsyncExitStack, opened: Resources) -> Timed:
    """Forgets messages that are old enough."""
    job = _due_webhooks(opened).forget
    return Timed(
        name=Word("old_webhooks"), job=job, every_s=DAY_S, alive_within_s=2 * DAY_S
    )


async def _expiry(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Makes and drops days of keys; the keystore's keeper alone may."""
    worker = await _days(stack, opened)
    return Timed(
        name=Word("expiry"), job=worker.round, every_s=3600, alive_within_s=3 * 3600
    )


async def _rewrite(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Takes destroyed keys' bytes out of the keystore's files."""
    worker = await _days(stack, opened)
    every = opened.settings.keys.rewrite_every_s
    return Timed(
        name=Word("rewrite"),
        job=worker.rewrite,
        every_s=every,
        alive_within_s=max(2 * every, 300),
    )


async def _expired_rows(_: AsyncExitStack, opened: Resources) -> Timed:
    """Deletes rows whose keys have expired."""
    worker = Expired(
        rows=PostgresExpired(opened.pool),
        tenants=PostgresLogs(pool=opened.pool, role="sluice_tenant").tenants,
        clock=opened.clock,
    )
    return Timed(
        name=Word("expired_rows"),
        job=worker.round,
        every_s=3600,
        alive_within_s=3 * 3600,
    )


async def _days(stack: AsyncExitStack, opened: Resources) -> Expiry:
    sweep = PostgresSweep(opened.pool)

    async def users(partition: Partition) -> Collection[TenantId]:
        """Transient keys went with their requests: who had any that day."""
        if partition.retention_class is not TRANSIENT:
            return ()
        begin = datetime.combine(partition.day, time(), UTC)
        return await sweep.transient(begin, partition.drops_at)

    return Expiry(
        users=users,
        partitions=PostgresKeyPartitions(await keeper_pool(stack, opened.settings)),
        publisher=opened.publisher,
        clock=opened.clock,
    )


def _alarm(opened: Resources) -> Callable[[int], None]:
    """The alarm; its series is there at 0: one that appears at 1 never rose."""
    opened.metrics.of(INCIDENTS)
    return opened.incidents


async def _completeness(_: AsyncExitStack, opened: Resources) -> Timed:
    """Counts what was accepted against the ledger; a difference is an alarm."""
    worker = CompletenessWorker(
        accepted=KafkaAccepted(opened.clients),
        ledger=PostgresLedger(
            pool=opened.pool,
            domain=opened.settings.ledger.domain,
            entropy=opened.entropy,
        ),
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        deliveries=PostgresDeliveries(pool=opened.pool),
        clock=opened.clock,
        alarm=_alarm(opened),
        tell=opened.metrics.of(CHECKED_UNTIL).alone.set,
        settled=timedelta(seconds=opened.settings.ledger.settled_s),
    )
    return Timed(
        name=Word("completeness"), job=worker.round, every_s=60, alive_within_s=3600
    )


async def _inbox_keys(_: AsyncExitStack, opened: Resources) -> Timed:
    """Destroys keys of letters once admission has handled all of them."""
    worker = OldInboxKeys(
        keys=opened.inbox, progress=KafkaInbox(opened.clients), clock=opened.clock
    )
    every = min(60.0, opened.inbox.period.total_seconds() / 4)
    return Timed(
        name=Word("inbox_keys"), job=worker.round, every_s=every, alive_within_s=3600
    )


async def _content_pass(_: AsyncExitStack, opened: Resources) -> Timed:
    """Holds keys that are there, and that are not, against the ledger."""
    worker = ContentPass(
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        ledger=PostgresLedger(
            pool=opened.pool,
            domain=opened.settings.ledger.domain,
            entropy=opened.entropy,
        ),
        fetch=opened.keystore.fetch,
        clock=opened.clock,
        alarm=_alarm(opened),
    )
    return Timed(
        name=Word("content_pass"),
        job=worker.round,
        every_s=DAY_S / 4,
        alive_within_s=DAY_S,
    )


async def _incidents(_: AsyncExitStack, opened: Resources) -> Timed:
    """Tells subscribers what the passes over the ledger found."""
    worker = Incidents(
        logs=PostgresLogs(pool=opened.pool, role="sluice_tenant"),
        deliveries=PostgresDeliveries(pool=opened.pool),
        clock=opened.clock,
    )
    return Timed(
        name=Word("incidents"), job=worker.round, every_s=300, alive_within_s=3600
    )


async def _gauges(_: AsyncExitStack, opened: Resources) -> Timed:
    """Counts what no process sees alone: the outbox, the logs."""
    events, age, records, logs = (opened.metrics.of(each).alone for each in GAUGES)

    async def look() -> bool:
        found = await count(opened.pool)
        events.set(found.events)
        age.set(found.oldest_s)
        records.set(found.records)
        logs.set(found.logs)
        return False

    return Timed(name=Word("gauges"), job=look, every_s=15, alive_within_s=300)


async def _replay(stack: AsyncExitStack, opened: Resources) -> Timed:
    """Destroys again what a restored keystore brought back."""
    keeper = PostgresKeyKeeper(
        pool=await keeper_pool(stack, opened.settings),
        kms=opened.kms,
        entropy=opened.entropy,
    )
    worker = Replay(
        keeper=keeper,
        purges=PostgresPurges(opened.pool),
        stated=partial(stated, opened.settings.keys.own / RECEIPTS),
        tenants=PostgresLogs(pool=opened.pool, role="sluice_tenant").tenants,
        clock=opened.clock,
    )
    return Timed(
        name=Word("replay"), job=worker.round, every_s=3600, alive_within_s=3 * 3600
    )


WORKERS: Final[Mapping[str, Made]] = {
    "outbox": _outbox,
    "sweeper": _sweeper,
    "expiry": _expiry,
    "rewrite": _rewrite,
    "replay": _replay,
    "webhooks": _webhooks,
    "old_webhooks": _old_webhooks,
    "completeness": _completeness,
    "content_pass": _content_pass,
    "incidents": _incidents,
    "gauges": _gauges,
    "inbox_keys": _inbox_keys,
    "expired_rows": _expired_rows,
}
TIMED: Final = tuple(WORKERS)
