"""Metrics at work: a process declares the families that it uses, and counts in them.

A value that is not in its label's set becomes ``other``, so nothing a caller sends can
make a series. All series are declared when a process starts: a series that is not
there is a process that does not run.
"""

from collections.abc import Collection, Mapping
from itertools import product
from typing import Any, Final, Generic

from prometheus_client import CollectorRegistry, Counter, Histogram

from infra.families import (
    ACCEPTED,
    ANSWER_SECONDS,
    HTTP_CODES,
    OPEN_REQUESTS,
    REFUSED,
    Declared,
    M,
)

OTHER: Final = "other"
LATENCY_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60
)  # fmt: skip

_OPTIONS: Final[Mapping[type[object], Mapping[str, Any]]] = {
    Histogram: {"buckets": LATENCY_S}
}


class Family(Generic[M]):
    """One metric at work. Its children are made once and looked up by their words."""

    def __init__(self, declared: Declared[M], registry: CollectorRegistry) -> None:
        self._sets = [frozenset(values) for values in declared.labels.values()]
        self._children: dict[tuple[str, ...], M] = {}
        options = _OPTIONS.get(declared.kind, {})
        self._metric: M = declared.kind(
            declared.name,
            declared.help,
            tuple(declared.labels),
            registry=registry,
            **options,
        )

    @property
    def alone(self) -> M:
        """The one series of a metric without labels."""
        return self._metric

    def labels(self, *values: str) -> M:
        """One series; bind it once where it is hot."""
        found = self._children.get(values)
        return self._bound(values) if found is None else found

    def ready(self, *sets: Collection[str]) -> None:
        """Make all series of these label values, so that they are there at 0."""
        for values in product(*sets):
            self.labels(*values)

    def _bound(self, values: tuple[str, ...]) -> M:
        closed = zip(values, self._sets, strict=True)
        known = tuple(value if value in of else OTHER for value, of in closed)
        child = self._children.get(known)
        if child is None:
            child = self._children[known] = self._metric.labels(*known)
        return child


class Metrics:
    """The metrics of one process, on the registry that it serves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._families: dict[str, Family[Any]] = {}

    def of(self, declared: Declared[M]) -> Family[M]:
        """A family, declared at its first use."""
        if declared.name not in self._families:
            self._families[declared.name] = Family(declared, self.registry)
        found: Family[M] = self._families[declared.name]
        return found

    @property
    def accepted(self) -> Family[Counter]:
        """By way in."""
        return self.of(ACCEPTED)

    @property
    def refused(self) -> Family[Counter]:
        """By way in and problem code."""
        return self.of(REFUSED)

    @property
    def answer_seconds(self) -> Histogram:
        """From a request's arrival to its answer."""
        return self.of(ANSWER_SECONDS).alone

    def ready_for_http(self) -> None:
        """Declare what a gateway counts, every series at 0."""
        self.accepted.ready(("http",))
        self.refused.ready(("http",), HTTP_CODES)
        self.of(ANSWER_SECONDS)
        self.of(OPEN_REQUESTS)
