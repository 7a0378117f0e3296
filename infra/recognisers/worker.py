"""The process of one recogniser: ``python -m infra.recognisers.worker SETUP``.

It reads frames from standard input and answers on what was standard output. It holds
no key, no login and no setting, and what it says elsewhere is thrown away: a library's
warning may quote a text.
"""

import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import astuple
from importlib import import_module
from typing import BinaryIO, Final

import orjson

from infra.recognisers.frames import HEAD_BYTES, framed, length
from infra.recognisers.setup import Setup
from pipeline.ports.recognisers import Recogniser
from schemas.policies import DataClass

ADAPTERS: Final[Mapping[str, tuple[str, str]]] = {
    "presidio": ("infra.recognisers.presidio", "PresidioRecogniser"),
    "spacy": ("infra.recognisers.spacy", "SpacyRecogniser"),
}
"""Where each adapter is; imported here alone, where its extra is needed."""


def bounded(setup: Setup) -> None:
    """No more memory than was allowed, and no core dump: that would be content."""
    size = setup.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answering() -> BinaryIO:
    """Standard output, for frames alone: whoever prints, prints to nowhere."""
    own = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    return os.fdopen(own, "wb")


def adapter(setup: Setup) -> Recogniser:
    """The recogniser, loaded.

    Raises:
        ImportError: its extra is not installed.
        OSError: its model is not.
    """
    module, name = ADAPTERS[setup.kind]
    make: Callable[[Setup], Recogniser] = getattr(import_module(module), name)
    return make(setup)


def serve(recogniser: Recogniser, asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until nobody asks any more."""
    while head := asked.read(HEAD_BYTES):
        question = orjson.loads(asked.read(length(head)))
        classes = frozenset(map(DataClass, question["classes"]))
        found = [
            [astuple(each) for each in recogniser.recognise(text, classes)]
            for text in question["texts"]
        ]
        tell(answers, {"found": found})


def tell(answers: BinaryIO, told: object) -> None:
    """One frame."""
    answers.write(framed(orjson.dumps(told)))
    answers.flush()


def main() -> None:
    """Load, say hello, serve."""
    setup = Setup.model_validate_json(sys.argv[1])
    answers = answering()
    bounded(setup)
    try:
        recogniser = adapter(setup)
    except ImportError:
        tell(answers, {"error": f"expected the extra {setup.kind} to be installed"})
        return
    except (OSError, ValueError):
        tell(answers, {"error": "expected a model and a registry that load"})
        return
    tell(answers, {"version": recogniser.version})
    serve(recogniser, sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
