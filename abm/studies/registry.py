"""Which model a study runs: a family by name, a class by reference, or the class itself.

Three written forms: `opinion_network` (a family that is installed), `package.module:Class` (any
importable class) and `path/file.py:Class` (a class in a script, the path seen from the study).
Families are found where they live: a sub-package of `abm.models` with a `FAMILY` description, or
an entry point of the group `abm.models` that leads to one. A new family is a new folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from abm.errors import ScenarioError
from abm.studies.parameters import closest

__all__ = [
    "Family",
    "check_class",
    "code_digest",
    "families",
    "reference",
    "resolve",
    "studies_of",
    "study_file",
]

GROUP = "abm.models"


@dataclass(frozen=True)
class Family:
    """Description of a model family; a family's package holds one under the name `FAMILY`.

    Parameters
    ----------
    title
        One line.
    model
        Reference of its model class, `package.module:Class`.
    description
        What question it answers, in a few sentences.
    source
        Where the model comes from.
    studies
        Names of the studies in its folder `studies/`, shown by `abm models NAME`.

    Examples
    --------
    >>> Family("Queues", "my_package.queues:Queue").model
    'my_package.queues:Queue'
    """

    title: str
    model: str
    description: str = ""
    source: str = ""
    studies: tuple[str, ...] = ()


def families() -> dict[str, Family]:
    """All families that are installed, by name."""
    found = {**_own_families(), **_foreign_families()}
    return dict(sorted(found.items()))


def _own_families() -> dict[str, Family]:
    package = importlib.import_module("abm.models")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            family = importlib.import_module(f"abm.models.{module.name}")
            described = getattr(family, "FAMILY", None)
            if described is not None:
                found[module.name] = _as_family(module.name, described)
    return found


def _foreign_families() -> dict[str, Family]:
    return {point.name: _as_family(point.name, point.load()) for point in entry_points(group=GROUP)}


def _as_family(name: str, described: Any) -> Family:
    if isinstance(described, Mapping):
        described = Family(**described)
    if isinstance(described, type):
        described = Family(described.__name__, reference(described))
    if not isinstance(described, Family):
        raise ScenarioError(
            f"family {name!r}: FAMILY = {described!r}, expected "
            "abm.studies.Family(title, model='module:Class')"
        )
    return described


def resolve(model: str | type, folder: Path | None = None) -> type:
    """The model class that a study names.

    Parameters
    ----------
    model
        A family name, `module:Class`, `file.py:Class`, or the class itself.
    folder
        Where relative file paths start; the working directory when `None`.

    Raises
    ------
    ScenarioError
        Nothing of that name exists, or it is not a model that a study can run.

    Examples
    --------
    >>> resolve("abm.studies.seeds:Seed")
    Traceback (most recent call last):
    abm.errors.ScenarioError: ...: the module has no 'Seed'; did you mean 'Seeds'?
    """
    if isinstance(model, type):
        return check_class(model)
    if ":" not in model:
        return check_class(_attribute(model, _family(model).model))
    place, _, name = model.rpartition(":")
    if place.endswith(".py"):
        module = load_file((folder or Path.cwd()) / place, model)
        return check_class(_named(module, name, model))
    return check_class(_attribute(model, model))


def _family(name: str) -> Family:
    known = families()
    if name not in known:
        raise ScenarioError(
            f"model = {name!r}: no family has that name; {closest(name, known)}. "
            "Your own model is named 'package.module:Class' or 'path/file.py:Class'",
            argument="model",
            value=name,
        )
    return known[name]


def _attribute(written: str, place: str) -> Any:
    module_name, _, name = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing runs anybody's code
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        if missing and f"{module_name}.".startswith(f"{error.name}."):  # type: ignore[attr-defined]
            raise ScenarioError(
                f"model = {written!r}: there is no module {module_name!r}; install it, run from "
                "its folder, or name the file: 'path/file.py:Class'",
                argument="model",
                value=written,
            ) from error
        raise _import_failed(written, error) from error
    return _named(module, name, written)


def _named(module: Any, name: str, written: str) -> Any:
    if not hasattr(module, name):
        names = [n for n, value in vars(module).items() if isinstance(value, type)]
        raise ScenarioError(
            f"model = {written!r}: the module has no {name!r}; {closest(name, names)}",
            argument="model",
            value=written,
        )
    return getattr(module, name)


def studies_of(family: str) -> list[Path]:
    """Study files in the folder `studies/` of an installed family."""
    described = families().get(family)
    home = f"abm.models.{family}" if described is None else described.model.partition(":")[0]
    if described is None and not (
        family.isidentifier() and importlib.util.find_spec(home) is not None
    ):
        return []
    package = importlib.import_module(home)  # a folder of simulators without a model may have some
    folder = Path(package.__file__ or "").parent / "studies"
    return sorted(folder.glob("*.toml"))


def study_file(written: str | Path) -> Path:
    """A study file: the path itself, or FAMILY/STUDY for one that came with a family.

    Examples
    --------
    >>> study_file("my_study.toml").name
    'my_study.toml'
    """
    path = Path(written)
    if path.suffix == ".toml" or path.exists() or len(path.parts) != 2:
        return path
    files = {file.stem: file for file in studies_of(path.parts[0])}
    if path.parts[1] not in files:
        known = [f"{path.parts[0]}/{name}" for name in files] or list(families())
        raise ScenarioError(
            f"there is no study file {path}, nor a study of that name in a family; "
            f"{closest(str(written), known)}",
            value=str(written),
        )
    return files[path.parts[1]]


def load_file(path: Path, written: str = "") -> Any:
    """The module in a Python file, loaded once under a name made from its path."""
    path = path.resolve()
    name = f"abm_file_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ScenarioError(
            f"model = {written!r}: there is no file {path}; paths start at the study's folder",
            argument="model",
            value=written,
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # as above
        del sys.modules[name]
        raise _import_failed(written or str(path), error) from error
    return module


def _import_failed(written: str, error: Exception) -> ScenarioError:
    return ScenarioError(
        f"model = {written!r}: importing it failed with {type(error).__name__}: {error}",
        argument="model",
        value=written,
    )


def check_class(cls: Any) -> type:
    """The class itself, if a study can run it; else ScenarioError says what is missing."""
    from abm.studies.scenario import Scenario

    name = getattr(cls, "__name__", repr(cls))
    problem = ""
    if not (isinstance(cls, type) and callable(getattr(cls, "run_until", None))):
        problem = "it is no abm.Model; write class " + name + "(abm.Model)"
    elif not issubclass(getattr(cls, "Scenario", type(None)) or type(None), Scenario):
        problem = "it names no scenario; give the class an attribute Scenario = YourScenario"
    elif not isinstance(getattr(cls, "roles", {}), Mapping):
        problem = "its attribute roles must map each role to the rule policy that stands for it"
    if problem:
        raise ScenarioError(f"a study cannot run {name}: {problem}", argument="model", value=name)
    return cls  # type: ignore[no-any-return]


def reference(cls: type) -> str:
    """How a class is written down: `module:Class`, or `file.py:Class` if it came from a file."""
    module = sys.modules.get(cls.__module__)
    place = cls.__module__
    if place.startswith("abm_file_") and module is not None and module.__file__:
        place = module.__file__
    return f"{place}:{cls.__qualname__}"


def code_digest(cls: type) -> str:
    """Hash of the Python and text files that a model class was read from; empty if unknown.

    A class in a package stands for its package's folder, another for its file.
    """
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if file is None or cls.__module__ == "__main__":
        return ""
    path = Path(file)
    package = getattr(module, "__package__", "")
    files = [path]
    if package and package != "abm":
        files = [f for f in path.parent.rglob("*") if f.suffix in (".py", ".md", ".txt", ".json")]
    content = sha256()
    for item in sorted(files):
        if "__pycache__" not in item.parts:
            content.update(item.name.encode() + b"\0" + item.read_bytes())
    return content.hexdigest()[:16]
