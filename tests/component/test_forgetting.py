"""The rule for content: each way in which keys and records can disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

from infra.memory.keystore import MemoryKeys
from infra.memory.ledger import MemoryLedger
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import record
from pipeline.contents import Contents
from pipeline.errors import IntegrityError
from pipeline.forgetting import BENT, GONE, STILL_THERE, content_pass
from pipeline.keystore import Partition, class_named
from pipeline.ports.keys import Destroyed, KeyRef, NewKey, OfRequest
from pipeline.sealing import DataKey
from producers.cli.content import judged
from producers.contentpass import INCIDENT, ContentPass
from schemas.audit import ContentCommitment, Erase, Retained
from schemas.events import timestamp
from tests.support.audit import NOON, TENANT, recorded, request_id
from tests.support.keystore import erase

CLOCK = SystemClock()
DAY = date(2026, 1, 1)
LATER = NOON + timedelta(hours=1)
HASH = "0" * 64


@dataclass
class Scene:
    """A log, a keystore, and who holds one against the other."""

    ledger: MemoryLedger
    keys: MemoryKeys
    alarms: list[int] = field(default_factory=list)

    async def request(
        self, name: str, retained: str = "30d", *, ends: bool = True
    ) -> KeyRef:
        """A request with sealed content, its records, its key."""
        day = Partition(class_named(retained), DAY)
        await self.keys.prepare([day])
        contents = Contents(SystemEntropy())
        key = contents.new_key(TENANT, request_id(name), day)
        assert [True] == await self.keys.create([NewKey(key)])
        said = ContentCommitment(
            purpose="prompt", commit=HASH, sealed_sha256=HASH, key_id=key.key_id
        )
        steps = ("accepted", "completed") if ends else ("accepted",)
        await self.ledger.append(
            [
                recorded(
                    f"{name} {step}",
                    f"request.{step}",
                    request=name,
                    content=(said,),
                    retention=Retained(retention_class=retained, day=str(DAY)),
                )
                for step in steps
            ]
        )
        return KeyRef(TENANT, key.request_id, key.key_id)

    async def told(self, scope: str, ref: str, *, as_of: timedelta) -> None:
        """A record that something was destroyed."""
        erase = Erase.model_validate(
            {"scope": scope, "ref": ref, "as_of": timestamp(NOON + as_of)}
        )
        event = recorded(f"{scope} {ref}", "erasure.completed", erase=erase, time=LATER)
        await self.ledger.append([event])

    async def found(self) -> list[tuple[int, str]]:
        broken = await content_pass(self.ledger, TENANT, self.keys.fetch)
        return [(each.seq, each.reason) for each in broken]

    @property
    def worker(self) -> ContentPass:
        return ContentPass(
            logs=self.ledger,
            ledger=self.ledger,
            fetch=self.keys.fetch,
            clock=CLOCK,
            alarm=self.alarms.append,
        )

    async def incidents(self) -> list[tuple[str, str | None]]:
        rows = [record(row.body) for row in await self.ledger.read(TENANT, 0, 99)]
        said = [each.decision[0] for each in rows if each.action == INCIDENT]
        return [(each.verdict, each.rule) for each in said]


@pytest.fixture
async def scene() -> Scene:
    keys = MemoryKeys(CLOCK)
    await keys.enrol(TENANT)
    return Scene(MemoryLedger("test.example", SystemEntropy()), keys)


async def test_content_that_opens_and_was_never_erased_holds(scene: Scene) -> None:
    await scene.request("a")
    await scene.request("b", "transient", ends=False)

    assert [] == await scene.found()


async def test_an_erasure_without_a_record_is_told(scene: Scene) -> None:
    await scene.request("a")
    gone = await scene.request("b")
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))

    assert [(3, GONE)] == await scene.found()


async def test_an_erasure_that_was_recorded_and_never_done_is_told(
    scene: Scene,
) -> None:
    kept = await scene.request("a")
    await scene.told("request", kept.request_id, as_of=timedelta(minutes=1))

    assert [(1, STILL_THERE)] == await scene.found()


COVERING = {
    "request": request_id("a"),
    "class": f"30d:{DAY}",
    "tenant": TENANT,
    "subject": "ab" * 32,
}


@pytest.mark.parametrize("scope", COVERING)
async def test_a_record_covers_what_was_destroyed(scene: Scene, scope: str) -> None:
    gone = await scene.request("a")
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))
    await scene.told(scope, COVERING[scope], as_of=timedelta(minutes=1))

    assert [] == await scene.found()


@pytest.mark.parametrize(
    ("scope", "ref", "minutes"),
    [
        ("request", request_id("another"), 1),
        ("class", f"7d:{DAY}", 1),
        ("class", "30d:2026-01-02", 1),
        ("request", request_id("a"), -1),
        ("subject", "ab" * 32, -1),
    ],
    ids=["other request", "other class", "other day", "too old", "person before it"],
)
async def test_a_record_of_something_else_covers_nothing(
    scene: Scene, scope: str, ref: str, minutes: int
) -> None:
    gone = await scene.request("a")
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))
    await scene.told(scope, ref, as_of=timedelta(minutes=minutes))

    assert [(1, GONE)] == await scene.found()


async def test_the_end_of_a_transient_request_covers_itself(scene: Scene) -> None:
    ended = await scene.request("a", "transient")
    kept = await scene.request("b")
    open_ = await scene.request("c", "transient", ends=False)
    await scene.keys.forget([ended, kept, open_])

    assert [(3, GONE), (5, GONE)] == await scene.found()


async def test_one_key_that_does_not_unwrap_hides_no_other(scene: Scene) -> None:
    bent, gone = await scene.request("a"), await scene.request("b")
    await scene.request("c")
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))

    async def fetch(wanted: Sequence[KeyRef]) -> Mapping[KeyRef, DataKey | Destroyed]:
        if bent in wanted:
            raise IntegrityError("a key does not unwrap")
        return await scene.keys.fetch(wanted)

    found = await content_pass(scene.ledger, TENANT, fetch)

    assert [(1, BENT), (3, GONE)] == [(each.seq, each.reason) for each in found]


@pytest.mark.parametrize(
    "content",
    [b"7", b"[7]", b'["a"]', b"{}", b'[{"key_id":7}]', b'[{"key_id":"a"}]'],
)
async def test_what_is_no_record_hides_no_key(scene: Scene, content: bytes) -> None:
    await scene.request("bent", ends=False)
    await scene.request("a")
    await erase(scene.keys, OfRequest(TENANT, request_id("a")))
    row = scene.ledger._entries[TENANT][1]
    before, _, after = row.body.partition(b'"content":[')
    body = before + b'"content":' + content + after[after.index(b"]") + 1 :]
    scene.ledger._entries[TENANT][1] = row._replace(body=body)

    assert [(2, GONE)] == await scene.found()


async def test_what_two_rounds_find_is_an_incident_once(scene: Scene) -> None:
    gone = await scene.request("a")
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))
    worker, counts = scene.worker, []
    for _ in range(4):
        await worker.round()
        counts.append(len(await scene.incidents()))

    assert [0, 1, 1, 1] == counts
    assert [("does_not_open", "record_1")] == await scene.incidents()
    assert [1] == scene.alarms


async def test_a_record_that_comes_late_is_no_incident(scene: Scene) -> None:
    gone, worker = await scene.request("a"), scene.worker
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))
    await worker.round()
    await scene.told("request", gone.request_id, as_of=timedelta(minutes=1))
    await worker.round()

    assert ([], []) == (scene.alarms, await scene.incidents())


async def test_the_command_tells_what_stays_odd(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = await scene.request("a")
    held = [await judged(scene.ledger, TENANT, scene.keys.fetch, 0)]
    await erase(scene.keys, OfRequest(TENANT, gone.request_id))
    held.append(await judged(scene.ledger, TENANT, scene.keys.fetch, 0))

    assert [True, False] == held
    assert f"DOES NOT HOLD: record 1: {GONE}" in capsys.readouterr().out
