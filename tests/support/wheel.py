"""``make wheel-test``: the wheel in a clean environment, where no checkout helps it.

An editable install shows Python the whole tree. Here the five packages come from the
wheel alone: what it forgot to pack is missed, what else owns one of their names is
found, and so is what the lock of the image lacks.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "infra", "consumers", "producers")
BESIDE = ("tests", "demo", "training", "evaluation", "examples", "benchmarks", "docs")
FILES = ("pyproject.toml", "README.md", "Makefile")
OF_EXTRAS = {
    "infra.anchors.bucket",
    "infra.recognisers.presidio",
    "infra.recognisers.spacy",
}
"""What cannot be imported without an extra, and is imported by nothing unasked."""
IMPORTS = """
from importlib import import_module
from importlib.metadata import packages_distributions
from pkgutil import walk_packages

owners, absent = packages_distributions(), {}
for package in map(import_module, %r):
    assert owners[package.__name__] == ["sluice-gateway"], owners[package.__name__]
    assert "site-packages" in package.__file__, package.__file__
    for module in walk_packages(package.__path__, package.__name__ + "."):
        try:
            module.name.endswith("__main__") or import_module(module.name)
        except ImportError as error:
            absent[module.name] = error
assert set(absent) == %r, absent
print("the wheel is whole, and needs the image's lock alone")
"""
COMMANDS = (
    ("sluice", "--version"),
    ("sluice", "detect", __file__),  # with the models that were packed
    ("python", "-m", "producers.cli", "--help"),
    ("python", "-m", "producers", "--help"),
    ("python", "-m", "consumers", "--help"),
)


def main() -> None:
    """Build, compare, install, import, call, and run the tests that touch nothing."""
    with tempfile.TemporaryDirectory(prefix="sluice-wheel-") as folder:
        base = Path(folder)
        wheel = built(base / "dist")
        programs = installed(base / "venv", wheel)
        run(programs / "python", "-c", IMPORTS % (PACKAGES, OF_EXTRAS), cwd=base)
        for program, *words in COMMANDS:
            run(programs / program, *words, cwd=base, out=subprocess.DEVNULL)
        lend(programs / "python")
        chosen = ("-m", "not serial", "tests/unit", "tests/component")
        place = tests(base / "tree")
        run(programs / "python", "-m", "pytest", "-q", *chosen, cwd=place)


def built(folder: Path) -> Path:
    """The wheel of this tree, with each of its packages' files and no other."""
    options = ("--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    run(Path(sys.executable), "-m", "build", *options, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    if packed != (files := tree()):
        sys.exit(f"expected the tree's files, differs in {sorted(packed ^ files)}")
    return wheel


def tree() -> set[str]:
    """The packages' files, by their paths from the root."""
    found = (each for name in PACKAGES for each in (ROOT / name).rglob("*"))
    return {
        str(each.relative_to(ROOT))
        for each in found
        if each.is_file() and "__pycache__" not in each.parts
    }


def installed(folder: Path, wheel: Path) -> Path:
    """The programs of an environment: the lock of the image, the wheel, no more."""
    run(Path(sys.executable), "-m", "venv", str(folder), cwd=ROOT)
    python = folder / "bin" / "python"
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
    run(python, *pip, "--require-hashes", "-r", "requirements/runtime.txt", cwd=ROOT)
    run(python, *pip, str(wheel), cwd=ROOT)
    return python.parent


def lend(python: Path) -> None:
    """What tests need besides, from the environment that runs this.

    Last on the path, and without what that one's own ``.pth`` files add: the editable
    install stays out.
    """
    (lib,) = python.parents[1].glob("lib/python*/site-packages")
    (lib / "lent.pth").write_text(sysconfig.get_path("purelib"))


def tests(folder: Path) -> Path:
    """The tests and what lies beside the packages, without the packages."""
    for name in BESIDE:
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    for name in FILES:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
    return folder


def run(program: Path, *arguments: str, cwd: Path, out: int | None = None) -> None:
    """Run it, shown; end with its code where it fails."""
    environment = {**os.environ, "PYTHONPATH": ""}  # noqa: TID251 - a child's own
    done = subprocess.run(
        [program, *arguments], cwd=cwd, env=environment, check=False, stdout=out
    )
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
