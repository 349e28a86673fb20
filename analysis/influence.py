"""Influence: does what one does tell what another will do, beyond the other's own past?

Transfer entropy is the information that the past of a source adds about the next state of a target.
It is a statement about prediction: a common cause with a shorter delay gives it too. Estimates of
information are biased upwards, so each comes with a permutation null, and `excess` is the estimate
minus the mean of the null.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_labels, as_numbers
from abm.analysis.intervals import Estimate, check_level, t_halfwidth
from abm.errors import AnalysisError, require

__all__ = ["TransferEntropy", "symbols", "transfer_entropy"]

Integers = NDArray[np.int64]
NAN = float("nan")
_MOST_CELLS = 20_000_000
"""Cells of all tables of counts: a series of numbers instead of symbols would fill memory."""


@dataclass(frozen=True)
class TransferEntropy:
    """Transfer entropy from a source to a target, in nats; over log 2 it is in bits.

    Attributes
    ----------
    value
        Plug-in estimate, >= 0; nan where undefined.
    excess
        Value minus the mean of the null, with a jackknife interval: near 0 without influence.
    null_mean, null_high
        Mean and upper end of the null.
    p_value
        How often the null is as large, counting the data themselves; nan where undefined.
    n
        Transitions counted.
    """

    value: float
    excess: Estimate
    null_mean: float
    null_high: float
    p_value: float
    n: int


def transfer_entropy(
    source: ArrayLike,
    target: ArrayLike,
    *,
    rng: np.random.Generator,
    lag: int = 1,
    history: int = 1,
    n_permutations: int = 199,
    n_blocks: int = 20,
    level: float = 0.95,
) -> TransferEntropy:
    """Transfer entropy of symbols, with a permutation null that keeps the source's own dynamics.

    Parameters
    ----------
    source, target
        Symbols (whole numbers, or anything with few different values; `symbols` makes them from
        numbers), shape (n_times,), or (n_times, n_pairs) for many pairs of short series whose
        transitions are pooled.
    lag
        Steps from the source's state to the target's next one, >= 1.
    history
        States of the target's own past that are taken into account, >= 1.
    n_permutations
        Each turns every source series round a random number of steps, which breaks its tie to the
        target and keeps its frequencies and rhythm. With many pairs, sources also change partners.
    n_blocks
        Blocks (of time, or of pairs where there are as many) that the jackknife leaves out in turn.

    Returns
    -------
    nan where the target never changes.

    Raises
    ------
    AnalysisError
        Shapes differ, series are shorter than the lags, or there are too many symbols to count.

    References
    ----------
    Schreiber (2000), Physical Review Letters 85, 461-464; Marschinski and Kantz (2002), European
    Physical Journal B 30, 275-281 (effective transfer entropy).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> leader = rng.integers(0, 2, 2000)
    >>> follower = np.roll(leader, 1)
    >>> there = transfer_entropy(leader, follower, rng=rng)
    >>> back = transfer_entropy(follower, leader, rng=rng)
    >>> round(there.value, 2), there.p_value < 0.01, back.value < 0.01  # log 2 is 0.69
    (0.69, True, True)
    """
    check_level(level)
    require(
        n_permutations >= 1 and n_blocks >= 1,
        AnalysisError,
        f"n_permutations = {n_permutations}, n_blocks = {n_blocks}, expected >= 1",
    )
    x, y = _series(source, target, max(lag, history), lag, history)
    now, past, states = _encoded(y, history, max(lag, history))
    first = max(lag, history) - lag
    heard = x[first : x.shape[0] - lag]
    n_x, n_y = int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1
    shape = (n_y, states, n_x)
    blocks = _blocks(now.shape, n_blocks)
    if n_y < 2:
        return _constant(now.size, level)
    _check_cells(shape, int(blocks.max()) + 1)
    tables = _counts(now, past, heard, shape, blocks)
    value = _information(tables.sum(axis=0))
    turned = (_turned(heard, rng) for _ in range(n_permutations))
    null = np.array([_information(_counts(now, past, t, shape, None)[0]) for t in turned])
    mean = float(null.mean())
    p = float((np.sum(null >= value - 1e-12) + 1) / (null.size + 1))
    excess = _jackknife(tables, value - mean, level, now.size)
    return TransferEntropy(value, excess, mean, float(np.quantile(null, level)), p, now.size)


def _check_cells(shape: tuple[int, int, int], n_blocks: int) -> None:
    cells = int(np.prod([*shape, n_blocks], dtype=np.float64))
    require(
        cells <= _MOST_CELLS,
        AnalysisError,
        f"{shape[2]} symbols of the source and {shape[0]} of the target with {shape[1]} different "
        f"pasts make {cells:,} cells in {n_blocks} blocks, expected {_MOST_CELLS:,} at most: make "
        "fewer symbols with `symbols`, or take a shorter history",
    )


def _constant(n: int, level: float) -> TransferEntropy:
    nothing = Estimate(NAN, NAN, NAN, level, n, "block jackknife", "the target is constant")
    return TransferEntropy(NAN, nothing, NAN, NAN, NAN, n)


def symbols(values: ArrayLike, n_symbols: int) -> Integers:
    """Numbers as symbols 0 to n_symbols - 1 of about equal frequency, same shape.

    Equal numbers get equal symbols, so that a scale of few points may give fewer symbols.

    Returns
    -------
    Whole numbers, shape as given; values with nan are refused.

    References
    ----------
    Defined here: cuts at quantiles, so that no symbol is rare.

    Examples
    --------
    >>> symbols([0.1, 0.9, 0.2, 0.8], 2).tolist()
    [0, 1, 0, 1]
    """
    x = as_numbers(values, "values")
    require(
        n_symbols >= 2 and not np.isnan(x).any(),
        AnalysisError,
        f"n_symbols = {n_symbols}, expected >= 2, and values without nan",
    )
    if x.size == 0:
        return np.empty(x.shape, dtype=np.int64)
    cuts = np.unique(np.quantile(x, np.arange(1, n_symbols) / n_symbols))
    return np.searchsorted(cuts, x, side="right").astype(np.int64)


def _series(
    source: ArrayLike, target: ArrayLike, reach: int, lag: int, history: int
) -> tuple[Integers, Integers]:
    x, y = (np.asarray(v) for v in (source, target))
    require(
        x.shape == y.shape and x.ndim in (1, 2) and x.shape[0] > reach,
        AnalysisError,
        f"source of shape {x.shape} and target of shape {y.shape}, expected equal shapes "
        f"(n_times,) or (n_times, n_pairs) with more than {reach} times",
    )
    require(
        lag >= 1 and history >= 1, AnalysisError, f"lag = {lag}, history = {history}, expected >= 1"
    )
    # A missing answer is refused: it may have a symbol of its own, or the pair be left out.
    codes = (as_labels(v.ravel(), name)[1] for v, name in ((x, "source"), (y, "target")))
    one, other = (code.reshape(x.shape[0], -1) for code in codes)
    return one, other


def _encoded(y: Integers, history: int, reach: int) -> tuple[Integers, Integers, int]:
    """Next state and coded past of the target, each (n_times - reach, n_pairs), and past states."""
    base = int(y.max(initial=0)) + 1
    past = np.zeros((y.shape[0] - reach, y.shape[1]), dtype=np.int64)
    for step in range(1, history + 1):
        past = past * base + y[reach - step : y.shape[0] - step]
    _, dense = np.unique(past, return_inverse=True)
    return y[reach:], dense.reshape(past.shape).astype(np.int64), int(dense.max(initial=0)) + 1


def _blocks(shape: tuple[int, ...], n_blocks: int) -> Integers:
    """Number of the block of each transition: by pair where there are enough, else by time."""
    n_times, n_pairs = shape
    many = min(n_blocks, n_times) if n_pairs < n_blocks else n_blocks
    if n_pairs >= n_blocks:
        return np.broadcast_to(np.arange(n_pairs) * many // n_pairs, shape).astype(np.int64)
    return np.broadcast_to((np.arange(n_times) * many // n_times)[:, None], shape).astype(np.int64)


def _counts(
    now: Integers,
    past: Integers,
    heard: Integers,
    shape: tuple[int, int, int],
    blocks: Integers | None,
) -> NDArray[np.float64]:
    """How often each (next, past, source) occurs in each block, shape (n_blocks, *shape)."""
    cell = (now * shape[1] + past) * shape[2] + heard
    many = 1 if blocks is None else int(blocks.max()) + 1
    cell = cell if blocks is None else cell + blocks * int(np.prod(shape))
    flat = np.bincount(cell.ravel(), minlength=many * int(np.prod(shape)))
    return flat.reshape(many, *shape).astype(np.float64)


def _information(table: NDArray[np.float64]) -> float:
    """Conditional mutual information of next state and source given the past, in nats."""
    total = table.sum()
    past, both = table.sum(axis=(0, 2)), table.sum(axis=2)
    heard = table.sum(axis=0)
    i, j, k = np.nonzero(table)
    n = table[i, j, k]
    terms = n * np.log(n * past[j] / (both[i, j] * heard[j, k]))
    return max(float(terms.sum() / total), 0.0) if total else NAN


def _turned(heard: Integers, rng: np.random.Generator) -> Integers:
    n_times, n_pairs = heard.shape
    turns = rng.integers(1, max(n_times, 2), size=n_pairs)
    partners = rng.permutation(n_pairs) if n_pairs > 1 else np.zeros(1, dtype=np.int64)
    rows = (np.arange(n_times)[:, None] + turns[None, :]) % n_times
    turned: Integers = heard[rows, partners[None, :]]
    return turned


def _jackknife(tables: NDArray[np.float64], excess: float, level: float, n: int) -> Estimate:
    method, whole = "block jackknife", tables.sum(axis=0)
    left = np.array([_information(whole - part) for part in tables])
    many = left.size
    if many < 2:
        return Estimate(excess, NAN, NAN, level, n, method, "one block")
    pseudo = many * _information(whole) - (many - 1) * left
    half = float(t_halfwidth(pseudo.std(ddof=1), many, level))
    return Estimate(excess, excess - half, excess + half, level, n, method)
