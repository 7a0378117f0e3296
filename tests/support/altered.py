"""Every way of altering a row of a log."""

from collections.abc import Callable

from pipeline.audit import Entry, record
from pipeline.merkle import leaf_hash
from schemas.ids import EventId


def with_body(entry: Entry, body: bytes) -> Entry:
    return entry._replace(body=body, leaf=leaf_hash(body))


ALTERED: dict[str, Callable[[Entry], Entry]] = {
    "a byte": lambda e: e._replace(body=e.body.replace(b"screened", b"screenee")),
    "a byte and its leaf": lambda e: with_body(
        e, e.body.replace(b"system:test", b"system:tess")
    ),
    "a byte, its leaf, its column": lambda e: with_body(
        e, e.body.replace(b"system:test", b"system:tess")
    )._replace(
        actor="system:tess",
    ),
    "its prev and leaf": lambda e: with_body(
        e, e.body.replace(b'"prev":"', b'"prev":"0')[: len(e.body) + 1]
    ),
    "a prev of right length": lambda e: with_body(
        e, e.body.replace(record(e.body).prev.encode(), b"0" * 64)
    ),
    "the leaf": lambda e: e._replace(leaf=bytes(32)),
    "the event id": lambda e: e._replace(event_id=EventId("0" * 36)),
    "the request": lambda e: e._replace(request_id=None),
    "the action": lambda e: e._replace(action="request.accepted"),
    "the actor": lambda e: e._replace(actor="key:other"),
    "the time": lambda e: e._replace(ts="2026-01-01T00:00:00.000000Z"),
    "another log": lambda e: with_body(e, e.body.replace(b'"log":"l', b'"log":"m')),
    "another place": lambda e: with_body(
        e, e.body.replace(f'"seq":{e.seq}'.encode(), b'"seq":9')
    ),
    "spacing": lambda e: with_body(e, e.body.replace(b'"v":1', b'"v": 1')),
}
