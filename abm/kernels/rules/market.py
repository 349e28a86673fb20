"""A double auction: buyers bid and sellers ask until somebody accepts the best offer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, require
from abm.kernels.rules.ranges import Range, column_within

__all__ = ["Market", "market", "zero_intelligence"]


class Market(NamedTuple):
    """State of `zero_intelligence`; `market` makes it.

    Attributes
    ----------
    limit : float64 array, shape (n,)
        What the unit is worth to a buyer, or costs a seller.
    buys : bool array, shape (n,)
        Who is a buyer.
    price : float64 array, shape (n,)
        At which price everybody traded; nan for who has not.
    best : float64 array, shape (2,)
        The highest bid and the lowest ask that stand; -1 and the highest price for none.
    holder : int64 array, shape (2,)
        Whose they are; -1 for nobody's.
    highest : float64 array, shape (1,)
        The highest price that may be asked.
    """

    limit: NDArray[np.float64]
    buys: NDArray[np.bool_]
    price: NDArray[np.float64]
    best: NDArray[np.float64]
    holder: NDArray[np.int64]
    highest: NDArray[np.float64]


def market(values: ArrayLike, costs: ArrayLike, highest: float) -> Market:
    """Buyers and sellers of one unit each, and no offers yet; buyers come first.

    Parameters
    ----------
    values
        What the unit is worth to each buyer, in [0, highest].
    costs
        What it costs each seller, in [0, highest].
    highest
        The highest price that may be asked, positive and finite.

    Raises
    ------
    EngineError
        Values, costs or a highest price outside their ranges.

    Examples
    --------
    >>> market([8.0, 5.0], [3.0], highest=10.0).buys.tolist()
    [True, True, False]
    """
    require(
        0.0 < highest < np.inf,
        EngineError,
        f"highest = {highest!r}, expected a positive number: the highest price that may be asked",
        argument="highest",
    )
    allowed = Range(0.0, float(highest))
    sides = [column_within("values", values, allowed), column_within("costs", costs, allowed)]
    n_buyers, n = len(sides[0]), len(sides[0]) + len(sides[1])
    return Market(
        np.concatenate(sides),
        np.arange(n) < n_buyers,
        np.full(n, np.nan),
        np.array([-1.0, highest]),
        np.array([-1, -1]),
        np.array([float(highest)]),
    )


def zero_intelligence(i: int, state: Any, p: Any, rng: Any) -> None:  # noqa: ARG001
    """Offer a random price at which one does not lose, until it meets the best one of the others.

    For `run_rows` on a state made by `market`, schedule `asynchronous`. A buyer bids uniformly
    between 0 and its value, a seller asks uniformly between its cost and the highest price. An
    offer that is better than the best of its side replaces it; one that meets the best of the other
    side is a trade at the price of the earlier offer, and all offers are withdrawn. Who has traded
    does nothing.

    References
    ----------
    Gode & Sunder (1993), Journal of Political Economy 101, 119-137, traders with constraint (ZI-C).

    Examples
    --------
    >>> from abm.kernels import run_rows
    >>> state = market([9.0, 2.0], [1.0, 8.0], highest=10.0)
    >>> _ = run_rows(zero_intelligence, state, rounds=100, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> (~np.isnan(state.price)).tolist(), bool(1.0 <= state.price[0] <= 9.0)
    ([True, False, True, False], True)
    """
    limit, buys, price, best, holder, highest = state
    if price[i] == price[i]:  # it has traded
        return
    side = 0 if buys[i] else 1
    offer = rng.random() * limit[i]
    if side == 1:
        offer = limit[i] + rng.random() * (highest[0] - limit[i])
    other, stands = holder[1 - side], best[1 - side]
    if other >= 0 and (offer >= stands if side == 0 else offer <= stands):
        price[i] = price[other] = stands
        best[0], best[1] = -1.0, highest[0]
        holder[0], holder[1] = -1, -1
    elif holder[side] < 0 or (offer > best[0] if side == 0 else offer < best[1]):
        best[side], holder[side] = offer, i
