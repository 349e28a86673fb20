"""From names in a file to functions, and from a study to a simulator.

Calibration imports no model. A file names a function (`module:function` or `file.py:function`), or
a study whose scenario is run with the parameters put in.
"""

from __future__ import annotations

import importlib
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from abm.calibration.checks import real
from abm.calibration.problem import Simulated
from abm.errors import CalibrationError, ScenarioError, require
from abm.studies import Seeds, Study
from abm.studies.answering import Answering
from abm.studies.parameters import closest
from abm.studies.registry import code_digest, load_file, study_file
from abm.studies.run import Result, Run, perform

__all__ = ["StudySimulator", "function_of"]


def function_of(written: Any, folder: Path | None = None) -> Callable[..., Any]:
    """The function that a file names.

    Parameters
    ----------
    written
        `"module:function"`, `"path/file.py:function"` (from `folder`), or the function itself.

    Raises
    ------
    CalibrationError
        There is none of that name.

    Examples
    --------
    >>> function_of("math:sqrt")(9.0)
    3.0
    """
    if callable(written):
        return written  # type: ignore[no-any-return]
    place, _, name = str(written).rpartition(":")
    require(
        bool(place) and bool(name),
        CalibrationError,
        f"{written!r}, expected 'module:function' or 'path/file.py:function'",
        value=written,
    )
    try:
        if place.endswith(".py"):
            module = load_file((folder or Path.cwd()) / place, str(written))
        else:
            module = importlib.import_module(place)
    except (ImportError, ScenarioError) as error:
        raise CalibrationError(f"{written!r}: {error}", value=written) from error
    found: Any = getattr(module, name, None)
    names = [n for n, value in vars(module).items() if callable(value)]
    require(
        callable(found),
        CalibrationError,
        f"{written!r}: {place} has no function {name!r}; {closest(name, names)}",
        value=written,
    )
    function: Callable[..., Any] = found
    return function


