"""From a record to an event of its topic's type."""

from pydantic import ValidationError

from pipeline.errors import InvalidMessage
from pipeline.ports.bus import Record
from schemas.base import Schema
from schemas.events import Attributes, Data, Event
from schemas.topics import Topic


def decode(topic: Topic[Data], record: Record) -> Event[Data]:
    """Read what the topic says should be there.

    Raises:
        InvalidMessage: it is not there; names of headers and fields alone are told.
    """
    attributes = _attributes(record)
    if attributes.type != kind(topic.data):
        raise InvalidMessage(f"expected {kind(topic.data)}", "ce_type")
    if record.value is None:
        raise InvalidMessage("expected a value", topic.data.__name__)
    try:
        return Event(attributes, topic.data.model_validate_json(record.value))
    except ValidationError as error:
        raise InvalidMessage(*_told(topic.data, error)) from None


def kind(data: type[Schema]) -> str:
    """The type with its version, as events of ``data`` carry it."""
    return str(getattr(data, "kind", ""))


def _attributes(record: Record) -> Attributes:
    try:
        return Attributes.from_headers(record.headers)
    except ValueError as error:
        # Its text is ours: a header's name and what was expected.
        raise InvalidMessage(str(error), "headers") from None


def _told(data: type[Schema], error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_context=False, include_input=False)[
        0
    ]
    known = [str(part) for part in first["loc"] if part in data.model_fields]
    return f"expected a valid value: {first['type']}", ".".join(
        [data.__name__, *known[:1]]
    )
