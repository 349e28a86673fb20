"""What `pyproject.toml` asks for is pinned, within its bounds, for every Python that it names."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SETUP = (ROOT / "scripts/setup.sh").read_text()
PINS = {path.stem: path.read_text() for path in (ROOT / "constraints").glob("*.txt")}


def _installed() -> list[Requirement]:
    """What `scripts/setup.sh` installs."""
    (extras,) = re.findall(r"-e '\.\[([a-z,]+)\]'", SETUP)
    chosen = [PROJECT["optional-dependencies"][extra] for extra in extras.split(",")]
    return [Requirement(line) for line in sum(chosen, PROJECT["dependencies"])]


def test_every_python_that_is_named_has_its_pins():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert sorted(PINS) == sorted(named)
    assert PROJECT["requires-python"] == f">={min(named, key=lambda v: int(v[2:]))}"


@pytest.mark.parametrize("minor", sorted(PINS))
def test_every_requirement_is_pinned_within_its_bounds(minor):
    pinned = dict(re.findall(r"^([^#\s=]+)==(\S+)$", PINS[minor], re.MULTILINE))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    assert len(versions) > 60
    wrong = [
        f"{requirement}: {versions.get(canonicalize_name(requirement.name), 'not pinned')}"
        for requirement in _installed()
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert not wrong
