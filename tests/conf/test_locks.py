"""The locks fit the ranges of the package, and the tests run on what one of them says."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "conf" / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: What a lock was made of, and the Pythons it is for.
MADE_OF = {"newest": list(EXTRAS), "oldest": ["dev"]}
PYTHONS = [("newest", "3.11.9"), ("newest", "3.12.1"), ("newest", "3.13.0"), ("oldest", "3.11.9")]


def lines(lock: str) -> list[str]:
    text = (LOCKS / f"{lock}.txt").read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def pins(lock: str, python: str | None = None) -> dict[str, str]:
    """Versions by name, on this machine or on one like it with another Python."""
    there = dict(default_environment())
    if python:
        there |= {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    asked = map(Requirement, lines(lock))
    kept = [each for each in asked if each.marker is None or each.marker.evaluate(there)]
    found = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in kept}
    assert len(found) == len(kept), "a package is pinned twice"
    return found


def required(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("lock", "python"), PYTHONS)
def test_a_lock_is_within_the_ranges(lock: str, python: str) -> None:
    assert python in Requirement(f"python{PROJECT['requires-python']}").specifier
    found = pins(lock, python)
    for each in required(*MADE_OF[lock]):
        assert found[canonicalize_name(each.name)] in each.specifier, each


def test_the_oldest_lock_is_the_lower_end() -> None:
    found = pins("oldest", "3.11.9")
    for name in ("pyspark", "pyarrow", "numpy", "pandas", "torch", "rasterio", "xarray"):
        (asked,) = [each for each in required() if each.name == name]
        (least,) = [part.version for part in asked.specifier if part.operator == ">="]
        assert Version(found[name]) == Version(least)


@pytest.mark.parametrize("lock", MADE_OF)
def test_a_lock_names_versions_and_no_place(lock: str) -> None:
    for line in lines(lock):
        assert "==" in line.split(";")[0]
        assert "://" not in line
        assert not line.startswith("-")


def installed(name: str) -> str | None:
    try:
        return Version(version(name)).public  # 2.15.0 of 2.15.0+cpu
    except PackageNotFoundError:
        return None


def differences(lock: str) -> dict[str, tuple[str | None, str]]:
    """Installed and locked version where they differ; only what we ask for must be there."""
    asked = {canonicalize_name(each.name) for each in required("dev")}
    found = {name: (installed(name), locked) for name, locked in pins(lock).items()}
    return {
        name: (here, locked)
        for name, (here, locked) in found.items()
        if here != locked and (here or name in asked)
    }


def test_the_tests_run_on_what_a_lock_says() -> None:
    apart = min((differences(lock) for lock in MADE_OF), key=len)
    assert apart == {}, "remove .venv and .venv-oldest, and let make build them"
