"""How the workers' root wires: what a handler holds, its delivery knows of."""

from types import SimpleNamespace
from typing import Any

import pytest

from consumers.app import Groups
from consumers.delivery.subscriptions import Lanes
from infra.settings import WebhooksSettings
from infra.system import SystemClock
from pipeline.ports.recognisers import NOBODY
from tests.component.test_collector import settings


@pytest.mark.parametrize("group", ["provider", "webhooks"])
def test_who_calls_others_waits_for_databases_in_sight(group: str) -> None:
    chosen = settings(None).model_copy(
        update={"webhooks": WebhooksSettings(ignore_proxies=True)}
    )
    opened: Any = SimpleNamespace(
        clock=SystemClock(),
        settings=chosen,
        **dict.fromkeys(["bench", "contents", "entropy", "keks", "pool"]),
    )
    nobody: Any = object()
    groups = Groups(opened, lambda: nobody, nobody, None, nobody, outside=NOBODY)
    work = getattr(groups, group)().work
    assert isinstance(work, Lanes)
    assert work.holding is not None
    consumer: Any = getattr(work.handle, "__self__", None)

    before = work.holding.since
    with consumer.hold():
        meanwhile = work.holding.since

    assert before is None
    assert meanwhile is not None