@dataclass(frozen=True)
class StudySimulator:
    """Runs one arm of a study with other parameters, and summarises what came out.

    Parameters
    ----------
    study
        A study or its file (`FAMILY/STUDY` too).
    arm
        Which arm; the first by default.
    answerers
        Fidelity -> answerer of the study; by default each fidelity is answered by the answerer of
        its own name.
    outcomes
        Target -> name of an outcome of the model.
    summarise
        In place of `outcomes`: a function, or its reference, from the `Result` of a run (series,
        agents, outcomes) to summaries.
    tokens_per_unit
        So many notional tokens add one unit to a run's cost; `None` leaves the declared cost.
    folder
        Where relative references start.

    Notes
    -----
    The seed of a simulation is the seed of chance, population and network, so a run is one draw
    from everything that the study lets vary; what is not in the study's `varies` keeps the study's
    own seed. Language models are loaded once per process and asked once per distinct request.

    Examples
    --------
    >>> simulate = StudySimulator("opinion_network/preset_small", arm="ordinary",
    ...                           outcomes={"variance": "all.variance"})
    >>> def short(parameters):
    ...     return simulate({"duration": 1.0, "n_citizens": 50, **parameters}, 1, "rule").summaries
    >>> short({"rate": 0.5})["variance"] < short({"rate": 0.0})["variance"]
    True
    """

    study: Study | str | Path
    arm: str | None = None
    answerers: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    summarise: str | Callable[[Result], Mapping[str, Any]] | None = None
    tokens_per_unit: float | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        require(
            bool(self.outcomes) != (self.summarise is not None),
            CalibrationError,
            "a study is summarised by outcomes = {target = 'name of an outcome'} or by a function "
            "summarise = 'module:function'; give one of them",
            argument="outcomes",
        )
        if not isinstance(self.study, Study):
            path = study_file(self.study)
            if self.folder is not None and not path.is_absolute() and not path.exists():
                path = self.folder / path
            object.__setattr__(self, "study", Study.from_toml(path))
        require(
            self.arm is None or self.arm in self._study.arms,
            CalibrationError,
            f"arm = {self.arm!r}: the study has no such arm; "
            f"{closest(str(self.arm), self._study.arms)}",
            argument="arm",
            place=("arm",),
        )
        if self.tokens_per_unit is not None:
            price = real(self.tokens_per_unit, "tokens_per_unit", place=("tokens_per_unit",))
            require(
                price > 0,
                CalibrationError,
                f"tokens_per_unit = {price}, expected > 0",
                argument="tokens_per_unit",
                place=("tokens_per_unit",),
            )

    def check(self, names: Sequence[str], levels: Sequence[str]) -> None:
        """Refuse parameters and fidelities that the study does not have, before anything runs.

        Raises
        ------
        CalibrationError
            Names the parameter or the fidelity.
        """
        scenario = self._study.scenarios[self.arm or next(iter(self._study.arms))]
        known = list(type(scenario).model_fields)
        for name in names:
            require(
                name in known,
                CalibrationError,
                f"parameter {name!r}: the study's model has no such parameter; "
                f"{closest(name, known)}",
                value=name,
            )
        for level in levels:
            try:
                self._run(level)
            except ScenarioError as error:
                raise CalibrationError(
                    f"fidelity {level!r}: {error}; name its answerer in answerers", value=level
                ) from error

    def __call__(self, parameters: Mapping[str, float], seed: int, fidelity: str) -> Simulated:
        """Run it once."""
        run = self._run(fidelity)
        run = replace(
            run,
            scenario=run.scenario.replaced(**_as_declared(run.scenario, parameters)),
            seeds=self._seeds(run.seeds, seed),
        )
        answers = self._answering.for_run(run)
        result = perform(run, answers.policies)
        used = answers.used().values()
        tokens = sum(u.get("tokens_in", 0) + u.get("tokens_out", 0) for u in used)
        return Simulated(self._summaries(result), self._cost(tokens), int(tokens))

    def describe(self) -> dict[str, Any]:
        """Who it is, for the identity of a ledger."""
        study = self._study
        return {
            "study": study.name,
            "arm": self.arm or next(iter(study.arms)),
            "scenario": study.scenarios[self.arm or next(iter(study.arms))].to_dict(),
            "answerers": {
                name: {role: spec.described() for role, spec in table.items()}
                for name, table in study.specs.items()
            },
            "fidelities": dict(self.answerers),
            "outcomes": dict(self.outcomes),
            "summarise": str(self.summarise),
            "code": code_digest(study.model_class),
        }

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_answering"}

    @property
    def _study(self) -> Study:
        assert isinstance(self.study, Study)
        return self.study

    def _run(self, fidelity: str) -> Run:
        answerer = self.answerers.get(fidelity, fidelity)
        arm = self.arm or next(iter(self._study.arms))
        if answerer == "model" and "model" not in self._study.answerers:
            answerer = next(iter(self._study.answerers))
        run = self._study.run_of(arm, answerer)
        return replace(run, agents=self.summarise is not None)

    def _seeds(self, own: Seeds, seed: int) -> Seeds:
        varies = self._study.varies
        return Seeds(
            **{name: seed if name in varies else getattr(own, name) for name in
               ("chance", "population", "network")}
        )  # fmt: skip

    @cached_property
    def _answering(self) -> Answering:
        """The language models of this process; their ledger is a scratch file."""
        wanted = list(self.answerers.values()) or list(self._study.answerers)
        arm = self.arm or next(iter(self._study.arms))
        runs = [self._study.run_of(arm, answerer) for answerer in wanted]
        folder = tempfile.TemporaryDirectory(prefix="abm-calibration-")
        answering = Answering(runs, Path(folder.name) / "ledger.sqlite")
        weakref.finalize(self, _give_back, answering, folder)
        return answering

    def _summaries(self, result: Result) -> Mapping[str, Any]:
        if self.summarise is not None:
            found: Mapping[str, Any] = function_of(self.summarise, self.folder)(result)
            return found
        for target, name in self.outcomes.items():
            require(
                name in result.outcomes,
                CalibrationError,
                f"outcomes: {target} = {name!r}, but the model has no such outcome; "
                f"{closest(name, result.outcomes)}",
                value=name,
            )
        return {target: result.outcomes[name] for target, name in self.outcomes.items()}

    def _cost(self, tokens: float) -> float | None:
        return None if self.tokens_per_unit is None else 1.0 + tokens / self.tokens_per_unit


def _give_back(answering: Answering, folder: tempfile.TemporaryDirectory[str]) -> None:
    """What a simulator holds until nobody has it any more: models, ledger, scratch folder."""
    answering.close()
    folder.cleanup()


def _as_declared(scenario: Any, parameters: Mapping[str, float]) -> dict[str, Any]:
    """Whole-number parameters as integers: a prior draws floats."""
    kinds = {name: info.annotation for name, info in type(scenario).model_fields.items()}
    return {
        name: round(value) if kinds.get(name) is int else value
        for name, value in parameters.items()
    }
