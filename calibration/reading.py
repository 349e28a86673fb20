"""Calibration files: from TOML to a `Calibration`, checked as a whole before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Self

from abm.calibration.adapters import StudySimulator, function_of
from abm.calibration.distances import ScaledEuclidean, distance_of
from abm.calibration.marginals import marginal_of
from abm.calibration.methods import method_named
from abm.calibration.priors import Constrained, Correlated, Independent
from abm.calibration.problem import Problem
from abm.calibration.targets import Target, Targets, cross_table, distribution, scalar, series
from abm.errors import AbmError, CalibrationError, require
from abm.studies.parameters import closest
from abm.studies.registry import study_file
from abm.studies.toml import line_of

__all__ = ["Calibration"]

_TABLES = ("calibration", "simulator", "prior", "targets", "distance", "fidelities", "method")
_HEAD = ("name", "seed", "common_random_numbers", "failures", "report", "label")
_KINDS = {"value": scalar, "values": series, "counts": distribution, "table": cross_table}


@dataclass(frozen=True)
class Calibration:
    """A problem, the method that solves it, and who reports on the result.

    Parameters
    ----------
    problem
        What is calibrated to what.
    method
        A name of `abm.calibration.methods.METHODS`.
    options
        Options of the method.
    report
        Function of (result, problem, folder, simulations) that scores and prints, or `None`. It may
        use the held-out targets, and run more simulations.
    label
        What every output must say; empty for most.
    text
        The file that it was read from.
    """

    problem: Problem
    method: str = "smc"
    options: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[..., Any] | None = None
    label: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        method_named(self.method, self.options)

    @property
    def name(self) -> str:
        return self.problem.name

    @classmethod
    def from_toml(cls, written: str | Path) -> Self:
        """Read and check a file; also `FAMILY/NAME` for one that came with a family.

        Raises
        ------
        CalibrationError
            The message begins with file and line, and ends with the remedy.
        """
        path = study_file(written)
        try:
            text = path.read_text(encoding="utf-8")
            raw = tomllib.loads(text)
        except FileNotFoundError:
            raise CalibrationError(
                f"there is no calibration file {path}; `abm models NAME` lists those of a family, "
                "which are named FAMILY/NAME"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CalibrationError(f"{path}: cannot be read as text: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise CalibrationError(f"{path}: this is not TOML: {error}") from error
        try:
            return cls(**_read(raw, path), text=text)
        except AbmError as error:
            line = line_of(text, getattr(error, "place", ()))
            where = f"{path}:{line}" if line else str(path)
            raise CalibrationError(f"{where}: {error}", **error.values) from error

    def with_options(self, **options: Any) -> Self:
        """The same calibration with some options changed."""
        return replace(self, options={**self.options, **options})


def _read(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    require(
        "study" not in raw,
        CalibrationError,
        "this file is a study and no calibration; run it with `abm study`",
        place=("study",),
    )
    for name in raw:
        _known(name, _TABLES, (name,))
    head = _table(raw, "calibration")
    for name in head:
        _known(name, _HEAD, ("calibration", name))
    method = _table(raw, "method")
    for needed, table in (("name", head), ("name", method)):
        if not isinstance(table.get(needed), str):
            raise CalibrationError(
                f"[{'calibration' if table is head else 'method'}] name: expected a text; it is "
                "required",
                place=("calibration" if table is head else "method",),
            )
    folder = path.resolve().parent
    chosen: dict[str, Any] = {
        k: head[k] for k in ("seed", "common_random_numbers", "failures") if k in head
    }
    report = head.get("report")
    require(
        isinstance(head.get("label", ""), str),
        CalibrationError,
        f"label = {head.get('label')!r}, expected a text",
        place=("calibration", "label"),
    )
    with _at("targets"):
        targets = _targets(raw.get("targets"), folder)
    if not raw.get("prior"):
        raise CalibrationError("[prior]: expected parameters, such as rate = { uniform = [0, 1] }")
    with _at("prior"):
        prior = _prior(_table(raw, "prior"))
    with _at("simulator"):
        simulator = _simulator(raw.get("simulator"), folder)
    with _at("distance"):
        distance = distance_of(raw["distance"]) if "distance" in raw else ScaledEuclidean()
    discrepancy, targets = _discrepancies(raw, targets)
    if "fidelities" in raw:
        chosen["fidelities"] = _table(raw, "fidelities")
    problem = Problem(simulator, prior, targets, distance, discrepancy, name=head["name"], **chosen)
    with _at("simulator"):
        _check_simulator(problem)
    with _at("calibration", "report"):
        reporter = None if report is None else function_of(report, folder)
    return {
        "problem": problem,
        "method": method["name"],
        "options": {k: v for k, v in method.items() if k != "name"},
        "report": reporter,
        "label": head.get("label", ""),
    }


def _prior(table: dict[str, Any]) -> Any:
    constraints = table.pop("constraints", [])
    correlation = table.pop("correlation", None)
    marginals = {}
    for name, written in table.items():
        with _at(name):
            marginals[name] = marginal_of(written, name)
    prior: Any = (
        Independent(marginals) if correlation is None else Correlated(marginals, correlation)
    )
    return Constrained(prior, constraints) if constraints else prior


def _targets(written: Any, folder: Path) -> Targets:
    if isinstance(written, str):
        return _checked(function_of(written, folder)())
    require(
        isinstance(written, Mapping) and bool(written),
        CalibrationError,
        "[targets]: expected one table per target, or targets = 'module:function'",
    )
    assert isinstance(written, Mapping)
    if "function" in written:
        options = {k: v for k, v in written.items() if k not in ("function", "discrepancy")}
        return _checked(function_of(written["function"], folder)(**options))
    found = []
    for name, table in written.items():
        with _at(name):
            found.append(_target(name, table))
    return Targets(found)


def _target(name: str, table: Any) -> Target:
    require(
        isinstance(table, Mapping) and len(set(table) & set(_KINDS)) == 1,
        CalibrationError,
        f"target {name!r} = {table!r}, expected a table with one of value, values, counts, table",
        argument=name,
    )
    (kind,) = set(table) & set(_KINDS)
    known = (kind, "discrepancy", *list(signature(_KINDS[kind]).parameters)[2:])  # type: ignore[arg-type]
    for option in table:
        require(
            option in known,
            CalibrationError,
            f"target {name!r} has no option {option!r} beside {kind!r}; {closest(option, known)}",
            argument=name,
            place=(option,),
        )
    options = {k: v for k, v in table.items() if k not in (kind, "discrepancy")}
    return _KINDS[kind](name, table[kind], **options)  # type: ignore[operator,no-any-return]


def _checked(found: Any) -> Targets:
    """What a function of targets gave."""
    if not isinstance(found, (list, tuple, Targets)):
        raise CalibrationError(
            f"the function of the targets gave {type(found).__name__}, expected Targets"
        )
    return found if isinstance(found, Targets) else Targets(found)


def _check_simulator(problem: Problem) -> None:
    """Refuse a simulator that cannot be called, before anything runs."""
    simulator: Any = problem.simulator
    if isinstance(simulator, StudySimulator):
        simulator.check(problem.names, problem.levels)
        return
    function, options = getattr(simulator, "func", simulator), getattr(simulator, "keywords", {})
    try:
        signature(function).bind({}, 0, problem.dearest, **options)
    except TypeError as error:
        raise CalibrationError(
            f"the simulator cannot be called with (parameters, seed, fidelity) and these options: "
            f"{error}"
        ) from error
    except ValueError:  # built in: it has no signature to look at
        return


def _discrepancies(raw: Mapping[str, Any], targets: Targets) -> tuple[dict[str, Any], Targets]:
    written = raw["targets"]
    if isinstance(written, str):
        return {}, targets
    if "function" in written:
        return dict(written.get("discrepancy", {})), targets
    found = {n: t["discrepancy"] for n, t in written.items() if "discrepancy" in t}
    return found, targets


def _simulator(written: Any, folder: Path) -> Any:
    if isinstance(written, str):
        return function_of(written, folder)
    require(
        isinstance(written, Mapping) and ("function" in written) != ("study" in written),
        CalibrationError,
        "simulator: expected 'module:function', a table with function = ..., or one with "
        "study = ...",
    )
    assert isinstance(written, Mapping)
    if "function" in written:
        options = {k: v for k, v in written.items() if k != "function"}
        function = function_of(written["function"], folder)
        return partial(function, **options) if options else function
    try:
        return StudySimulator(**written, folder=folder)
    except TypeError as error:
        raise CalibrationError(f"simulator: {error}") from error


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name, {})
    if not isinstance(value, Mapping):
        raise CalibrationError(f"{name} = {value!r}: expected a table [{name}]", place=(name,))
    return dict(value)


def _known(name: str, names: Sequence[str], place: tuple[str, ...]) -> None:
    if name not in names:
        raise CalibrationError(f"{'.'.join(place)}: unknown; {closest(name, names)}", place=place)


class _at:
    """Adds the place in the file to an error raised inside."""

    def __init__(self, *place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, AbmError):
            place = (*self.place, *getattr(error, "place", ()))
            values = {**error.values, "place": place}
            raise CalibrationError(str(error), **values) from error
