"""How the workers' root wires: what a handler holds, its delivery knows of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from consumers import app
from consumers.app import Groups
from consumers.delivery.subscriptions import Lanes
from consumers.provider import deadline
from infra.families import INCIDENTS
from infra.log import Word
from infra.metrics import Metrics
from infra.settings import WebhooksSettings
from infra.system import SystemClock
from pipeline.errors import IntegrityError
from pipeline.ports.recognisers import NOBODY
from producers import signing, workers
from producers.__main__ import main as command
from producers.timed import Timed
from schemas.topics import WEBHOOKS_RETRY_5M, WEBHOOKS_RETRY_5S
from tests.component.test_collector import settings

SETTINGS = {
    "SLUICE_DATABASE__URL": "postgresql://sluice@127.0.0.1:1/sluice",
    "SLUICE_DATABASE__KEYSTORE_URL": "postgresql://sluice@127.0.0.1:1/keys",
    "SLUICE_KAFKA__BOOTSTRAP": "127.0.0.1:1",
    **{f"SLUICE_KEYS__{name}": "absent" for name in ("DIRECTORY", "ROOT", "OWN")},
}


@pytest.mark.parametrize("group", ["provider", "webhooks"])
def test_who_calls_others_waits_for_databases_in_sight(group: str) -> None:
    chosen = settings(None).model_copy(
        update={"webhooks": WebhooksSettings(ignore_proxies=True)}
    )
    opened: Any = SimpleNamespace(
        clock=SystemClock(),
        settings=chosen,
        metrics=Metrics(CollectorRegistry()),
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


def wired(**more: Any) -> Any:
    """What a root opens, of which nothing is asked."""
    chosen = settings(None).model_copy(
        update={"webhooks": WebhooksSettings(ignore_proxies=True)}
    )
    names = ["bench", "contents", "entropy", "keks", "pool", "incidents"]
    names += ["log", "inbox", "publisher", "clients"]
    made = {"clock": SystemClock(), "metrics": Metrics(CollectorRegistry())}
    parts = {**dict.fromkeys(names), "settings": chosen, **made, **more}
    return SimpleNamespace(**parts)


def groups_of(opened: Any) -> Groups:
    nobody: Any = object()
    return Groups(opened, lambda: nobody, nobody, None, nobody, outside=NOBODY)


def test_a_provider_call_has_its_request_s_deadline() -> None:
    """Without one, a call that hangs is never overdue."""
    work = groups_of(wired()).provider().work

    assert isinstance(work, Lanes)
    assert work.deadline is deadline


@pytest.mark.parametrize("group", ["provider", "webhooks"])
def test_what_finds_its_lane_full_has_an_end_elsewhere(group: str) -> None:
    """One endpoint, or one upstream, that hangs would fill the whole partition."""
    work = getattr(groups_of(wired()), group)().work

    assert isinstance(work, Lanes)
    assert work.overflow is not None


def test_the_ledger_says_where_its_topic_is_read_from() -> None:
    """A database that was put back gets again what it lost."""
    assert groups_of(wired()).audit().offsets is not None


def test_each_delay_has_its_own_topic() -> None:
    groups = groups_of(wired())
    made = [groups.webhook_retries_5s(), groups.webhook_retries_5m()]

    assert [WEBHOOKS_RETRY_5S, WEBHOOKS_RETRY_5M] == [each.topic for each in made]


def delivering(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the root gives to delivery."""
    given: dict[str, Any] = {}
    for name in ("ObservedPublisher", "DeliverySignals"):
        monkeypatch.setattr(app, name, lambda *_: None)
    monkeypatch.setattr(app, "Delivery", lambda _, **found: given.update(found))
    opened = wired(inbox=SimpleNamespace(seal=None))
    app._delivery(opened, [], None)
    return given


def test_a_batch_returns_to_the_poll_long_before_its_member_is_put_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = settings(None).kafka.max_poll_interval_s

    assert longest / 4 == delivering(monkeypatch)["means"].batch_within_s


