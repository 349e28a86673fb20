"""The problem of a calibration: a simulator, what is believed before, and what the data say.

A simulator is a function

    simulator(parameters, seed, fidelity) -> summaries

of a mapping from parameter names to numbers, one integer seed, and the name of a fidelity. It
answers with a mapping from target names to numbers or arrays, or with `Simulated(summaries, cost)`
where a run's cost differs from what its fidelity is declared to cost. Equal arguments must give
equal answers.

Costs are notional: what a run would cost if nothing were cached. A warm ledger of language-model
answers changes no cost, hence no decision that a method takes by cost.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from itertools import repeat
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import floats, is_real
from abm.calibration.distances import Distance, ScaledEuclidean, check_distance
from abm.calibration.priors import Constrained, Correlated, Independent, Prior
from abm.calibration.targets import Targets
from abm.errors import CalibrationError, require
from abm.rng import uniform, uniforms

__all__ = ["Problem", "Simulated", "Simulator", "Task"]

Floats = NDArray[np.float64]
CommonNumbers = Literal["off", "levels", "everywhere"]


@dataclass(frozen=True)
class Simulated:
    """What a simulator may answer instead of a bare mapping.

    Attributes
    ----------
    summaries
        Target -> number or array.
    cost
        Notional cost of this run, in the unit of `Problem.fidelities`; `None` takes the declared.
    tokens
        Notional tokens that language models read and wrote, >= 0.

    Raises
    ------
    CalibrationError
        A cost that is not above 0, or tokens that are no number: every later choice by cost would
        be undefined.
    """

    summaries: Mapping[str, Any]
    cost: float | None = None
    tokens: int = 0

    def __post_init__(self) -> None:
        cost, tokens = self.cost, self.tokens
        try:
            good = (cost is None or 0 < cost < math.inf) and 0 <= tokens < math.inf
        except TypeError:
            good = False
        if not good:
            raise CalibrationError(
                f"Simulated: cost = {cost!r}, tokens = {tokens!r}, expected a finite cost > 0 or "
                "None, and tokens >= 0",
                argument="cost",
                value=cost,
            )


Simulator = Callable[[Mapping[str, float], int, str], Mapping[str, Any] | Simulated]


class Task(NamedTuple):
    """One simulation to be run.

    Its place is (stage, index, fidelity): a ledger holds one record for each. Everything in it
    follows from the problem and the place, never from when or where it runs.

    Attributes
    ----------
    stage
        Which part of a method asks: `"prior"`, `"smc/2"`; letters, digits and `/ _ - .`.
    index
        Number of the proposal in its stage, >= 0.
    parameters
        Values in the order of the prior's names.
    """

    stage: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    parameters: tuple[float, ...]
    seed: int
    fidelity: str


@dataclass(frozen=True)
class Problem:
    """What is calibrated to what.

    Parameters
    ----------
    simulator
        See the module's head.
    prior
        `Independent`, `Correlated` or `Constrained`.
    targets
        The data. A fit sees `targets.fitted`, scores see `targets.held_out`.
    distance
        Between simulated statistics and data; scaled Euclidean by default.
    discrepancy
        Target -> standard deviation (one number or one per statistic) of what the model leaves out
        even at its best parameters.
    fidelities
        Fidelity -> notional cost of a run, from the cheapest to the dearest. The dearest is the
        model that the posterior is about.
    seed
        The one seed.
    common_random_numbers
        `"levels"`: the fidelities of one proposal share their seed, proposals differ (the default).
        `"everywhere"`: all proposals share the seed of their replicate, as optimisers like it.
        `"off"`: every run has its own.
    failures
        What a failed simulation or one with a statistic that is no number means: `"reject"` (it is
        infinitely far from the data, stays in the ledger and is counted, the default) or `"abort"`.
    name
        Names the folder of results.

    Raises
    ------
    CalibrationError
        What does not hold together, before anything runs.

    Examples
    --------
    >>> from abm.calibration import Problem, Independent, Targets, scalar, uniform
    >>> def falling(parameters, seed, fidelity):
    ...     return {"time": (2 * parameters["height"] / 9.81) ** 0.5}
    >>> problem = Problem(falling, Independent({"height": uniform(1, 10)}),
    ...                   Targets([scalar("time", 1.0, 0.01)]), seed=1)
    >>> problem.names, problem.observed.tolist(), problem.dearest
    (('height',), [1.0], 'model')
    """

    simulator: Simulator
    prior: Independent | Correlated | Constrained
    targets: Targets
    distance: Distance = field(default_factory=ScaledEuclidean)
    discrepancy: Mapping[str, ArrayLike] = field(default_factory=dict)
    fidelities: Mapping[str, float] = field(default_factory=lambda: {"model": 1.0})
    seed: int = 0
    common_random_numbers: CommonNumbers = "levels"
    failures: Literal["reject", "abort"] = "reject"
    name: str = "calibration"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in order; d of them."""
        return self.prior.names

    @cached_property
    def fitted(self) -> Targets:
        """The targets that a fit sees."""
        return self.targets.fitted

    @property
    def observed(self) -> Floats:
        """Their values, shape (m,)."""
        return self.fitted.observed

    @cached_property
    def discrepancy_sd(self) -> Floats:
        """Standard deviation of the model discrepancy of each fitted statistic, shape (m,)."""
        found = np.zeros(self.fitted.size)
        for name, sd in self.discrepancy.items():
            if name in self.fitted.names:
                place = self.fitted.slices[name]
                found[place] = np.broadcast_to(
                    np.asarray(sd, dtype=float).ravel(), found[place].shape
                )
        return found

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the fidelities, from the cheapest to the dearest."""
        return tuple(self.fidelities)

    @property
    def dearest(self) -> str:
        """The fidelity that the posterior is about."""
        return self.levels[-1]

    def distances(self, statistics: Floats) -> Floats:
        """Distances of simulated statistics, shape (n, m), to the data; inf where not finite."""
        return self.distance(statistics, self.fitted)

    def with_pilot(self, statistics: Floats) -> Problem:
        """The same problem with the scales of its distance taken from pilot statistics.

        Raises
        ------
        CalibrationError
            The distance would be degenerate; names the statistics.
        """
        fitted = self.distance.fitted(statistics, self.fitted, self.discrepancy_sd)
        return replace(self, distance=fitted)

    # ------------------------------------------------------------------ tasks

    def task(
        self,
        stage: str,
        index: int,
        parameters: ArrayLike,
        fidelity: str | None = None,
        *,
        replicate: int = 0,
    ) -> Task:
        """One simulation.

        Parameters
        ----------
        replicate
            Which repetition at the same parameters; it enters the seed. Give repetitions indices of
            their own: the place of a record is (stage, index, fidelity).
        """
        level = self.dearest if fidelity is None else fidelity
        purpose = self._purpose(stage, level)
        key, occasion = (
            (replicate, 0) if self.common_random_numbers == "everywhere" else (index, replicate)
        )
        seed = int(uniform(self.seed, purpose, key, occasion) * 2**53)
        return Task(stage, int(index), tuple(map(float, np.ravel(parameters))), seed, level)

    def tasks(
        self,
        stage: str,
        parameters: Floats,
        fidelity: str | None = None,
        *,
        first: int = 0,
        indices: ArrayLike | None = None,
    ) -> Iterator[Task]:
        """Tasks for rows of parameters, shape (n, d), with `indices`, shape (n,), or `first`,
        `first` + 1, ...

        Equal to `task` row by row, and faster.
        """
        level = self.dearest if fidelity is None else fidelity
        rows = np.asarray(parameters, dtype=np.float64)
        places = np.arange(first, first + len(rows)) if indices is None else np.asarray(indices)
        keys = places
        if self.common_random_numbers == "everywhere":
            keys = np.zeros(len(rows), dtype=np.int64)
        luck = uniforms(self.seed, self._purpose(stage, level), keys)
        seeds = (luck * 2**53).astype(np.int64).tolist()
        n, points = len(rows), map(tuple, rows.tolist())
        fields = zip(
            repeat(stage, n), places.tolist(), points, seeds, repeat(level, n), strict=True
        )
        yield from map(partial(tuple.__new__, Task), fields)  # Task(...), without a call in Python

    def _purpose(self, stage: str, level: str) -> str:
        if self.common_random_numbers == "everywhere":
            return "simulate"
        return f"simulate {stage}" + (f" {level}" if self.common_random_numbers == "off" else "")

    # ------------------------------------------------------------------ identity

    def identity(self) -> dict[str, Any]:
        """Plain values of what decides the answer to a task: two ledgers of equal identity may be
        one. Values of the data, distances and weights do not enter: they change no simulation.
        """
        return {
            "simulator": described(self.simulator),
            "parameters": list(self.names),
            "targets": [[t.name, list(t.shape), t.held_out] for t in self.targets],
            "fidelities": dict(self.fidelities),
            "seed": self.seed,
            "common_random_numbers": self.common_random_numbers,
        }

    def describe(self) -> dict[str, Any]:
        """Plain values of everything, for a manifest."""
        return {
            **self.identity(),
            "name": self.name,
            "prior": self.prior.describe(),
            "targets": self.targets.describe(),
            "distance": self.distance.describe(),
            "discrepancy": {k: np.asarray(v).tolist() for k, v in self.discrepancy.items()},
            "failures": self.failures,
        }

    @property
    def digest(self) -> str:
        """Hash of `identity`."""
        text = json.dumps(self.identity(), sort_keys=True, default=str)
        return sha256(text.encode()).hexdigest()[:16]


def described(simulator: Any) -> dict[str, Any]:
    """Who a simulator is: its own `describe()`, or its name, a hash of the file it came from, and
    the plain values that it carries (options, defaults, what it closes over, attributes).

    Examples
    --------
    >>> def scaled(k):
    ...     return lambda parameters, seed, fidelity: {"y": k * parameters["x"]}
    >>> described(scaled(2))["values"], described(scaled(2)) == described(scaled(3))
    ({'k': '2'}, False)
    """
    own = getattr(simulator, "describe", None)
    if callable(own):
        return dict(own())
    inner = getattr(simulator, "func", simulator)
    place = inner if inspect.isfunction(inner) else type(inner)
    name = f"{place.__module__}:{place.__qualname__}"
    try:
        file = inspect.getsourcefile(place)
        if file and place.__module__.startswith("abm_file_"):
            name = f"{Path(file).name}:{place.__qualname__}"
        code = sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
    except (TypeError, OSError):
        code = ""
    given = getattr(simulator, "keywords", {})
    if isinstance(simulator, partial):
        given = dict(enumerate(simulator.args)) | given
    options = {str(k): str(_plain(v) if isinstance(v, np.ndarray) else v) for k, v in given.items()}
    found: dict[str, Any] = {"name": name, "code": code}
    carried = {k: text for k, v in _carried(inner).items() if (text := _plain(v)) is not None}
    return found | {k: v for k, v in (("options", options), ("values", carried)) if v}


def _carried(inner: Any) -> dict[str, Any]:
    """Values that come with a function or an instance, by name."""
    if not inspect.isfunction(inner):
        return dict(getattr(inner, "__dict__", {}))
    found = {
        name: parameter.default
        for name, parameter in inspect.signature(inner).parameters.items()
        if parameter.default is not parameter.empty
    }
    for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled yet
            found[name] = cell.cell_contents
    return found


def _plain(value: Any) -> str | None:
    """A text that tells plain values apart; `None` for what may change while it is used."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape} {sha256(value.tobytes()).hexdigest()[:16]}"
    if isinstance(value, tuple):
        parts = [_plain(part) for part in value]
        return None if None in parts else str(parts)
    return repr(value) if isinstance(value, (str, int, float, np.generic)) else None


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_PARTS: tuple[tuple[str, Any, str], ...] = (
    ("prior", Prior, "Independent, Correlated or Constrained"),
    ("distance", Distance, "a distance such as ScaledEuclidean()"),
    ("discrepancy", Mapping, "target -> standard deviation"),
    ("fidelities", Mapping, "name -> notional cost > 0"),
    ("seed", Integral, "a whole number"),
    ("name", str, "a text"),
)
"""Argument, its type, and the type in words."""


