"""The rule: pairs compromise within a bound, some never move, and now and then somebody jumps.

Deffuant et al. (2000) with the noise of Pineda, Toral & Hernandez-Garcia (2009): at an encounter
the one who starts it takes, with probability `noise`, a new opinion uniform on [0, 1] instead of
meeting anybody. A share `stubborn` never moves and sits `edge` from the ends of the scale, in the
outermost categories unless told otherwise, a share `lean` of them at the upper end; others meet
them and are moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.kernels import run_pairwise
from abm.models.opinion_network.stationary.survey import K, moments
from abm.rng import chance

__all__ = ["noisy_compromise", "settle", "simulate", "start"]

Floats = NDArray[np.float64]
RATE = 0.5
"""Fraction of a gap closed in an encounter: the paper's 1/2; it changes speed above all."""


def noisy_compromise(
    own: float, other: float, params: tuple[float, ...], u: float
) -> tuple[float, float]:
    """One encounter; params (bound, rate, noise), u uniform in [0, 1).

    Examples
    --------
    >>> noisy_compromise(0.25, 0.75, (0.6, 0.5, 0.1), 0.5)
    (0.5, 0.5)
    >>> noisy_compromise(0.25, 0.75, (0.6, 0.5, 0.1), 0.05)
    (0.5, 0.75)
    """
    if u < params[2]:
        return u / params[2], other
    gap = other - own
    if abs(gap) < params[0]:
        return own + params[1] * gap, other - params[1] * gap
    return own, other


def start(parameters: Mapping[str, float], n: int, rng: np.random.Generator) -> tuple[Floats, Any]:
    """Opinions at the start, shape (n,), and the rows of those who can move.

    The stubborn are the first rows: everybody meets everybody, so the order means nothing.
    """
    x = rng.random(n)
    n_stubborn = min(round(parameters["stubborn"] * n), n - 1)
    n_upper = round(parameters["lean"] * n_stubborn)
    edge = parameters.get("edge", 0.5 / K)
    x[:n_upper] = 1.0 - edge
    x[n_upper:n_stubborn] = edge
    return x, np.arange(n_stubborn, n)


def settle(
    parameters: Mapping[str, float],
    seed: int,
    *,
    n: int = 400,
    sweeps: int = 100,
    snapshots: int = 8,
    between: int = 10,
) -> Floats:
    """Shares of the seven categories in the settled society, shape (7,).

    Parameters
    ----------
    n
        People.
    sweeps
        Encounters per person before the first snapshot; with `noise` from 0.02 on, everybody has
        jumped about twice by then.
    snapshots, between
        Snapshots that are averaged, and encounters per person between them.
    """
    rng = chance(seed, "stationary")
    x, movers = start(parameters, n, rng)
    rule = (parameters["bound"], RATE, parameters["noise"])
    total = np.zeros(K)
    for number in range(snapshots):
        length = sweeps if number == 0 else between
        run_pairwise(noisy_compromise, x, None, length * len(movers), rule, rng=rng, members=movers)
        total += np.bincount(np.minimum((x * K).astype(np.int64), K - 1), minlength=K)
    return np.asarray(total / total.sum())


def simulate(
    parameters: Mapping[str, float], seed: int, fidelity: str, **options: int
) -> dict[str, Any]:
    """Simulator for a calibration: moments and shares of the settled society.

    Parameters
    ----------
    parameters
        `bound` in [0, 1], `noise` in (0, 1], `stubborn` and `lean` in [0, 1]; `edge` in (0, 1/2),
        1/14 (the middle of an outermost category) where it is not given.
    fidelity
        `model`, or `frozen`: nobody ever meets, the society at its start (a baseline of scores).
    options
        See `settle`.

    Examples
    --------
    >>> found = simulate({"bound": 0.9, "noise": 0.05, "stubborn": 0.0, "lean": 0.5}, 1, "model",
    ...                  n=50, sweeps=20)
    >>> sorted(found)[:3], round(float(found["shares"].sum()), 6)
    (['agreement', 'asymmetry', 'bimodality'], 1.0)
    """
    if fidelity == "frozen":
        options = {**options, "sweeps": 0, "snapshots": 1}
    shares = settle(parameters, seed, **options)
    return {**moments(shares), "shares": shares}
