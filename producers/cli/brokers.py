"""The brokers of an operator's command."""

import click

from infra.kafka.clients import KafkaClients
from infra.kafka.security import secured
from infra.settings import load_kafka
from pipeline.errors import Misconfigured


def brokers(bootstrap: str) -> KafkaClients:
    """Clients of these; TLS and who asks are the environment's, as for a process.

    Raises:
        UsageError: the environment says what cannot be.
    """
    try:
        return KafkaClients(bootstrap, security=secured(load_kafka()))
    except (Misconfigured, ValueError) as error:
        raise click.UsageError(str(error)) from None