def _check(problem: Problem) -> None:
    require(
        callable(problem.simulator),
        CalibrationError,
        f"simulator = {problem.simulator!r}, expected a function of (parameters, seed, fidelity)",
        argument="simulator",
    )
    for argument, kind, expected in _PARTS:
        value = getattr(problem, argument)
        require(
            isinstance(value, kind) and not isinstance(value, type),
            CalibrationError,
            f"{argument} = {value!r}, expected {expected}",
            argument=argument,
            value=value,
            place=("calibration", argument) if argument in ("seed", "name") else (),
        )
    targets: Any = problem.targets
    if not isinstance(targets, Targets):
        object.__setattr__(problem, "targets", Targets(targets))
    require(
        problem.fitted.size > 0,
        CalibrationError,
        "there is no target to fit: all are held out, or none is given",
        argument="targets",
    )
    _check_fidelities(problem.fidelities)
    _check_discrepancy(problem)
    _check_words(problem)
    check_distance(problem.distance, problem.fitted, problem.discrepancy_sd)


def _check_fidelities(fidelities: Mapping[str, float]) -> None:
    costs = list(fidelities.values())
    priced = bool(costs) and all(is_real(cost) and cost > 0 for cost in costs)
    for good, expected in (
        (priced, "name -> notional cost > 0"),
        (priced and costs == sorted(costs), "from the cheapest to the dearest"),
    ):
        require(
            good,
            CalibrationError,
            f"fidelities = {dict(fidelities)}, expected {expected}",
            argument="fidelities",
            place=("fidelities",),
        )


