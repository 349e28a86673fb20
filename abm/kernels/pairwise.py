"""Pairwise encounters, one after another: a user's rule inside a compiled driver.

At each encounter somebody is drawn at random and meets a partner: anybody else, or one of those
that the network ties it to. The rule is applied at once, so the next encounter sees its effect:
exact asynchronous semantics. A cohort adds the clock: everybody starts encounters at the events of
a Poisson process of their own, so that all of them together are one Poisson process.

A rule is one of two things.

* For one column, `rule(own, other, params) -> (own', other')`.
* For several columns, `rule(i, j, state, params)`, which writes into the arrays of `state` (a tuple
  or named tuple) and returns nothing; i starts the encounter, j is the partner.

Either may take a further argument: a uniform random number in [0, 1). Parameters are a tuple (or
named tuple) of numbers; they are compiled in, arrays would be slower and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, NetworkError, PopulationError, require
from abm.kernels.driver import driver
from abm.kernels.tools import has_numba, plain_tools
from abm.kernels.tools import start as begin

__all__ = ["PairwiseCohort", "run_pairwise"]

_NONE_I8 = np.empty(0, dtype=np.int64)
_NONE_I4 = np.empty(0, dtype=np.int32)
_NONE_F8 = np.empty(0, dtype=np.float64)


class _Ties(Protocol):
    @property
    def n(self) -> int: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def stops(self) -> NDArray[np.int64]: ...
    @property
    def indices(self) -> NDArray[np.int32]: ...
    @property
    def weights(self) -> NDArray[np.float64] | None: ...


def run_pairwise(
    rule: Callable[..., Any],
    x: NDArray[Any] | Sequence[NDArray[Any]],
    network: _Ties | None,
    n_interactions: int,
    params: tuple[Any, ...] = (),
    *,
    rng: np.random.Generator,
    members: ArrayLike | None = None,
    compiled: bool | None = None,
) -> None:
    """Apply `n_interactions` encounters in sequence; `x` is changed in place.

    Parameters
    ----------
    rule
        See the module's head. Compiled with Numba: plain arithmetic on scalars.
    x
        The column, shape (n,), or a tuple of columns for a rule on rows.
    network
        Who meets whom (row i lists the possible partners of i, drawn by weight if there are
        weights); `None` for everybody. Somebody without ties meets nobody, and the encounter
        passes.
    n_interactions
        How many encounters, >= 0.
    members
        Rows of those who start encounters and whom the rule for one column may change; all if
        `None`. Others can be met, and stay as they are.
    compiled
        `False` interprets the rule; `None` compiles if Numba is installed. With 64-bit columns both
        give the same numbers.

    Examples
    --------
    >>> def compromise(own, other, p):
    ...     gap = other - own
    ...     return (own + p[0] * gap, other - p[0] * gap) if abs(gap) < p[1] else (own, other)
    >>> x = np.array([0.0, 0.25, 1.0])
    >>> run_pairwise(compromise, x, None, 1000, (0.5, 0.5), rng=np.random.default_rng(1),
    ...              compiled=False)
    >>> x.tolist()
    [0.125, 0.125, 1.0]
    """
    require(n_interactions >= 0, EngineError, f"n_interactions = {n_interactions}, expected >= 0")
    cohort = PairwiseCohort(
        rule, x, rate=0.0, network=network, params=params, rng=rng, members=members,
        compiled=compiled,
    )  # fmt: skip
    cohort._drive(int(n_interactions), math.inf, timed=False)


class PairwiseCohort:
    """Agents that meet in pairs in continuous time, as one process.

    Each member starts encounters at the events of a Poisson process of its own. Between two events
    that others can see, `advance` applies all encounters that fall between them, in order.

    Parameters
    ----------
    rule, network, params, members, compiled
        As in `run_pairwise`.
    state
        The column, or a tuple of columns. They are changed in place.
    rate
        Encounters that a member starts per unit of time, >= 0.
    rng
        Seeds the cohort's own generator.
    start
        Time at which the clocks start.

    Attributes
    ----------
    time
        Everything up to and including this time has been applied.
    next_time
        When the next encounter will happen.
    arrays
        The columns.

    Examples
    --------
    >>> def copy(own, other, p):
    ...     return other, other
    >>> x = np.array([0.0, 1.0])
    >>> cohort = PairwiseCohort(copy, x, rate=1.0, rng=np.random.default_rng(1), compiled=False)
    >>> cohort.advance(100.0) > 150, cohort.time
    (True, 100.0)
    """

    def __init__(
        self,
        rule: Callable[..., Any],
        state: NDArray[Any] | Sequence[NDArray[Any]],
        *,
        rate: float,
        rng: np.random.Generator,
        network: _Ties | None = None,
        params: tuple[Any, ...] = (),
        members: ArrayLike | None = None,
        start: float = 0.0,
        compiled: bool | None = None,
    ) -> None:
        self.arrays = _arrays(state)
        self.n = len(self.arrays[0])
        self.time = float(start)
        self._rule, self._state = rule, state
        self._compiled = has_numba() if compiled is None else compiled
        self._members = _members(members, self.n)
        self._movable = np.zeros(self.n, dtype=bool)
        self._movable[slice(None) if members is None else self._members] = True
        self._words = begin(rng)
        self._clock = np.array([math.inf])
        self.params, self.network, self.rate = params, network, 0.0
        self.change(rate=rate, network=network, params=params)

    @property
    def n_members(self) -> int:
        """How many agents start encounters."""
        return self.n if self._members is None else int(self._members.size)

    @property
    def next_time(self) -> float:
        """When the next encounter will happen; infinite if the rate is 0."""
        return float(self._clock[0])

    def advance(self, until: float) -> int:
        """Apply all encounters up to and including time `until`; returns how many.

        Raises
        ------
        EngineError
            `until` lies before the time that was reached.
        """
        require(
            self.time <= until < math.inf,
            EngineError,
            f"advance(until={until}), expected a time from {self.time}, already reached, on",
        )
        made = 0
        if until >= self.next_time:
            made = self._drive(np.iinfo(np.int64).max, float(until), timed=True)
        self.time = float(until)
        return made

    def change(
        self,
        *,
        rate: float | None = None,
        params: tuple[Any, ...] | None = None,
        network: _Ties | None = None,
    ) -> None:
        """Change what is given, from the time reached on. Advance to now first.

        A new rate stretches the time that is left to the next encounter in proportion, which is
        exact for a Poisson process and uses no chance.
        """
        if params is not None:
            self.params = _params(params)
        if network is not None:
            self.network = _ties(network, self.n)
        if self.network is None:
            require(
                self.n >= 2 or self.n_members == 0,
                PopulationError,
                f"{self.n} agents cannot meet in pairs, expected at least 2",
            )
        if rate is not None:
            require(
                0 <= rate < math.inf, EngineError, f"rate = {rate}, expected a finite number >= 0"
            )
            self._clock[0] = self._next_event(float(rate))
            self.rate = float(rate)

    def _next_event(self, rate: float) -> float:
        total = rate * self.n_members
        if total == 0:
            return math.inf
        if self.next_time < math.inf:
            return self.time + (self.next_time - self.time) * (self.rate / rate)
        pieces = plain_tools()
        word, s0, s1 = pieces.draw(*pieces.load(self._words))
        self._words[:] = s0, s1
        return self.time - math.log(1.0 - pieces.unit(word)) / total

    def _drive(self, most: int, until: float, *, timed: bool) -> int:
        network = self.network
        weights = None if network is None else network.weights
        drive = driver(
            self._rule,
            single=isinstance(self._state, np.ndarray),
            tied=network is not None,
            weighted=weights is not None,
            subset=self._members is not None,
            timed=timed,
            compiled=self._compiled,
        )
        made = drive(
            self._state if isinstance(self._state, (np.ndarray, tuple)) else tuple(self._state),
            _layout(network),
            _NONE_I8 if self._members is None else self._members,
            self._movable,
            self.params,
            self.rate * self.n_members,
            most,
            until,
            self._clock,
            self._words,
        )
        return int(made)


def _layout(network: _Ties | None) -> tuple[NDArray[Any], ...]:
    """First and last entries, partners and cumulative weights, as the driver takes them."""
    if network is None:
        return _NONE_I8, _NONE_I8, _NONE_I4, _NONE_F8
    weights = network.weights
    mass = _NONE_F8 if weights is None else np.cumsum(weights)
    return network.starts, network.stops, network.indices, mass


def _arrays(state: Any) -> tuple[NDArray[Any], ...]:
    arrays = (state,) if isinstance(state, np.ndarray) else tuple(state)
    shapes = [getattr(array, "shape", None) for array in arrays]
    good = arrays and all(isinstance(a, np.ndarray) and a.ndim >= 1 for a in arrays)
    require(
        bool(good) and len({shape[0] for shape in shapes if shape}) == 1,
        PopulationError,
        f"state has shapes {shapes}, expected NumPy columns of one length",
    )
    return arrays


def _members(members: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    if members is None:
        return None
    rows = np.asarray(members)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64).ravel()
    good = bool(((rows >= 0) & (rows < n)).all()) and np.unique(rows).size == rows.size
    require(good, PopulationError, f"members: expected different rows in 0..{n - 1}")
    return rows


def _params(params: Any) -> tuple[Any, ...]:
    require(
        isinstance(params, tuple)
        and all(isinstance(value, (Number, np.number)) for value in params),
        EngineError,
        f"params = {params!r}, expected a tuple or named tuple of numbers; columns belong to the "
        "state",
    )
    return params  # type: ignore[no-any-return]


def _ties(network: _Ties, n: int) -> _Ties:
    require(
        network.n == n,
        NetworkError,
        f"the network has {network.n} nodes, expected {n} as the state",
    )
    weights = network.weights
    require(
        weights is None or bool((weights >= 0).all()),
        NetworkError,
        "weights: partners are drawn by weight, expected weights >= 0",
    )
    return network
