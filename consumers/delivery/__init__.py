"""From a record to its effects: at least once, durable before committed.

A record reaches its handler at least once; a bad one costs one dead letter and never
a partition. Consumers know nothing of it, and nothing else subscribes. The ways in:
:func:`ordered`, :func:`ordered_batch`, :func:`ordered_raw`, :func:`concurrent`.
See docs/delivery.md.
"""

from consumers.delivery.attempts import Reason
from consumers.delivery.dead import Burial
from consumers.delivery.holding import Holding
from consumers.delivery.means import Means
from consumers.delivery.serving import Delivery, Releases
from consumers.delivery.signals import Signals
from consumers.delivery.subscriptions import (
    Bounds,
    Subscription,
    concurrent,
    nothing,
    ordered,
    ordered_batch,
    ordered_raw,
)

__all__ = [
    "Bounds",
    "Burial",
    "Delivery",
    "Holding",
    "Means",
    "Reason",
    "Releases",
    "Signals",
    "Subscription",
    "concurrent",
    "nothing",
    "ordered",
    "ordered_batch",
    "ordered_raw",
]