def _check_discrepancy(problem: Problem) -> None:
    for name, sd in problem.discrepancy.items():
        place = ("targets", name, "discrepancy")
        values = floats(sd, f"discrepancy of {name!r}", argument="discrepancy", place=place)
        good = name in problem.targets.names
        good = good and values.size in (1, problem.targets[name].size)
        require(
            good and bool((np.isfinite(values) & (values >= 0)).all()),
            CalibrationError,
            f"discrepancy of {name!r} = {values.tolist()}, expected the name of a target and a "
            "standard deviation >= 0, one or one per statistic",
            argument="discrepancy",
            value=name,
            place=place,
        )


def _check_words(problem: Problem) -> None:
    for argument, known in (
        ("common_random_numbers", ("off", "levels", "everywhere")),
        ("failures", ("reject", "abort")),
    ):
        value = getattr(problem, argument)
        require(
            value in known,
            CalibrationError,
            f"{argument} = {value!r}, expected one of {known}",
            argument=argument,
            value=value,
            place=("calibration", argument),
        )
    require(
        _NAME.fullmatch(problem.name) is not None,
        CalibrationError,
        f"name = {problem.name!r}, expected up to 80 letters, digits and . _ + - (it becomes a "
        "folder)",
        argument="name",
        value=problem.name,
        place=("calibration", "name"),
    )
    require(
        not isinstance(problem.seed, bool),
        CalibrationError,
        f"seed = {problem.seed!r}, expected a whole number",
        argument="seed",
        place=("calibration", "seed"),
    )
