"""What is kept sealed of a webhook endpoint: where it is, and what signs for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.ports.keys import Secrets
from pipeline.ports.webhooks import SealedSecret
from pipeline.webhooks import Secret
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.ids import EndpointId, TenantId


@dataclass(frozen=True, slots=True)
class EndpointSecrets:
    """Seals for one row of one tenant, and opens what is of that row.

    All raise ``KeyDestroyed`` where the tenant was terminated; opening also
    ``IntegrityError`` for what was sealed for another row, or was bent.
    """

    secrets: Secrets

    async def seal_url(self, tenant: TenantId, endpoint: EndpointId, url: str) -> bytes:
        """The address, as the endpoint's row keeps it."""
        return await self.secrets.seal(_url(tenant, endpoint), url.encode())

    async def url(self, tenant: TenantId, endpoint: EndpointId, sealed: bytes) -> str:
        """The address."""
        return (await self.secrets.open(_url(tenant, endpoint), sealed)).decode()

    async def seal(self, tenant: TenantId, row: str, secret: Secret) -> SealedSecret:
        """A signing secret, as its row keeps it."""
        sealed = await self.secrets.seal(_key(tenant, row), secret.key)
        return SealedSecret(row, sealed, secret.hint)

    async def opened(
        self, tenant: TenantId, kept: Iterable[SealedSecret]
    ) -> list[Secret]:
        """The signing secrets, in the same order."""
        return [
            Secret(
                await self.secrets.open(_key(tenant, each.id), each.sealed),
                each.not_after,
            )
            for each in kept
        ]


def _url(tenant: TenantId, endpoint: EndpointId) -> SecretRef:
    return SecretRef(tenant, SecretPurpose.WEBHOOK_URL, endpoint)


def _key(tenant: TenantId, row: str) -> SecretRef:
    return SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, row)