def test_what_an_operator_releases_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else what is held or halted goes on by a restart alone."""
    assert delivering(monkeypatch).get("releases") is not None


class Stuck:
    """A publisher that only a new process helps."""

    alive = False


@asynccontextmanager
async def held(*_: object, **__: object) -> AsyncIterator[Any]:
    """Whatever a root opens; nobody looks at it."""
    yield None


def opening(opened: Any) -> Any:
    @asynccontextmanager
    async def opens(*_: object) -> AsyncIterator[Any]:
        yield opened

    return opens


class Silence:
    """A log that keeps nothing."""

    def info(self, *_: object, **__: object) -> None: ...


async def test_workers_whose_publisher_is_stuck_need_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bool] = []

    async def run(_: object) -> None: ...

    async def traced(*_: object) -> None: ...

    delivery = SimpleNamespace(alive=lambda: True, reasons=list, run=run)
    metrics = SimpleNamespace(registry=None)
    opened = wired(publisher=Stuck(), log=Silence(), metrics=metrics)
    monkeypatch.setattr(app, "open_resources", opening(opened))
    monkeypatch.setattr(app, "OpenAIProviders", held)
    monkeypatch.setattr(app, "recognisers", held)
    monkeypatch.setattr(app, "serving", held)
    monkeypatch.setattr(app, "traces", traced)
    monkeypatch.setattr(app, "_delivery", lambda *_: delivery)
    monkeypatch.setattr(app, "health_app", lambda alive, *_: told.append(alive()))
    await app.run(opened.settings, [])

    assert [False] == told


async def test_timed_workers_whose_publisher_is_stuck_need_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bool] = []
    stop = asyncio.Event()
    stop.set()

    @asynccontextmanager
    async def looping(*given: Any) -> AsyncIterator[int]:
        told.extend(publishes() for publishes in given[3:])
        yield 1

    opened = wired(publisher=Stuck(), log=Silence())
    monkeypatch.setattr(workers, "open_resources", opening(opened))
    monkeypatch.setattr(workers, "looping", looping)
    monkeypatch.setattr(workers, "stopping", lambda: stop)
    await workers.run_timed(opened.settings, [])

    assert [False] == told


async def test_what_is_due_is_done_to_its_end_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounds of ``expiry`` drop a day each: after a restore, all that are over go."""
    done: list[str] = []

    def worker(name: str, rounds: int) -> Any:
        async def job() -> bool:
            done.append(name)
            return done.count(name) < rounds

        async def made(*_: object) -> Timed:
            return Timed(name=Word(name), job=job, every_s=3600, alive_within_s=1)

        return made

    opened = wired(log=Silence())
    monkeypatch.setattr(workers, "open_resources", opening(opened))
    monkeypatch.setattr(
        workers,
        "WORKERS",
        {"replay": worker("replay", 1), "expiry": worker("expiry", 2)},
    )
    await workers.work_once(opened.settings, ["replay", "expiry"])

    assert ["replay", "expiry", "expiry"] == done


async def test_a_round_that_fails_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def job() -> bool:
        raise IntegrityError("expected receipts that our key signed", "receipt")

    async def made(*_: object) -> Timed:
        return Timed(name=Word("replay"), job=job, every_s=3600, alive_within_s=1)

    opened = wired(log=Silence())
    monkeypatch.setattr(workers, "open_resources", opening(opened))
    monkeypatch.setattr(workers, "WORKERS", {"replay": made})

    with pytest.raises(IntegrityError):
        await workers.work_once(opened.settings, ["replay", "expiry"])


def test_a_gateway_does_nothing_once() -> None:
    done = CliRunner().invoke(command, ["gateway", "--once"], env=SETTINGS)

    assert 2 == done.exit_code
    assert "--once: a gateway serves" in done.output


def incidents(metrics: Metrics) -> float | None:
    """What is told of incidents; None: nothing is."""
    return metrics.registry.get_sample_value(INCIDENTS.name)


@pytest.mark.parametrize("name", ["completeness", "content_pass"])
async def test_whoever_raises_the_alarm_tells_of_none_before(name: str) -> None:
    """SluiceLedgerIncident is of growth: a series that appears at 1 never grew."""
    metrics = Metrics(CollectorRegistry())
    keystore = SimpleNamespace(fetch=None)
    opened = wired(metrics=metrics, keystore=keystore)

    async with AsyncExitStack() as stack:
        await workers.WORKERS[name](stack, opened)

    assert 0 == incidents(metrics)


def test_the_full_pass_tells_of_no_incident_before(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    opened = wired(metrics=metrics)
    process: Any = signing._Process(
        opened.settings,
        tmp_path,
        opened.pool,
        None,
        opened.clock,
        opened.entropy,
        opened.log,
        metrics,
    )

    signing._passing(process)

    assert 0 == incidents(metrics)
