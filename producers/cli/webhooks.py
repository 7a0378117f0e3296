"""``sluice webhook``: what became of deliveries, and sending them once more."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

import click
from typing_extensions import override

from infra.postgres.admin import Admin
from infra.postgres.repeats import PostgresRepeats
from pipeline.repeats import STATES, Delivery, State, Wanted
from producers.cli.desk import all_of, at_the_desk, expected, of_tenant
from schemas.ids import EndpointId, TenantId

PAGE: Final = 50
MAX_PAGE: Final = 1_000
MESSAGE: Final = re.compile(r"(?:msg|evt)_([0-9A-HJKMNP-TV-Z]{26})")
KNOWN: Final = "the id of a delivery, as `sluice webhook deliveries` shows it"
ABSENT: Final = "there is none of that name: it was deleted, or never was"


class Name(click.ParamType[str]):
    """A delivery's id; or a message's, also as the event's id has it."""

    name = "id"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if found := MESSAGE.fullmatch(str(value)):
            return f"msg_{found[1]}"
        try:
            return str(UUID(str(value)))
        except ValueError:
            self.fail("expected a delivery's id, a webhook-id or evt_…", param, ctx)


@click.group()
def webhook() -> None:
    """Webhooks: what became of deliveries, and sending them once more."""


@webhook.command()
@of_tenant
@click.option("--endpoint", type=click.UUID, help="To this endpoint alone.")
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    help="In this state; may be given several times.",
)
@click.option("--after", type=click.UUID, help="Behind this one: the last page's last.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_PAGE),
    default=PAGE,
    show_default=True,
    help="Deliveries on a page.",
)
@at_the_desk
async def deliveries(
    admin: Admin,
    tenant: TenantId,
    *,
    endpoint: UUID | None,
    states: tuple[State, ...],
    after: UUID | None,
    limit: int,
) -> Sequence[Mapping[str, Any]]:
    """What became of a tenant's deliveries, newest first; never what was sent.

    Each is kept for 30 days. `last` is what the last attempt was answered, or why there
    was no answer; `next_at` is when the next one is made at the latest.
    """
    wanted = Wanted(
        endpoint=None if endpoint is None else EndpointId(str(endpoint)),
        states=states or STATES,
        after=None if after is None else str(after),
        limit=limit + 1,
    )
    found = await PostgresRepeats(admin.pool, admin.teller).page(tenant, wanted)
    if found is None:
        raise expected(f"--after: {KNOWN}")
    if len(found) > limit:
        told = f"there are more: --after {found[limit - 1].id}"
        # Behind the page, which is shown once this has returned.
        click.get_current_context().call_on_close(partial(click.echo, told, err=True))
    return await all_of(admin, tenant, [_row(each) for each in found[:limit]])


@webhook.command()
@of_tenant
@click.argument("ids", type=Name(), nargs=-1, required=True)
@click.option("--endpoint", type=click.UUID, help="To this endpoint alone.")
@at_the_desk
async def retry(
    admin: Admin, tenant: TenantId, ids: tuple[str, ...], endpoint: UUID | None
) -> Sequence[Mapping[str, Any]]:
    """Send deliveries once more that failed for good, or wait.

    IDS are deliveries' ids, or a webhook-id (msg_…, or evt_… as in the body), which is
    each delivery of that event. The webhook-id stays the same, so subscribers tell a
    repeat. Each is recorded in the tenant's ledger.
    """
    desk = PostgresRepeats(admin.pool, admin.teller)
    of = None if endpoint is None else EndpointId(str(endpoint))
    rows: list[Mapping[str, Any]] = []
    for name in dict.fromkeys(ids):
        found = await desk.retry(tenant, name, of, admin.clock.now())
        rows += [
            {"id": each.delivery, "endpoint": each.endpoint_id, "became": each.became}
            for each in found
        ]
        if not found:
            rows.append({"id": name, "endpoint": of, "became": ABSENT})
    if all(row["became"] == ABSENT for row in rows):
        raise expected(f"{KNOWN}, or that of an event")
    return rows


def _row(each: Delivery) -> Mapping[str, Any]:
    return {
        "id": each.id,
        "webhook_id": each.message_id,
        "type": each.kind,
        "endpoint": each.endpoint_id,
        "at": each.created_at,
        "state": each.state,
        "attempts": each.attempts,
        "last": each.last,
        "last_at": each.last_at,
        "next_at": each.next_at,
    }
