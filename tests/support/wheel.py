"""``make wheel-test``: the wheel in a clean environment, where no checkout helps it.

An editable install shows Python the whole tree. Here the five packages come from the
wheel alone: what it forgot to pack is missed, and what else owns one of their names is
found.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree, ignore_patterns

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "infra", "consumers", "producers")
BESIDE = ("tests", "demo", "training", "evaluation", "examples", "benchmarks", "docs")
FILES = ("pyproject.toml", "README.md", "Makefile")
OWNERS = """
import importlib
from importlib.metadata import packages_distributions
owners = packages_distributions()
for package in {packages!r}:
    file = importlib.import_module(package).__file__
    assert owners[package] == ["sluice-gateway"], (package, owners[package])
    assert "site-packages" in file, file
print("all five packages come from the wheel alone")
"""


def main() -> None:
    """Build, install, look whose the packages are, and run the tests."""
    with tempfile.TemporaryDirectory(prefix="sluice-wheel-") as folder:
        base = Path(folder)
        wheel = built(base / "dist")
        python = installed(base / "venv", wheel)
        place = tests(base / "tree")
        run(python, "-c", OWNERS.format(packages=PACKAGES), cwd=place)
        chosen = ("tests/unit", "tests/component")
        run(
            python,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "-m",
            "not serial",
            *chosen,
            cwd=place,
        )


def built(folder: Path) -> Path:
    """The wheel of this tree."""
    options = ("--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    run(Path(sys.executable), "-m", "build", *options, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(folder: Path, wheel: Path) -> Path:
    """The Python of an environment that has the lock and the wheel, and no more."""
    run(Path(sys.executable), "-m", "venv", str(folder), cwd=ROOT)
    python = folder / "bin" / "python"
    pip = ("-m", "pip", "install", "--quiet", "--no-deps")
    run(python, *pip, "--require-hashes", "-r", "requirements/dev.txt", cwd=ROOT)
    run(python, *pip, str(wheel), cwd=ROOT)
    return python


def tests(folder: Path) -> Path:
    """The tests and what lies beside the packages, without the packages."""
    for name in BESIDE:
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    for name in FILES:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
    return folder


def run(python: Path, *arguments: str, cwd: Path) -> None:
    """Run it, shown; end with its code where it fails."""
    environment = {**os.environ, "PYTHONPATH": ""}  # noqa: TID251 - a child's own
    done = subprocess.run([python, *arguments], cwd=cwd, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
