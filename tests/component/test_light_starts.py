"""What a process imports when it starts."""

import click
import pytest

from producers.cli import MODULES, main
from tests.support.started import printed

HEAVY = ("spacy", "presidio_analyzer", "sigstore", "boto3", "moto", "testcontainers")
LOADED = f"""
import sys, consumers.app, producers.app
print([name for name in {HEAVY!r} if name in sys.modules])
import presidio_analyzer
"""


def test_what_lies_beside_us_is_not_imported_with_us() -> None:
    pytest.importorskip("presidio_analyzer")
    assert "[]" == printed(LOADED)


COMMAND = """
import sys
from producers.cli import main
main(["tenant", "--help"], standalone_mode=False)
unneeded = ("faststream", "pipeline.detection.engine")
print([name for name in unneeded if name in sys.modules])
"""


def test_a_command_imports_no_other_commands_things() -> None:
    assert "[]" == printed(COMMAND)


def test_each_command_is_where_it_is_looked_for() -> None:
    context = click.Context(main)

    found = [main.get_command(context, name) for name in main.list_commands(context)]

    assert list(MODULES) == [each.name for each in found if each]
