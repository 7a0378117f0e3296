"""What every level relies on: no skips in CI, one local stack a worker process."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from typing_extensions import override
from xdist.scheduler import LoadFileScheduling

from demo import stack as local
from tests.support.installation import Installation, installed
from tests.support.waiting import waiting

HOUSE = "tests/e2e/house"
CI = os.environ.get("CI") == "true"  # noqa: TID251 - tests ask the machine, not Sluice

# A law that takes long to check on a busy machine is no less true.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:
    """In CI a skipped test is a failed one: an absence must not look like success.

    Whose time is up says at once what its tasks wait for: its end may hang as well.
    """
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if "from pytest-timeout" in str(report.longrepr):
        os.write(2, f"\n{item.nodeid} hangs\n{waiting()}".encode())
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A module that skips itself is no better."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


class Shares(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file is one worker's, and so are all files that share a house."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return HOUSE if nodeid.startswith(f"{HOUSE}/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Shares | None:
    return Shares(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: begun last, one would go on alone while the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage looks there again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def stack() -> Iterator[local.Stack]:
    """Real Kafka and real Postgres, started for this worker and stopped after it.

    Not durable (``fsync`` off): a test that claims durability starts its own.
    """
    with local.temporary(durable=False) as running:
        yield running


@pytest.fixture(scope="module")
def installation(stack: local.Stack) -> Iterator[Installation]:
    """Both databases, migrated, of this module alone."""
    with installed(stack.postgres_url) as made:
        yield made
