"""Slopes and biases of questions: one vector for all, or one each around a common centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from abm.calibration.choice.data import SurveyQuestion
from abm.calibration.choice.slopes import Layout, log_slopes
from abm.errors import CalibrationError, require

__all__ = ["Levels", "fit_levels"]

Array = NDArray[np.float64]
_FLOOR = 1e-8
"""Smallest variance over questions; below, the questions do not differ."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A centre, a spread over questions, and each question's own vector."""

    centre: Array
    spread: Array
    effects: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def start(cls, layout: Layout, questions: Sequence[SurveyQuestion]) -> Levels:
        zero = np.zeros(layout.size)
        return cls(zero, zero, {q.id: zero for q in questions})

    def of(self, question: SurveyQuestion) -> Array:
        return self.effects[question.id]


def fit_levels(
    questions: Sequence[SurveyQuestion],
    weights: Array,
    layout: Layout,
    start: Levels,
    hierarchical: bool,
    ridge: float,
) -> Levels:
    """Maximise the (marginal) likelihood over centre and spread, given persona weights."""
    if layout.size == 0:
        return start
    centre = _common(questions, weights, layout, start.centre, ridge)
    if not hierarchical:
        return Levels(centre, np.zeros(layout.size), {q.id: centre for q in questions})
    require(
        len(questions) >= 5,
        CalibrationError,
        f"{len(questions)} questions, expected at least 5 to estimate how questions differ: "
        "set hierarchical = False",
    )
    first = start.spread if start.spread.any() else np.full(layout.size, 0.5)
    return _expectation_maximisation(questions, weights, layout, Levels(centre, first), ridge)


def _common(
    questions: Sequence[SurveyQuestion], weights: Array, layout: Layout, start: Array, ridge: float
) -> Array:
    penalty = np.full(layout.size, ridge)
    penalty[: int(layout.slope)] = 0.0
    people = sum(q.people for q in questions)

    def loss(vector: Array) -> tuple[float, Array]:
        value, slope = 0.5 * float(penalty @ vector**2), penalty * vector
        for q in questions:
            v, g = log_slopes(q, vector, weights, layout)
            value, slope = value - v, slope - g
        return value / people, slope / people

    return _minimum(loss, start, "slope and bias")


def _minimum(loss: Any, start: Array, what: str) -> Array:
    bounds = [(-8.0, 8.0)] * len(start)
    options: Any = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    vector = np.asarray(found.x, dtype=np.float64)
    require(
        bool(np.isfinite(found.fun)) and float(np.abs(vector).max()) < 7.99,
        CalibrationError,
        f"{what} run off to {vector.round(2).tolist()} (log scale): people chose options to which "
        "the model gives nothing, or the scores say nothing about the answers. Set slope = False, "
        "or ridge > 0 for the bias",
    )
    return vector


def _expectation_maximisation(
    questions: Sequence[SurveyQuestion],
    weights: Array,
    layout: Layout,
    levels: Levels,
    ridge: float,
) -> Levels:
    centre, variance = levels.centre, np.maximum(levels.spread**2, _FLOOR)
    effects = {q.id: centre.copy() for q in questions}
    for _ in range(300):
        sums, squares, times = np.zeros((3, layout.size))
        bends = {}
        for q in questions:
            places = layout.places(q.n_options)
            own, bend = _mode(q, weights, layout, effects[q.id], centre, variance, places)
            effects[q.id], bends[q.id] = own, bend
            sums[places] += own[places]
            times[places] += 1
        penalty = np.full(layout.size, ridge)
        penalty[: int(layout.slope)] = 0.0
        moved = sums / (times + penalty * variance)
        for q in questions:
            places = layout.places(q.n_options)
            squares[places] += (effects[q.id][places] - moved[places]) ** 2 + bends[q.id]
        fresh = np.maximum(squares / times, _FLOOR)
        change = max(
            float(np.abs(moved - centre).max()),
            float(np.abs(np.sqrt(fresh) - np.sqrt(variance)).max()),
        )
        centre, variance = moved, fresh
        if change < 1e-4:
            return Levels(centre, np.sqrt(variance), effects)
    raise CalibrationError(
        f"the spread over questions still changes by {change:.2g} after 300 steps: there are too "
        "few questions or people to tell questions apart; set hierarchical = False"
    )


def _mode(
    q: SurveyQuestion,
    weights: Array,
    layout: Layout,
    start: Array,
    centre: Array,
    variance: Array,
    places: NDArray[np.int64],
) -> tuple[Array, Array]:
    """Most probable vector of a question, and its posterior variances at `places`."""

    def loss(part: Array) -> tuple[float, Array]:
        vector = centre.copy()
        vector[places] = part
        value, slope = log_slopes(q, vector, weights, layout)
        gap = part - centre[places]
        return (
            0.5 * float((gap**2 / variance[places]).sum()) - value,
            gap / variance[places] - slope[places],
        )

    options: Any = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7}
    bounds = [(-8.0, 8.0)] * len(places)
    found = minimize(
        loss, start[places], jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    part = np.asarray(found.x, dtype=np.float64)
    step = 1e-4
    bend = np.array(
        [
            (loss(part + step * e)[1] - loss(part - step * e)[1]) / (2 * step)
            for e in np.eye(len(part))
        ]
    )
    bend = (bend + bend.T) / 2
    values, axes = np.linalg.eigh(bend)
    floor = 1 / variance[places].max()  # the prior bounds what the answers leave open
    spread = ((axes**2) / np.maximum(values, 0.5 * floor)).sum(axis=1)
    vector = centre.copy()
    vector[places] = part
    return vector, np.asarray(spread, dtype=np.float64)
