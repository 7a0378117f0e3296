"""The judge finds what is broken, and the plan is the seed's."""

import random  # noqa: TID251 - seeded
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from subprocess import CompletedProcess
from typing import Any

import pytest

from demo.launch import Access
from schemas.ids import RequestId
from tests.chaos import judge
from tests.chaos.house import Death
from tests.chaos.judge import answers, calls, ends, uncalled, webhooks
from tests.chaos.load import Load, Sent
from tests.chaos.plan import KINDS, plan
from tests.chaos.subscriber import Subscriber
from tests.support.started import ROOT

NAMES = ("r0", "r1", "r2")
NOTHING: Any = None
ACCESS = Access(
    tenant_id="t",
    gateway="",
    stand_in="",
    kafka="",
    api_key="",
    client_id="c",
    client_secret="",
    urls={},
)


@pytest.fixture
def load() -> Load:
    """Three requests, each answered by its own answer and told of once."""
    made = Load(ACCESS, Subscriber(), random.Random(1), NOTHING)  # noqa: S311
    for at, name in enumerate(NAMES):
        text = f"You said: Request number {at}"
        made.sent[at] = Sent(at, "echo", RequestId(name), 200, text)
        made.subscriber.taken[name].add(f"msg_{name}")
        made.subscriber.bodies[f"msg_{name}"].add(b"{}")
    return made


def record(name: str, action: str) -> dict[str, str]:
    return {"request_id": name, "action": action}


def ledger(*ended: str) -> list[dict[str, str]]:
    accepted = [record(name, "request.accepted") for name in NAMES]
    return accepted + [record(name, "request.completed") for name in ended]


def death(victim: str, at: float, *unfinished: str) -> Death:
    return Death(
        victim, at, at, in_hand=True, ends={}, unfinished=frozenset(unfinished)
    )


def test_what_is_kept_is_not_complained_of(load: Load) -> None:
    once = {at: [[1.0, 2.0]] for at in range(3)}

    assert [] == [*answers(load), *ends(load, ledger(*NAMES)), *webhooks(load)]
    assert [] == [*calls(load, once, []), *uncalled(load, once)]


@pytest.mark.parametrize("ended", [("r0", "r1"), (*NAMES, "r2")])
def test_a_request_without_an_end_or_with_two_is_found(
    load: Load, ended: Sequence[str]
) -> None:
    (found,) = ends(load, ledger(*ended))

    assert found.startswith("r2 has ")


def test_an_end_of_what_nobody_accepted_on_the_ledger_is_no_excuse(load: Load) -> None:
    assert [] != [*ends(load, [])]


def test_the_answer_of_another_is_found(load: Load) -> None:
    load.sent[1].text = load.sent[2].text
    load.sent[2].status = 0
    load.sent[0].status = 500

    assert 3 == len([*answers(load)])


@pytest.mark.parametrize(
    ("spans", "deaths", "broken"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [], 1),
        ([[1.0, 2.0], [3.0, 4.0]], [death("provider", 1.5, "r0")], 0),
        ([[1.0, 2.0], [40.0, 41.0]], [death("provider", 30.0, "r1", "r0")], 0),
        ([[1.0, 2.0], [30.0, 31.0]], [death("provider", 20.0, "r1")], 1),
        ([[1.0, 2.0], [3.0, 4.0]], [death("provider", 5.0, "r0")], 1),
        ([[1.0, 2.0], [8.0, 9.0]], [death("postgres", 2.5)], 1),
        ([[1.0], [3.0, 4.0], [5.0, 6.0]], [death("provider", 1.5, "r0")], 2),
    ],
)
def test_a_call_is_repeated_for_the_unfinished_span_alone(
    load: Load, spans: list[list[float]], deaths: list[Death], broken: int
) -> None:
    assert broken == len([*calls(load, {0: spans}, deaths)])


def test_an_answer_that_nobody_called_for_is_found(load: Load) -> None:
    """Else a stand-in that tells of no call would keep the promise by itself."""
    load.sent[2].status = 400

    found = [*uncalled(load, {0: [[1.0, 2.0]]})]

    assert ["request 1 (echo) was answered, and the provider tells of no call"] == found


def test_a_call_that_was_repeated_is_told_of_with_what_lay_between(load: Load) -> None:
    spans = {0: [[1.0, 2.0], [30.0, 31.0]]}

    (found,) = calls(load, spans, [death("provider", 20.0, "r1")])

    assert "asked again for 0" in found
    assert "ended after 1.0 s, the second began after 29.0 s" in found
    assert "provider stood after 19.0 s and was killed after 19.0 s" in found


def test_a_webhook_that_is_missing_or_comes_under_two_ids_is_found(load: Load) -> None:
    load.subscriber.taken["r0"].add("msg_other")
    del load.subscriber.taken["r1"]
    load.subscriber.bodies["msg_r2"].add(b"[]")
    load.subscriber.forged = 1

    assert 4 == len([*webhooks(load)])


@pytest.mark.parametrize("kills", [1, 24, 200])
def test_a_plan_kills_everything_as_often_and_is_the_seed_s(kills: int) -> None:
    blows = plan(7, kills)
    victims = Counter(name for blow in blows for name in blow.victims)
    most, least = max(victims.values()), min(victims[kind] for kind in KINDS)

    assert kills == victims.total()
    assert most - least <= 1
    assert all(len({*blow.victims}) == len(blow.victims) for blow in blows)
    assert blows == plan(7, kills)
    assert kills == 1 or blows != plan(8, kills)


@pytest.mark.parametrize(
    ("codes", "within_s", "complains"),
    [([0], 0.0, False), ([1, 0], 9.0, False), ([1], 0.0, True)],
    ids=["nobody behind", "behind for a moment", "behind for good"],
)
def test_who_stays_behind_is_found(
    monkeypatch: pytest.MonkeyPatch,
    codes: list[int],
    within_s: float,
    *,
    complains: bool,
) -> None:
    monkeypatch.setattr(judge, "DONE_WITHIN_S", within_s)

    def run(*command: str) -> CompletedProcess[str]:
        code = codes.pop(0)
        return CompletedProcess(command, code, "4 records to do" if code else "", "")

    found = judge.behind(run)
    assert complains == bool(found)
    assert [] == codes


@pytest.mark.parametrize(
    "words", ["tests.simulation --seeds -3", "tests.chaos --kills 0"]
)
def test_a_harness_that_is_to_do_nothing_does_not_pass(words: str) -> None:
    """The one told that a seed passed, the other that every promise was kept."""
    done = subprocess.run(
        [sys.executable, "-m", *words.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )

    assert (2, "") == (done.returncode, done.stdout)
