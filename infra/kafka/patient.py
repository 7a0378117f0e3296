"""A poll that ends with records.

After an empty poll FastStream's batch subscriber sleeps as long as it had waited. With
a long wait that delays what arrives meanwhile; with a short one ten idle subscribers
turn thousands of times a second. So here a poll is not empty: it goes on in slices, and
returns at once when something is there.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from faststream.kafka import KafkaBroker
from typing_extensions import override

from infra.kafka.consumer import Consumer


class PatientConsumer(Consumer):
    """Polls until there are records, or it is stopped.

    Each slice is a poll of the group: ``max_poll_interval_ms`` counts from the last.
    """

    @override
    async def getmany(self, *partitions: Any, **limits: Any) -> Any:
        """As aiokafka's, but never empty.

        Raises:
            ConsumerStoppedError: it was stopped meanwhile.
        """
        while True:
            if found := await super().getmany(*partitions, **limits):
                return found


class PatientBroker(KafkaBroker):
    """FastStream's broker whose subscribers are given patient consumers.

    Args:
        secured: aiokafka's own options, which theirs lead to.
    """

    def __init__(
        self, *servers: str, secured: Mapping[str, Any], **options: Any
    ) -> None:
        super().__init__(*servers, **options)
        self._secured = secured

    @override
    async def _connect(self) -> Any:
        await super()._connect()
        config = self.config.broker_config
        made: Any = config.builder
        config.builder = partial(PatientConsumer, **made.keywords, **self._secured)
        return config.builder
