"""Recipes: the artefacts of detection, read once by a composition root."""

import json
import zlib
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from unicodedata import unidata_version

from pipeline.detection.linear import Linear
from pipeline.detection.people import People, listed
from pipeline.detection.recipe import Recipe
from pipeline.detection.weights import Tables
from pipeline.errors import IntegrityError

NAMES: Final = "names-1.bin"
INJECTION: Final = "injection-1.bin"
INSTRUCTION: Final = "instruction-1.bin"
SHA256: Final = {
    INSTRUCTION: "968fd8589c2242e8bcaa7ca9eab4a017b41204de92f0eb6761d7e801c2d5e5d6",
    INJECTION: "7adb68f29f9bc42f09959d863b35a0130fa089fafac04c8252b2e557fd5ce4d8",
    NAMES: "5bf1e0cd9648e705aecc6431d9e2fb6787aa0c9646c825bde00f94f5754c9bd4",
}
"""What each artefact must be; another one is refused."""
DECIDING: Final = ("injection", "intents", "output", "redaction", "screening", "tokens")
"""Modules of the pipeline, beside the package of detection, that a verdict hangs on."""
LIBRARIES: Final = ("google-re2", "python-stdnum", "phonenumberslite")


def load_recipe() -> Recipe:
    """The recipe with all that is shipped, compiled and ready; blocks for a second.

    Raises:
        IntegrityError: an artefact is not the one that was trained.
        GuardFailed: the pattern sets do not work on this machine.
    """
    recipe = Recipe(
        people=_people(_artefact(NAMES)),
        attacks=_linear(INJECTION),
        orders=_linear(INSTRUCTION),
        artefacts=tuple(SHA256.items()),
        code=code(),
    )
    recipe.data.hits(b"")
    recipe.words.hits(b"")
    return recipe


def code() -> str:
    """SHA-256 of all that decides besides the artefacts: modules, tables, libraries.

    A change of a comment changes it too; a change of a check never goes unseen.
    """
    digest = sha256()
    package = files("pipeline")
    modules = [each for each in (package / "detection").iterdir() if _is_module(each)]
    modules += [package / f"{name}.py" for name in DECIDING]
    for module in sorted(modules, key=lambda each: each.name):
        source = module.read_bytes()
        digest.update(f"{module.name} {len(source)}\n".encode() + source)
    told = [f"{name} {version(name)}" for name in LIBRARIES]
    digest.update("\n".join([*told, unidata_version]).encode())
    return digest.hexdigest()


def _is_module(each: Traversable) -> bool:
    return each.name.endswith(".py")


def _artefact(name: str) -> bytes:
    raw = (files("infra") / "models" / name).read_bytes()
    if sha256(raw).hexdigest() != SHA256[name]:
        raise IntegrityError(f"expected the artefact that was trained: {name}")
    return raw


def _people(packed: bytes) -> People:
    told = json.loads(zlib.decompress(packed))
    first, last = (frozenset(told[each].split()) for each in ("first", "last"))
    return People(lists=listed(first, last), tables=Tables(told["weights"]))


def _linear(name: str) -> Linear:
    told = json.loads(zlib.decompress(_artefact(name)))
    slope, offset = told["calibration"]
    return Linear(
        name=name.removesuffix(".bin"),
        weights=told["weights"],
        bias=told["bias"],
        bands=tuple((size, least) for size, least in told["bands"]),
        calibration=(slope, offset),
    )
