"""Running one simulation: call the simulator, lay out its answer, name what went wrong.

The same code runs in the calling process and in workers. It knows the shapes of the targets and
none of their values: what a fit may not see is not even sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration.problem import Problem, Simulated, Task
from abm.calibration.records import FAILED, NOT_FINITE, OK, UNDEFINED, Record
from abm.calibration.targets import Targets
from abm.errors import CalibrationError

__all__ = ["Runner", "failed"]

_NOTHING: NDArray[np.float64] = np.empty(0)


@dataclass(frozen=True)
class Runner:
    """What is needed to run a task.

    Attributes
    ----------
    simulator, names
        The function and the names of its parameters.
    fitted, held_out
        Shapes of the targets.
    costs
        Declared notional cost of each fidelity.
    """

    simulator: Any
    names: tuple[str, ...]
    fitted: Targets
    held_out: Targets
    costs: Mapping[str, float]

    @classmethod
    def of(cls, problem: Problem) -> Runner:
        """The runner of a problem."""
        blank = Targets([replace(t, value=np.zeros(t.shape)) for t in problem.targets])
        return cls(
            problem.simulator,
            problem.names,
            blank.fitted,
            blank.held_out,
            dict(problem.fidelities),
        )

    def __call__(self, task: Task) -> Record:
        """Run it.

        Raises
        ------
        CalibrationError
            The answer lacks a target or has another shape: no simulation could be used.
        """
        parameters = dict(zip(self.names, task.parameters, strict=True))
        begun = time.perf_counter()
        try:
            answer = self.simulator(parameters, task.seed, task.fidelity)
        except CalibrationError:
            raise
        except Exception as error:  # anybody's code: its failure is an outcome
            seconds = time.perf_counter() - begun
            return failed(task, self, f"{type(error).__name__}: {error}", seconds)
        seconds = time.perf_counter() - begun
        cost, tokens = self.costs[task.fidelity], 0
        if isinstance(answer, Simulated):
            tokens = answer.tokens
            cost = cost if answer.cost is None else float(answer.cost)
            answer = answer.summaries
        if not isinstance(answer, Mapping):
            raise CalibrationError(
                f"the simulator answered with {type(answer).__name__}, expected a mapping from "
                "target names to numbers, or Simulated(...)"
            )
        statistics = self.fitted.vector(answer)
        held_out = self.held_out.vector(answer) if self.held_out.targets else _NOTHING
        if math.isfinite(statistics.sum()) or np.isfinite(statistics).all():
            return Record(task, OK, statistics, held_out, cost, tokens, seconds)
        return Record(
            task, NOT_FINITE, statistics, held_out, cost, tokens, seconds, self._bad(statistics)
        )

    def _bad(self, statistics: NDArray[np.float64]) -> str:
        labels = self.fitted.labels
        bad = [labels[k] for k in np.flatnonzero(~np.isfinite(statistics))]
        return UNDEFINED + ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")


def failed(task: Task, runner: Runner, error: str, seconds: float = 0.0) -> Record:
    """The record of a simulation that gave no answer; it costs what its fidelity is declared to."""
    return Record(
        task,
        FAILED,
        np.full(runner.fitted.size, np.nan),
        np.full(runner.held_out.size, np.nan),
        float(runner.costs[task.fidelity]),
        0,
        seconds,
        error,
    )
