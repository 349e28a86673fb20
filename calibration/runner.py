"""Running one simulation: call the simulator, lay out its answer, name what went wrong.

The same code runs in the calling process and in workers. It knows the shapes of the targets and
none of their values: what a fit may not see is not even sent.

Between two simulations as little as possible is done: after a simulation caches hold its data, and
whatever runs next takes several times as long as it does in a loop of its own. So `ask` runs many
tasks and copies what they answered, and `records` makes their records afterwards, all together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration.problem import Problem, Simulated, Task
from abm.calibration.records import FAILED, NOT_FINITE, OK, UNDEFINED, Record
from abm.calibration.targets import Targets
from abm.errors import CalibrationError

__all__ = ["Answers", "Runner", "failed"]


@dataclass(frozen=True)
class Answers:
    """What a simulator said to the first of n tasks, copied at once: it may use its arrays again.

    Attributes
    ----------
    statistics, held_out
        Shapes (n, m) and (n, k); rows beyond `said` mean nothing.
    said
        For each task that was run, what it took in seconds, and a text where it failed, cost
        (`None`: as declared) and tokens where it gave them, else `None`.
    """

    statistics: NDArray[np.float64]
    held_out: NDArray[np.float64]
    said: list[tuple[float, str | tuple[float | None, int] | None]]


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
        """Run one.

        Raises
        ------
        CalibrationError
            The answer lacks a target or has another shape: no simulation could be used.
        """
        answers = self.answers(1)
        self.ask([task], answers)
        return self.records([task], answers)[0]

    def answers(self, n: int) -> Answers:
        """Room for the answers of n tasks."""
        return Answers(np.empty((n, self.fitted.size)), np.empty((n, self.held_out.size)), [])

    def ask(self, tasks: Sequence[Task], answers: Answers, seconds: float = math.inf) -> None:
        """Run tasks in order until all are done or `seconds` have passed, the first in any case.

        Parameters
        ----------
        answers
            Is filled: where an error ends the loop, what was done is there.

        Raises
        ------
        CalibrationError
            As `__call__`.
        """
        simulate, names, clock = self.simulator, self.names, time.perf_counter
        points = [dict(zip(names, task.parameters, strict=True)) for task in tasks]
        rows, held_out = list(answers.statistics), list(answers.held_out)
        note, end = answers.said.append, clock() + seconds
        for task, point, row, late in zip(tasks, points, rows, held_out, strict=True):
            begun = clock()
            try:
                answer = simulate(point, task.seed, task.fidelity)
            except CalibrationError:
                raise
            except (Exception, SystemExit) as error:  # anybody's code: its failure is an outcome
                now = clock()
                row[:] = late[:] = np.nan
                note((now - begun, f"{type(error).__name__}: {error}"))
            else:
                now = clock()
                note((now - begun, self._copy(answer, row, late)))
            if now > end:
                return

    def records(self, tasks: Sequence[Task], answers: Answers) -> list[Record]:
        """Records of the tasks that were run."""
        made = []
        finite: Any = np.isfinite(answers.statistics).all(axis=1).tolist()
        rows, held_out = list(answers.statistics), list(answers.held_out)
        for task, row, late, good, (seconds, told) in zip(
            tasks, rows, held_out, finite, answers.said, strict=False
        ):
            cost, tokens = self.costs[task.fidelity], 0
            if type(told) is tuple:
                cost, tokens = (cost if told[0] is None else told[0]), told[1]
            outcome, error = OK, ""
            if type(told) is str:
                outcome, error, cost = FAILED, told, float(cost)
            elif not good:
                outcome, error = NOT_FINITE, self._bad(row)
            made.append(Record(task, outcome, row, late, cost, tokens, seconds, error))
        return made

    def _copy(
        self, answer: Any, row: NDArray[np.float64], late: NDArray[np.float64]
    ) -> tuple[float | None, int] | None:
        """Copy an answer into two rows; cost and tokens where it gives them."""
        told = None
        if type(answer) is not dict:
            if isinstance(answer, Simulated):
                told = (None if answer.cost is None else float(answer.cost), answer.tokens)
                answer = answer.summaries
            if not isinstance(answer, Mapping):
                raise CalibrationError(
                    f"the simulator answered with {type(answer).__name__}, expected a mapping from "
                    "target names to numbers, or Simulated(...)"
                )
        self.fitted.vector(answer, row)
        if late.size:
            self.held_out.vector(answer, late)
        return told

    def _bad(self, statistics: NDArray[np.float64]) -> str:
        labels = self.fitted.labels
        bad = [labels[k] for k in np.flatnonzero(~np.isfinite(statistics))]
        return UNDEFINED + ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")


def failed(task: Task, runner: Runner, error: str) -> Record:
    """The record of a simulation that a process died in; it costs what is declared."""
    statistics = np.full(runner.fitted.size, np.nan)
    held_out = np.full(runner.held_out.size, np.nan)
    cost = float(runner.costs[task.fidelity])
    return Record(task, FAILED, statistics, held_out, cost, 0, 0.0, error)
