"""Five small models whose parameters are planted and have to be found again.

Each is a function of parameters, shape (n, d), and a generator, to statistics, shape (n, m): many
runs at once, for tables of a check, or one (`simulate`), which for the three models that go day by
day has a form of its own in plain numbers: the same to the bit, and several times faster than an
array of one row. They are the stock of a calibration's own
tests: a location and a spread, a count, a memory, an adoption curve, an epidemic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration import (
    Independent,
    Problem,
    ScaledEuclidean,
    Targets,
    normal,
    series,
    uniform,
)

__all__ = ["PLANTED", "Planted", "planted_problem", "simulate"]

Floats = NDArray[np.float64]


def gaussian(theta: Floats, rng: np.random.Generator) -> Floats:
    """Mean and log standard deviation of 30 people, from their mean and log spread."""
    people = theta[:, :1] + np.exp(theta[:, 1:]) * rng.normal(size=(len(theta), 30))
    return np.stack([people.mean(axis=1), np.log(people.std(axis=1, ddof=1))], axis=1)


def queue(theta: Floats, rng: np.random.Generator) -> Floats:
    """Arrival rate of a Poisson stream, from its count."""
    return np.asarray(rng.poisson(20 * theta), dtype=np.float64)


def memory(theta: Floats, rng: np.random.Generator) -> Floats:
    """Persistence of an opinion that returns to zero, from its lag-one covariance."""
    x, products, squares = np.zeros(len(theta)), np.zeros(len(theta)), np.zeros(len(theta))
    for _ in range(60):
        moved = theta[:, 0] * x + rng.normal(size=len(theta))
        products, squares, x = products + moved * x, squares + x * x, moved
    return np.asarray((products / np.maximum(squares, 1e-9))[:, None])


def adoption(theta: Floats, rng: np.random.Generator) -> Floats:
    """Innovation and imitation in a discrete Bass model of 200 people, from three points."""
    adopters, seen = np.zeros(len(theta)), []
    for day in range(12):
        chance = np.clip(theta[:, 0] + theta[:, 1] * adopters / 200, 0, 1)
        adopters = adopters + rng.binomial((200 - adopters).astype(int), chance)
        if day in (1, 5, 11):
            seen.append(adopters / 200)
    return np.stack(seen, axis=1)


def epidemic(theta: Floats, rng: np.random.Generator) -> Floats:
    """Infection and recovery probabilities of a chain-binomial epidemic of 300 people."""
    s, i = np.full(len(theta), 290), np.full(len(theta), 10)
    curve = []
    for day in range(12):
        new = rng.binomial(s, 1 - np.exp(-theta[:, 0] * i / 300))
        s, i = s - new, i + new - rng.binomial(i, theta[:, 1])
        if day % 3 == 2:
            curve.append(i / 300)
    return np.stack([*curve, (300 - s) / 300], axis=1)


def one_memory(theta: Sequence[float], rng: np.random.Generator) -> list[float]:
    """`memory` of one row, in plain numbers."""
    x = products = squares = 0.0
    for noise in rng.normal(size=60).tolist():
        moved = theta[0] * x + noise
        products, squares, x = products + moved * x, squares + x * x, moved
    return [products / max(squares, 1e-9)]


def one_adoption(theta: Sequence[float], rng: np.random.Generator) -> list[float]:
    """`adoption` of one row, in plain numbers."""
    adopters, seen = 0, []
    for day in range(12):
        chance = min(max(theta[0] + theta[1] * adopters / 200, 0.0), 1.0)
        adopters += rng.binomial(200 - adopters, chance)
        if day in (1, 5, 11):
            seen.append(adopters / 200)
    return seen


def one_epidemic(theta: Sequence[float], rng: np.random.Generator) -> list[float]:
    """`epidemic` of one row, in plain numbers; NumPy's exponential, whose last bit may differ."""
    s, i = 290, 10
    curve = []
    for day in range(12):
        new = rng.binomial(s, float(1 - np.exp(-theta[0] * i / 300)))
        s, i = s - new, i + new - rng.binomial(i, theta[1])
        if day % 3 == 2:
            curve.append(i / 300)
    return [*curve, (300 - s) / 300]


@dataclass(frozen=True)
class Planted:
    """A model, its prior, and tolerances in units of the statistics' spread.

    Attributes
    ----------
    fine
        For a table of 30,000 simulations.
    coarse
        For methods that simulate about a thousand times.
    one
        `statistics` of one row, equal to the bit, where there is such a form.
    """

    statistics: Callable[[Floats, np.random.Generator], Floats]
    prior: Mapping[str, Any]
    fine: float
    coarse: float
    one: Callable[[Sequence[float], np.random.Generator], list[float]] | None = None


PLANTED: Mapping[str, Planted] = {
    "gaussian": Planted(gaussian, {"mean": normal(0, 1), "log_sd": normal(0, 0.5)}, 0.25, 0.5),
    "queue": Planted(queue, {"rate": uniform(0.5, 5)}, 0.1, 0.3),
    "memory": Planted(memory, {"persistence": uniform(-0.5, 0.95)}, 0.1, 0.3, one_memory),
    "adoption": Planted(
        adoption, {"p": uniform(0.0, 0.1), "q": uniform(0.0, 0.8)}, 0.3, 0.5, one_adoption
    ),
    "epidemic": Planted(
        epidemic,
        {"infection": uniform(0.2, 2.0), "recovery": uniform(0.1, 0.6)},
        0.7,
        0.9,
        one_epidemic,
    ),
}
CHEAP = 1.05
"""The cheap fidelity multiplies the parameters by this: a twin that is a little wrong."""


def simulate(
    parameters: Mapping[str, float], seed: int, fidelity: str, *, name: str
) -> dict[str, Floats]:
    """One run, for a calibration.

    Examples
    --------
    >>> simulate({"rate": 2.0}, 1, "model", name="queue")["s"].shape
    (1,)
    """
    factor = CHEAP if fidelity == "cheap" else 1.0
    theta = [factor * value for value in parameters.values()]
    planted, rng = PLANTED[name], np.random.default_rng(seed)
    if planted.one is not None:
        return {"s": np.array(planted.one(theta, rng))}
    return {"s": planted.statistics(np.array([theta]), rng)[0]}


def planted_problem(name: str, *, levels: bool = False, seed: int = 5) -> Problem:
    """A problem around one of `PLANTED`, its data one run at a draw of the prior.

    Parameters
    ----------
    levels
        Whether there is a cheap fidelity (cost 1) below the model (cost 50).

    Examples
    --------
    >>> planted_problem("adoption").names
    ('p', 'q')
    """
    prior = Independent(dict(PLANTED[name].prior))
    theta = prior.sample(1, rng=np.random.default_rng(seed))
    data = PLANTED[name].statistics(theta, np.random.default_rng(seed))[0]
    return Problem(
        partial(simulate, name=name),
        prior,
        Targets([series("s", data)]),
        ScaledEuclidean("spread"),
        fidelities={"cheap": 1.0, "model": 50.0} if levels else {"model": 1.0},
        seed=seed,
        name=f"planted_{name}",
    )
