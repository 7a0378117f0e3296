"""The operator's desk in this process: a dozen commands without a dozen processes."""

from collections.abc import Sequence
from pathlib import Path

from demo.launch import STAND_IN, Access, Sluice
from infra.postgres.admin import Admin
from producers.cli.desk import Desk
from schemas.policies import PolicyDocument
from schemas.requests import Route


def desk(sluice: Sluice) -> Desk:
    """Where the operator of this installation works."""
    told = sluice.operator()
    return Desk(
        database_url=told["SLUICE_DATABASE__ADMIN_URL"],
        keystore_url=told["SLUICE_DATABASE__KEYSTORE_ADMIN_URL"],
        keys=Path(told["SLUICE_KEYS__DIRECTORY"]),
        root=Path(told["SLUICE_KEYS__ROOT"]),
        kafka=told["SLUICE_KAFKA__BOOTSTRAP"],
    )


async def onboarded(
    sluice: Sluice,
    admin: Admin,
    name: str,
    models: Sequence[str],
    policy: PolicyDocument | None = None,
) -> Access:
    """As ``Sluice.onboard``, with a policy where that is not the default."""
    tenant = await admin.create_tenant(name)
    for model in models:
        route = Route(provider=STAND_IN, model=model)
        await admin.set_route(tenant, "live", model, route)
    if policy is not None:
        await admin.set_policy(tenant, policy)
    key = await admin.create_key(tenant, "live", "tests")
    client = await admin.create_client(tenant, "live", "tests")
    return Access(
        tenant_id=tenant,
        gateway=f"http://127.0.0.1:{sluice.port('gateway')}",
        stand_in=f"http://127.0.0.1:{sluice.port('stand_in')}",
        kafka=sluice.stack.kafka_bootstrap,
        api_key=key.secret,
        client_id=client.id,
        client_secret=client.secret,
        urls=sluice.urls,
    )
