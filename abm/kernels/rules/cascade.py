"""Cascades: who follows whom into acting, sharing or buying."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from abm.kernels.rules.ranges import AT_LEAST_0, POSITIVE, SHARE, Range, within

__all__ = [
    "Bass",
    "IndependentCascade",
    "Signal",
    "bass",
    "granovetter",
    "independent_cascade",
    "information_cascade",
    "linear_threshold",
]


@within(probability=SHARE)
class IndependentCascade(NamedTuple):
    """Parameters of `independent_cascade`.

    Attributes
    ----------
    probability
        That somebody who has just become active activates a given neighbour, in [0, 1].
    """

    probability: float


def independent_cascade(state: int, counts: Any, p: IndependentCascade, rng: Any) -> int:
    """0 not active, 1 just activated, 2 active: each gets one chance at each neighbour.

    For `run_transitions`, schedule `synchronous`. The active of the end are distributed as those
    who can be reached over ties that are each kept with this probability.

    References
    ----------
    Kempe, Kleinberg & Tardos (2003), Proceedings of KDD, 137-146.

    Examples
    --------
    >>> independent_cascade(1, [0, 0, 0], IndependentCascade(0.5), None)
    2
    """
    if (
        state == 0
        and counts[1] > 0
        and rng.random() < 1.0 - (1.0 - p.probability) ** float(counts[1])
    ):
        return 1
    return 2 if state == 1 else state


def linear_threshold(i: int, state: Any, p: Any) -> None:  # noqa: ARG001
    """Become active when the weights of active neighbours reach one's own threshold.

    For `run_rows`. `state` is (active, threshold, starts, stops, indices, weights): row i lists
    those who influence i, with weights that sum to at most 1. Thresholds drawn uniformly from
    (0, 1] give the model of the paper. Who is active in the end does not depend on the order.

    References
    ----------
    Kempe, Kleinberg & Tardos (2003), Proceedings of KDD, 137-146.

    Examples
    --------
    >>> active = [0, 1, 1]
    >>> state = (active, [0.6, 1.0, 1.0], [0, 2, 2], [2, 2, 2], [1, 2], [0.25, 0.5])
    >>> linear_threshold(0, state, ())
    >>> active
    [1, 1, 1]
    """
    active, threshold, starts, stops, indices, weights = state
    if active[i] == 0:
        total = 0.0
        for k in range(starts[i], stops[i]):
            if active[indices[k]] != 0:
                total += weights[k]
        if total >= threshold[i]:
            active[i] = 1


def granovetter(state: Any, p: Any) -> None:  # noqa: ARG001
    """Act when at least as many others act as one's own threshold. For `run_population`.

    `state` is (acting, threshold): 0 or 1, and a number of people. Everybody sees everybody, and
    nobody stops.

    References
    ----------
    Granovetter (1978), American Journal of Sociology 83, 1420-1443.

    Examples
    --------
    >>> acting = [0, 0, 0]
    >>> granovetter((acting, [0, 1, 1]), ())
    >>> acting
    [1, 0, 0]
    """
    acting, threshold = state[0], state[1]
    n_acting = 0
    for i in range(len(acting)):
        if acting[i] != 0 and acting[i] != 1:
            raise ValueError("states of granovetter are 0 and 1")
        n_acting += acting[i]
    for i in range(len(acting)):
        if threshold[i] <= n_acting:
            acting[i] = 1


@within(innovation=AT_LEAST_0, imitation=AT_LEAST_0, step=POSITIVE)
class Bass(NamedTuple):
    """Parameters of `bass`.

    Attributes
    ----------
    innovation
        Rate p of adopting on one's own, per unit of time, >= 0.
    imitation
        Rate q of adopting when everybody else has, per unit of time, >= 0.
    step
        Length of a round, > 0. The shares of the continuous model are reached as it goes to 0.
    """

    innovation: float
    imitation: float
    step: float


def bass(state: Any, p: Bass, rng: Any) -> None:
    """Adopt with rate p + q F, F the share of those who have. For `run_population`.

    `state` holds one column, 0 or 1.

    References
    ----------
    Bass (1969), Management Science 15, 215-227.

    Examples
    --------
    >>> adopted = [1, 1]
    >>> bass((adopted,), Bass(0.03, 0.38, 1.0), None)
    >>> adopted
    [1, 1]
    """
    adopted = state[0]
    n, n_adopted = len(adopted), 0
    for i in range(n):
        if adopted[i] != 0 and adopted[i] != 1:
            raise ValueError("states of bass are 0 and 1")
        n_adopted += adopted[i]
    rate = p.innovation + p.imitation * n_adopted / n
    chance = 1.0 - math.exp(-rate * p.step)
    for i in range(n):
        if adopted[i] == 0 and rng.random() < chance:
            adopted[i] = 1


@within(accuracy=Range(0.5, 1.0))
class Signal(NamedTuple):
    """Parameters of `information_cascade`.

    Attributes
    ----------
    accuracy
        Probability that a private signal says what is true, in [1/2, 1].
    """

    accuracy: float


def information_cascade(i: int, state: Any, p: Signal, rng: Any) -> None:
    """Adopt or reject by one's own signal and by what those before did. For `run_rows`.

    `state` is (action, counts): what everybody did, 1 adopt or 0 reject, and how many rejected and
    adopted so far, shape (2,), 0 before the first. Adopting is right. With the schedule `sweep` and
    one round everybody decides once. Whoever sees two more of one kind follows them whatever the
    own signal says; at equal evidence a fair coin decides. After n people, n even, a cascade has
    not begun with probability (p - p**2)**(n / 2), p the accuracy, and is right with probability
    p (p + 1) / 2 / (1 - p + p**2) if it begins.

    References
    ----------
    Bikhchandani, Hirshleifer & Welch (1992), Journal of Political Economy 100, 992-1026.

    Examples
    --------
    >>> action, counts = [0, 0, 0], [0, 2]
    >>> information_cascade(2, (action, counts), Signal(0.7), None)
    >>> action, counts
    ([0, 0, 1], [0, 3])
    """
    action, counts = state
    lead = counts[1] - counts[0]
    if lead >= 2 or lead <= -2:
        choice = 1 if lead > 0 else 0
    else:
        choice = 1 if rng.random() < p.accuracy else 0
        if lead != 0 and (lead > 0) != (choice > 0):
            choice = 1 if rng.random() < 0.5 else 0
    action[i] = choice
    counts[choice] += 1
