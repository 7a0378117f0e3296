"""What a root remembers."""

from pathlib import Path

import pytest

from demo.stack import record
from demo.stack.choice import Choice, Source
from demo.stack.record import Record


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("kafka", Source)
@pytest.mark.parametrize("postgres", Source)
def test_what_is_written_is_read(
    tmp_path: Path, kafka: Source, postgres: Source, *, durable: bool, asked: bool
) -> None:
    written = Record(Choice(kafka, postgres, asked), durable)

    record.write(tmp_path, written)

    assert written == record.read(tmp_path)


def test_a_new_root_remembers_nothing(tmp_path: Path) -> None:
    assert None is record.read(tmp_path)


def test_what_is_forgotten_is_not_read(tmp_path: Path) -> None:
    record.write(tmp_path, Record(Choice(Source.LOCAL, Source.LOCAL), durable=True))

    record.forget(tmp_path)
    record.forget(tmp_path)

    assert None is record.read(tmp_path)
