"""Who the citizens are and who is tied to whom, before anything happens."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.models.opinion_network.data import CODES, draw_citizens, respondents
from abm.models.opinion_network.questions import MISSING
from abm.models.opinion_network.scale import N_STANCES, stance_of
from abm.models.opinion_network.scenario import OpinionScenario
from abm.networks import Network, homophilous
from abm.rng import chance, uniforms

__all__ = ["SIDES", "columns_of", "side_of", "society"]

SIDES = ("Democrat", "Independent", "Republican")

ACQUAINTANCES = 500
"""How many others a citizen meets and chooses friends from."""
TIED_BY = ("age", "education", "income", "party")


def society(
    scenario: OpinionScenario, population_seed: int, network_seed: int
) -> tuple[pl.DataFrame, Network]:
    """Citizens drawn from the respondents, and their homophilous network.

    Equal arguments give the very same objects for a while: the arms of a replication share them.
    """
    columns = tuple(sorted(scenario.columns.items()))
    size = (scenario.n_citizens, scenario.mean_degree, scenario.homophily)
    return _society(scenario.data, columns, *size, population_seed, network_seed)


@lru_cache(maxsize=4)
def _society(
    data: str,
    columns: tuple[tuple[str, str], ...],
    n: int,
    mean_degree: float,
    homophily: float,
    population_seed: int,
    network_seed: int,
) -> tuple[pl.DataFrame, Network]:
    survey = respondents(data, columns)
    citizens = draw_citizens(survey, n, rng=chance(population_seed, "citizens"))
    complete = [c for c in TIED_BY if c in citizens.columns and citizens[c].null_count() == 0]
    features = citizens.select(complete) if complete and homophily > 0 else np.zeros(n)
    network = homophilous(
        features,
        mean_degree,
        homophily,
        pool=min(ACQUAINTANCES, n - 1),
        rng=chance(network_seed, "network"),
    )
    return citizens, network


def columns_of(
    scenario: OpinionScenario, citizens: pl.DataFrame, population_seed: int
) -> dict[str, NDArray[Any]]:
    """The columns of the population at time 0.

    A survey code becomes an opinion in the middle of its stance; a rule citizen's opinion lies
    uniformly within that stance, so that continuous rules do not start on seven points.
    """
    n = citizens.height
    keys = np.arange(n)
    middle = _from_survey(scenario, citizens)
    asked = np.zeros(n, dtype=bool)
    order = np.argsort(uniforms(population_seed, "who is asked", keys), kind="stable")
    asked[order[: scenario.n_asked]] = True
    opinion = np.where(asked, middle, _spread(scenario, middle, population_seed, keys))
    spread = 2.0 * uniforms(population_seed, "confidence", keys) - 1.0
    bound = scenario.confidence_bound + scenario.confidence_spread * spread
    persona = {
        name: citizens[name].fill_null(MISSING).to_numpy().astype(np.int64)
        if name in citizens.columns
        else np.full(n, MISSING, dtype=np.int64)
        for name in CODES
    }
    return {
        "respondent": citizens["respondent"].to_numpy().astype(np.int64),
        **persona,
        "is_asked": asked,
        "opinion": opinion,
        "initial": opinion.copy(),
        "baseline": stance_of(opinion),
        "stance": stance_of(opinion),
        "phrasing": (uniforms(population_seed, "phrasing", keys) * 2**31).astype(np.int32),
        "posted": np.zeros(n),
        "n_read": np.zeros(n, dtype=np.int64),
        "bound": np.maximum(bound, 0.0),
        "stubborn": ~asked
        & (uniforms(population_seed, "stubborn", keys) < scenario.stubborn_share),
    }


def side_of(party: NDArray[np.int64]) -> list[str | None]:
    """Party identification in three groups; `None` where it is not known.

    Parameters
    ----------
    party
        0 strong Democrat to 6 strong Republican, or `MISSING`, shape (n,). Who leans to a party (2
        and 4) counts as its own, as in the three-point summary of the election studies.

    Examples
    --------
    >>> side_of(np.array([0, 2, 3, 4, -1]))
    ['Democrat', 'Democrat', 'Independent', 'Republican', None]
    """
    places = (np.asarray(party) >= 3).astype(int) + (np.asarray(party) > 3)
    known = (np.asarray(party) != MISSING).tolist()
    return [SIDES[i] if there else None for i, there in zip(places, known, strict=True)]


def _from_survey(scenario: OpinionScenario, citizens: pl.DataFrame) -> NDArray[np.float64]:
    low, high = CODES[scenario.opinion_from]
    code = citizens[scenario.opinion_from].to_numpy().astype(np.float64)
    place = 2.0 * (code - low) / (high - low) - 1.0
    return place if scenario.right_end == "agree" else -place


def _spread(
    scenario: OpinionScenario,
    middle: NDArray[np.float64],
    seed: int,
    keys: NDArray[np.int64],
) -> NDArray[np.float64]:
    u = uniforms(seed, "place within stance", keys)
    if scenario.binary:
        coin = np.where(u < 0.5, -1.0, 1.0)
        side: NDArray[np.float64] = np.where(middle == 0.0, coin, np.sign(middle))
        return side
    width = 2.0 / (N_STANCES - 1)
    low = np.maximum(middle - width / 2, -1.0)
    high = np.minimum(middle + width / 2, 1.0)
    # The upper border belongs to the next stance; stay just below it.
    below = np.where(high < 1.0, high - 1e-9, 1.0)
    place: NDArray[np.float64] = np.minimum(low + u * (high - low), below)
    return place
