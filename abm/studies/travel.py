"""How a run travels to a worker: its classes by name where a worker can import them, else by value.

Classes of a notebook or script (`__main__`), and of modules that a fresh interpreter would not
find, are sent by value with cloudpickle. What cannot travel is refused before anything runs.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from abm.errors import ScenarioError
from abm.studies.registry import load_file
from abm.studies.run import Run

__all__ = ["loaded_files", "pack", "pack_value", "places", "unpack"]

_CANNOT = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError)
_REMEDY = (
    "Put the model into a file of its own and name it model = 'path/file.py:Class', take what "
    "cannot travel (open files, locks, connections, loaded models) out of the class, or run with "
    "one worker"
)


def pack(run: Run) -> bytes:
    """A run as bytes.

    Raises
    ------
    ScenarioError
        Its classes hold something that cannot travel; says what and what to do.
    """
    try:
        return _dumped(run, _modules(run))
    except _CANNOT as error:
        raise ScenarioError(
            f"{run.model.__name__} cannot travel to a worker process: {error}. {_REMEDY}",
            value=run.model.__name__,
        ) from error


def pack_value(value: Any, things: Sequence[Any]) -> bytes:
    """Any value as bytes; `things` are the functions or objects of the user that it holds.

    Raises
    ------
    ScenarioError
        It holds something that cannot travel.
    """
    names = {getattr(thing, "__module__", None) or "__main__" for thing in things}
    found = [sys.modules.get(name) for name in sorted(names) if name != "__main__"]
    own = [m for m in found if m is not None and not m.__name__.startswith("abm_file_")]
    try:
        return _dumped(value, own)
    except _CANNOT as error:
        raise ScenarioError(
            f"{things!r} cannot travel to a worker process: {error}. Put it into a module of its "
            "own, take what cannot travel (open files, locks, connections, loaded models) out of "
            "it, or run with one worker",
        ) from error


def _dumped(value: Any, modules: Sequence[ModuleType]) -> bytes:
    by_value = [module for module in modules if not _importable(module)]
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(value))
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def places(model: type) -> list[str]:
    """Files that a worker loads first: those of models named `path/file.py:Class`."""
    module = sys.modules.get(model.__module__)
    if model.__module__.startswith("abm_file_") and module is not None and module.__file__:
        return [module.__file__]
    return []


def loaded_files() -> list[str]:
    """Files of all modules that this process loaded by path; a worker loads them first."""
    found = [m for name, m in list(sys.modules.items()) if name.startswith("abm_file_")]
    return sorted(str(module.__file__) for module in found if module.__file__)


def unpack(packed: bytes, files: list[str]) -> Run:
    """The run again, in a worker.

    Raises
    ------
    ScenarioError
        The worker cannot import what the run needs.
    """
    try:
        for file in files:
            load_file(Path(file))
        run: Run = pickle.loads(packed)
    except Exception as error:  # importing and unpickling run anybody's code
        raise ScenarioError(
            f"a worker process cannot load the model: {type(error).__name__}: {error}. {_REMEDY}"
        ) from error
    return run


def _modules(run: Run) -> list[ModuleType]:
    """Modules of the model, its bases, its scenario and its policies, the library's own apart."""
    things: list[Any] = [*run.model.__mro__, *type(run.scenario).__mro__]
    things += [spec.policy for spec in run.specs.values() if spec.policy is not None]
    names = {getattr(thing, "__module__", "__main__") for thing in things}
    found = [sys.modules.get(name) for name in sorted(names) if name != "__main__"]
    return [m for m in found if m is not None and not m.__name__.startswith("abm_file_")]


def _importable(module: ModuleType) -> bool:
    """Whether a fresh interpreter with the same path would find this very module."""
    top = module.__name__.partition(".")[0]
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(top, None)
        if spec is not None:
            loaded = sys.modules.get(top)
            known = getattr(loaded, "__spec__", None)
            return loaded is not None and known is not None and known.origin == spec.origin
    return False
