"""The rules of the house that no linter knows."""

import configparser
import importlib
import pkgutil
import re
import socket
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "infra", "consumers", "producers")
PROJECT = "sluice-gateway"


def sources(*packages: str) -> Iterator[tuple[str, str]]:
    """Path below the root and text of each module."""
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def places(pattern: str, *packages: str) -> set[str]:
    return {name for name, text in sources(*packages) if re.search(pattern, text)}


def modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        for module in pkgutil.walk_packages([str(ROOT / package)], package + "."):
            if not module.name.endswith("__main__"):
                yield module.name


def consumers() -> set[str]:
    """The consumers: the modules of that package but its root and its policy."""
    found = {module.name for module in pkgutil.iter_modules([str(ROOT / "consumers")])}
    return found - {"__main__", "app", "delivery"}


@pytest.mark.parametrize("package", PACKAGES)
def test_we_alone_own_the_package(package: str) -> None:
    owners = packages_distributions().get(package, [])  # an editable one names none
    found = importlib.import_module(package).__file__

    assert {PROJECT} >= set(owners)
    assert found is not None
    assert ROOT / package / "__init__.py" == Path(found)


@pytest.mark.parametrize("name", list(modules()))
def test_an_import_touches_no_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was used at import")

    monkeypatch.setattr(socket.socket, "connect", refused)

    importlib.import_module(name)


def test_only_delivery_subscribes() -> None:
    places_found = places(r"\.subscriber\(")

    assert {"consumers/delivery"} == {str(Path(p).parent) for p in places_found}


def test_broad_excepts_stand_only_where_a_loop_of_ours_is_guarded() -> None:
    found = places(r"except (Base)?Exception\b|except:")
    allowed = {p for p in found if p.startswith("consumers/delivery/")}

    checks = {"pipeline/detection/scan.py", "pipeline/screening.py"}
    # A check or a model may be wrong about any input: that is its guard's failure.
    letters = {"infra/inbox.py"}
    # A library reads a stranger's letter: what it stumbles over holds nobody else up.

    assert {"producers/timed.py", *checks, *letters} >= found - allowed


def test_no_cache_outlives_what_somebody_wrote() -> None:
    """Terms of a policy, and names of fields; characters one by one. No content."""
    found = {p for p in places(r"@(lru_)?cache\b") if p.startswith("pipeline/")}

    assert {
        "pipeline/canonical.py",
        "pipeline/detection/normalise.py",
        "pipeline/topics.py",
    } >= found


def test_no_group_is_possessive() -> None:
    """One that may backtrack within is read wrongly by Python before 3.11.5.

    Source: python/cpython gh-106052. Possessive are single characters alone.
    """
    found = places(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>", *PACKAGES, "training")

    assert {"pipeline/egress.py"} == found  # signs of an address, in a class


def test_tls_is_never_switched_off() -> None:
    assert set() == places(r"CERT_NONE|verify\s*=\s*False|ssl\s*=\s*False")


def test_randomness_time_and_environment_have_one_place() -> None:
    found = places(r"noqa: [^\n]*TID251")

    assert {"infra/system.py", "infra/settings.py"} == found


def test_every_consumer_is_named_in_the_contracts() -> None:
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter")
    wanted = {f"consumers.{name}" for name in consumers()}

    for contract, key in (("independent", "modules"), ("one-policy", "source_modules")):
        listed = linter[f"importlinter:contract:{contract}"][key].split()
        assert wanted == set(listed)


def test_every_adapter_is_protected() -> None:
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter")
    listed = linter["importlinter:contract:adapters"]["protected_modules"].split()
    found = {
        f"infra.{each.name}" for each in pkgutil.iter_modules([str(ROOT / "infra")])
    }
    everyones = {"families", "group", "health", "log", "metrics"}

    assert found - {f"infra.{each}" for each in everyones} == set(listed)


def test_the_licence_is_the_one_that_is_named() -> None:
    digest = sha256((ROOT / "LICENSE").read_bytes()).hexdigest()

    # The text of apache.org/licenses/LICENSE-2.0.txt.
    assert digest.startswith("cfc7749b96f63bd31c3c42b5c471bf75")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_no_file_names_a_package_index() -> None:
    hosts = re.compile(r"pypi\.org|files\.pythonhosted|registry\.npmjs|proxy\.golang")
    checked = [*ROOT.glob("requirements/*"), ROOT / "pyproject.toml", ROOT / "Makefile"]

    assert [] == [str(p) for p in checked if hosts.search(p.read_text())]
