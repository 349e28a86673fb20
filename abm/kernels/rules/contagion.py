"""Contagion: epidemics, and adoption that needs several others.

All but `sir_events` are for `run_transitions`. In a round everybody who is infectious infects each
neighbour with probability `infection`, independently. `sir_events` is for `EventCohort`: in
continuous time, along every tie at the rate `infection`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, require
from abm.kernels.rules.ranges import AT_LEAST_0, POSITIVE, SHARE, within
from abm.networks import Network

__all__ = [
    "Cases",
    "Epidemic",
    "EpidemicRates",
    "SlowEpidemic",
    "Threshold",
    "by_number",
    "by_share",
    "cases",
    "seir",
    "si",
    "sir",
    "sir_events",
    "sis",
]


@within(infection=SHARE, recovery=SHARE)
class Epidemic(NamedTuple):
    """Parameters of `si`, `sis` and `sir`.

    Attributes
    ----------
    infection
        Probability per round and infectious neighbour, in [0, 1].
    recovery
        Probability per round, in [0, 1]; not used by `si`.
    """

    infection: float
    recovery: float


@within(infection=POSITIVE, recovery=POSITIVE)
class EpidemicRates(NamedTuple):
    """Parameters of `sir_events`.

    Attributes
    ----------
    infection
        Rate along each tie from somebody infectious, per unit of time, positive.
    recovery
        Rate, per unit of time, positive.
    """

    infection: float
    recovery: float


class Cases(NamedTuple):
    """State of `sir_events`; `cases` makes it.

    Attributes
    ----------
    stage
        0 susceptible, 1 infectious, 2 recovered for good; integers of shape (n,).
    start, whom
        Neighbours of agent i are `whom[start[i]:start[i + 1]]`.
    """

    stage: NDArray[Any]
    start: NDArray[Any]
    whom: NDArray[Any]


def cases(stage: NDArray[Any], network: Network) -> Cases:
    """The state that `sir_events` works on.

    Parameters
    ----------
    stage
        A column of integers, shape (n,), all 0, or 2 for the immune: the first cases fall ill at
        their first event.
    network
        Whom everybody infects: out-neighbours.

    Raises
    ------
    EngineError
        A column of another type or length, or somebody in another stage.
    """
    require(
        isinstance(stage, np.ndarray) and stage.dtype.kind in "iu" and stage.shape == (network.n,),
        EngineError,
        f"stage = {stage!r}, expected a NumPy column of integers, one for each of the {network.n} "
        "nodes of the network",
        argument="stage",
    )
    for i in np.flatnonzero((stage != 0) & (stage != 2))[:1]:
        raise EngineError(
            f"stage[{i}] = {stage[i]}, expected 0, or 2 for the immune: let the first cases fall "
            "ill at their first event",
            argument="stage",
        )
    return Cases(stage, network.indptr, network.indices)


@within(infection=SHARE, onset=SHARE, recovery=SHARE)
class SlowEpidemic(NamedTuple):
    """Parameters of `seir`.

    Attributes
    ----------
    infection, recovery
        As in `Epidemic`.
    onset
        Probability per round that somebody exposed becomes infectious, in [0, 1].
    """

    infection: float
    onset: float
    recovery: float


def si(state: int, counts: Any, p: Epidemic, rng: Any) -> int:
    """0 susceptible, 1 infectious for good.

    References
    ----------
    Kermack & McKendrick (1927), Proceedings of the Royal Society A 115, 700-721, without recovery.

    Examples
    --------
    >>> si(1, [0, 0], Epidemic(0.5, 0.0), None), si(0, [5, 0], Epidemic(0.5, 0.0), None)
    (1, 0)
    """
    if (
        state == 0
        and counts[1] > 0
        and rng.random() < 1.0 - (1.0 - p.infection) ** float(counts[1])
    ):
        return 1
    return state


def sis(state: int, counts: Any, p: Epidemic, rng: Any) -> int:
    """0 susceptible, 1 infectious, then susceptible again.

    References
    ----------
    Pastor-Satorras & Vespignani (2001), Physical Review Letters 86, 3200-3203.

    Examples
    --------
    >>> sis(0, [5, 0], Epidemic(0.5, 0.5), None)
    0
    """
    if state == 1:
        return 0 if rng.random() < p.recovery else 1
    if counts[1] > 0 and rng.random() < 1.0 - (1.0 - p.infection) ** float(counts[1]):
        return 1
    return 0


def sir(state: int, counts: Any, p: Epidemic, rng: Any) -> int:
    """0 susceptible, 1 infectious, 2 recovered for good.

    References
    ----------
    Kermack & McKendrick (1927), Proceedings of the Royal Society A 115, 700-721; on networks Newman
    (2002), Physical Review E 66, 016128.

    Examples
    --------
    >>> sir(2, [0, 5, 0], Epidemic(0.5, 0.5), None)
    2
    """
    if state == 1:
        return 2 if rng.random() < p.recovery else 1
    if (
        state == 0
        and counts[1] > 0
        and rng.random() < 1.0 - (1.0 - p.infection) ** float(counts[1])
    ):
        return 1
    return state


def sir_events(i: int, now: float, state: Cases, agenda: Any, p: EpidemicRates, rng: Any) -> float:
    """Susceptible, infectious, recovered in continuous time, for `EventCohort`.

    An agent's next event is its infection, at the earliest time that somebody sends it, and then
    its recovery. Who falls ill draws how long, and for each tie how long it takes; this gives the
    process in which each tie infects and everybody recovers at constant rates. Each tie is looked
    at once, where a `RateCohort` weighs all neighbours of whoever changes, so this is quicker.

    References
    ----------
    Kiss, Miller & Simon (2017), Mathematics of Epidemics on Networks, Springer, appendix A
    (event-driven simulation).

    Examples
    --------
    >>> from abm.kernels import EventCohort
    >>> from abm.networks import watts_strogatz
    >>> import numpy as np
    >>> friends = watts_strogatz(200, 6, 0.1, rng=np.random.default_rng(1))
    >>> stage, first = np.zeros(200, dtype=np.int8), np.full(200, math.inf)
    >>> first[:5] = 0.0
    >>> epidemic = EventCohort(sir_events, cases(stage, friends), first, EpidemicRates(1.0, 1.0),
    ...                        rng=np.random.default_rng(2))
    >>> made = epidemic.advance(1000.0)
    >>> made == 2 * int((stage == 2).sum()), int((stage == 1).sum()), bool(made > 100)
    (True, 0, True)
    """
    state.stage[i] += 1
    if state.stage[i] == 2:
        return math.inf
    spell = rng.exponential() / p.recovery
    escape = math.exp(-p.infection * spell)  # chance that a tie takes longer than that
    for place in range(state.start[i], state.start[i + 1]):
        j = state.whom[place]
        if state.stage[j] == 0:
            u = rng.random()  # the tie takes -log(u) / infection
            if u > escape and now - math.log(u) / p.infection < agenda.due(j):
                agenda.schedule(j, now - math.log(u) / p.infection)
    return float(spell)


def seir(state: int, counts: Any, p: SlowEpidemic, rng: Any) -> int:
    """0 susceptible, 1 exposed, 2 infectious, 3 recovered for good.

    References
    ----------
    Anderson & May (1991), Infectious Diseases of Humans, Oxford University Press.

    Examples
    --------
    >>> seir(0, [0, 5, 0, 0], SlowEpidemic(0.5, 0.5, 0.5), None)
    0
    """
    if state == 0:
        if counts[2] > 0 and rng.random() < 1.0 - (1.0 - p.infection) ** float(counts[2]):
            return 1
    elif state == 1:
        return 2 if rng.random() < p.onset else 1
    elif state == 2:
        return 3 if rng.random() < p.recovery else 2
    return state


@within(threshold=AT_LEAST_0)
class Threshold(NamedTuple):
    """Parameters of `by_share` and `by_number`.

    Attributes
    ----------
    threshold
        Share of the neighbours in [0, 1], or their number >= 0, from which on people adopt.
    """

    threshold: float


def by_share(state: int, counts: Any, p: Threshold) -> int:
    """0 or 1: adopt for good when at least this share of the neighbours has.

    Without neighbours nobody adopts.

    References
    ----------
    Watts (2002), PNAS 99, 5766-5771.

    Examples
    --------
    >>> by_share(0, [2, 1], Threshold(0.5)), by_share(0, [1, 1], Threshold(0.5))
    (0, 1)
    """
    if state == 0 and counts[1] > 0 and counts[1] >= p.threshold * (counts[0] + counts[1]):
        return 1
    return state


def by_number(state: int, counts: Any, p: Threshold) -> int:
    """0 or 1: adopt for good when at least this many neighbours have (complex contagion).

    References
    ----------
    Centola & Macy (2007), American Journal of Sociology 113, 702-734.

    Examples
    --------
    >>> by_number(0, [9, 1], Threshold(2)), by_number(0, [9, 2], Threshold(2))
    (0, 1)
    """
    if state == 0 and counts[1] >= p.threshold:
        return 1
    return state
