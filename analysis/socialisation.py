"""Socialisation: does a society of agents form its members, or do they only talk past each other?

Five questions, each with a number and what chance would give. Does what is said settle
(`semantic_stabilisation`)? Do words come and go (`lexical_turnover`)? Do agents stay as they were,
or move towards those they meet (`adaptation`)? Do the influential stay influential
(`influence_persistence`)? Do agents agree on anything (`collective_consensus`)? Alike only on
average is no socialisation: agents that adapt to nobody have a stable mean too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.arrays import as_labels, as_numbers
from abm.analysis.diversity import mean_cosine
from abm.analysis.intervals import Estimate, bootstrap_counts, mean_interval
from abm.analysis.nulls import NullComparison
from abm.analysis.scales import entropy
from abm.errors import AnalysisError, require

__all__ = [
    "Adaptation",
    "InfluencePersistence",
    "adaptation",
    "collective_consensus",
    "influence_persistence",
    "lexical_turnover",
    "semantic_stabilisation",
]

Array = NDArray[np.float64]
NAN = float("nan")


def semantic_stabilisation(embeddings: ArrayLike, windows: ArrayLike) -> pl.DataFrame:
    """Does what is said settle? Cosine of each window's mean with the one before and the last.

    Parameters
    ----------
    embeddings
        One row per text, shape (n, n_dimensions).
    windows
        Window of each text, sortable, shape (n,).

    Returns
    -------
    One row per window: `window`, `n`, `to_previous` (nan for the first), `to_last`, and
    `mean_cosine` of all pairs of texts in it: a society that settles without growing alike has the
    first near 1 and the last flat.

    References
    ----------
    Li, Li and Zhou (2026), arXiv:2602.14299, whose questions these are; the definitions are ours.

    Examples
    --------
    >>> texts = [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    >>> semantic_stabilisation(texts, [1, 2, 3, 3])["to_previous"].round(3).to_list()
    [nan, 0.707, 1.0]
    """
    unit = _unit(embeddings)
    names, place = as_labels(windows, "windows")
    require(
        place.shape == unit.shape[:1],
        AnalysisError,
        f"{place.size} windows for {unit.shape[0]} texts, expected one per text",
    )
    means = np.stack([unit[place == i].mean(axis=0) for i in range(names.size)])
    previous = np.concatenate([[np.nan], _cosine(means[1:], means[:-1])])
    return pl.DataFrame(
        {
            "window": names,
            "n": np.bincount(place),
            "to_previous": previous,
            "to_last": _cosine(means, np.broadcast_to(means[-1], means.shape)),
            "mean_cosine": [mean_cosine(unit[place == i]) for i in range(names.size)],
        }
    )


def lexical_turnover(tokens: Sequence[Sequence[str]]) -> pl.DataFrame:
    """Do words come and go? Births and deaths of words from window to window.

    Parameters
    ----------
    tokens
        Words of each window, in order of time, as `abm.analysis.text.words` makes them.

    Returns
    -------
    One row per window but the first: `window` (index), `births` (share of its different words that
    the window before lacks), `new` (share that no earlier window has), `deaths` (share of the words
    of the window before that it lacks) and `turnover` (Jaccard distance of both); nan where a
    window has no words. Windows of unequal length differ by length alone: give each as many words.

    References
    ----------
    Li, Li and Zhou (2026), arXiv:2602.14299, whose question this is; Jaccard (1912), New
    Phytologist 11, 37-50, for the distance.

    Examples
    --------
    >>> table = lexical_turnover([["a", "b"], ["b", "c"], ["a", "c"]])
    >>> table.select("births", "new", "deaths").rows()
    [(0.5, 0.5, 0.5), (0.5, 0.0, 0.5)]
    """
    require(
        not any(isinstance(window, str) for window in tokens),
        AnalysisError,
        "a window is a text, expected its words: abm.analysis.text.words(text)",
    )
    sets = [set(window) for window in tokens]
    seen: set[str] = set()
    rows = []
    for i, (before, now) in enumerate(itertools.pairwise(sets), start=1):
        seen |= before
        union = before | now
        rows.append(
            (
                i,
                len(now - before) / len(now) if now else NAN,
                len(now - seen) / len(now) if now else NAN,
                len(before - now) / len(before) if before else NAN,
                1 - len(before & now) / len(union) if union else NAN,
            )
        )
    names = {"window": pl.Int64, "births": pl.Float64, "new": pl.Float64}
    return pl.DataFrame(
        rows, schema=names | {"deaths": pl.Float64, "turnover": pl.Float64}, orient="row"
    )


@dataclass(frozen=True)
class Adaptation:
    """Do agents move towards those they met?

    Attributes
    ----------
    inertia
        Mean cosine between what agents said before and after, with its interval over meetings.
    approach
        Mean gain in cosine with the partner from before to after: > 0 is adaptation, 0 none.
    null
        `approach` beside its values with partners shuffled, the placebo that keeps who changed and
        how much.
    """

    inertia: Estimate
    approach: Estimate
    null: NullComparison


def adaptation(
    before: ArrayLike,
    after: ArrayLike,
    partners: ArrayLike,
    *,
    rng: np.random.Generator,
    n_permutations: int = 999,
    level: float = 0.95,
) -> Adaptation:
    """Do agents stay as they were, or move towards those they meet?

    Parameters
    ----------
    before, after
        What each agent said (or held) before and after a meeting, as embeddings, shape (n,
        n_dimensions); opinions on one scale work as [opinion, 1].
    partners
        What the partner of each meeting had said, shape (n, n_dimensions).
    n_permutations
        Shuffles of the partners over meetings.

    Returns
    -------
    A society that drifts as a whole approaches shuffled partners as much as its own: then
    `approach` is positive and not distinguishable from the null. A single meeting has no interval
    and no null: both are nan.

    Raises
    ------
    AnalysisError
        Shapes differ, or a row has no direction (all zeros, or nan).

    References
    ----------
    Li, Li and Zhou (2026), arXiv:2602.14299, whose question this is; the gain towards the
    partner and its placebo are defined here.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> own, other = rng.normal(size=(2, 300, 5))
    >>> moved = adaptation(own, own + 0.3 * (other - own), other, rng=rng, n_permutations=99)
    >>> inert = adaptation(own, own, other, rng=rng, n_permutations=99)
    >>> moved.null.p_value, inert.approach.estimate
    (0.01, 0.0)
    """
    a, b, c = (_unit(x) for x in (before, after, partners))
    require(
        a.shape == b.shape == c.shape,
        AnalysisError,
        f"shapes {a.shape}, {b.shape} and {c.shape}, expected equal ones",
    )
    gained = b - a
    own = np.einsum("ij,ij->i", gained, c)
    stay = np.einsum("ij,ij->i", a, b)
    null = np.array(
        [
            np.einsum("ij,ij->i", gained, c[rng.permutation(len(c))]).mean()
            for _ in range(n_permutations if len(c) > 1 else 0)
        ]
    )
    over = "over meetings"
    inertia, approach = (
        Estimate(e.estimate, e.low, e.high, level, e.n, f"t {over}", e.reason)
        for e in (mean_interval(stay, level=level), mean_interval(own, level=level))
    )
    return Adaptation(inertia, approach, _against(approach.estimate, null, level))


@dataclass(frozen=True)
class InfluencePersistence:
    """Do the influential stay influential?

    Attributes
    ----------
    rank_correlation
        Mean Spearman correlation of consecutive windows, with Student's t interval over pairs of
        windows (which overlap: read it as a guide).
    kept
        Mean share of the top agents of a window that are at the top in the next; expected, where
        agents tie for the last places and each window draws among them anew.
    kept_by_chance
        What `kept` would be if each window drew its top at random.
    supernodes
        Agents at the top in every window, whoever is drawn among those who tie.
    """

    rank_correlation: Estimate
    kept: float
    kept_by_chance: float
    supernodes: NDArray[np.int64]


def influence_persistence(scores: ArrayLike, *, top: int = 10) -> InfluencePersistence:
    """Compare who is influential from window to window.

    Parameters
    ----------
    scores
        Influence of each agent in each window (replies received, PageRank), shape (n_windows,
        n_agents).
    top
        Agents that count as influential, 1 to n_agents. Of those who tie for the last places each
        has the same share in them, so that the numbers of agents do not matter.

    Returns
    -------
    nan with fewer than two windows; the correlation also where all agents are equal.

    References
    ----------
    Li, Li and Zhou (2026), arXiv:2602.14299, whose question this is; Spearman (1904), American
    Journal of Psychology 15, 72-101.

    Examples
    --------
    >>> found = influence_persistence([[9, 5, 1, 0], [8, 6, 2, 1], [7, 1, 5, 0]], top=1)
    >>> found.kept, found.kept_by_chance, found.supernodes.tolist()
    (1.0, 0.25, [0])
    """
    x = as_numbers(scores, "scores")
    require(
        x.ndim == 2 and 1 <= top <= x.shape[-1] and not np.isnan(x).any(),
        AnalysisError,
        f"scores of shape {x.shape} and top = {top}, expected (n_windows, n_agents), no nan, and "
        "1 <= top <= n_agents",
    )
    ranks = stats.rankdata(x, axis=1)
    around = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((around**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        follow = (around[1:] * around[:-1]).sum(axis=1) / (length[1:] * length[:-1])
    inside = _at_the_top(x, top)
    kept = (inside[1:] * inside[:-1]).sum(axis=1) / top
    always = np.flatnonzero(np.all(inside == 1, axis=0)) if len(x) else np.empty(0, np.int64)
    return InfluencePersistence(
        mean_interval(follow),
        float(kept.mean()) if kept.size else NAN,
        top / x.shape[1],
        always.astype(np.int64),
    )


def _at_the_top(scores: Array, top: int) -> Array:
    """Probability that each agent is among the top of its window if ties are drawn, same shape."""
    if not len(scores):
        return scores
    last = -np.partition(-scores, top - 1, axis=1)[:, top - 1 : top]
    above, level = scores > last, scores == last
    left = top - above.sum(axis=1, keepdims=True)
    share: Array = above + level * (left / level.sum(axis=1, keepdims=True))
    return share


def collective_consensus(
    answers: ArrayLike,
    *,
    rng: np.random.Generator,
    n_answers: int | None = None,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Do agents agree on an open question, such as who matters here?

    Parameters
    ----------
    answers
        One answer per agent, shape (n,).
    n_answers
        Possible answers, if known; by default those given.

    Returns
    -------
    `modal_share` (of the most common answer) and `consensus`, 1 - H / log(n_answers): 1 when all
    say the same and 0 when every answer is as common, nan for a single possible one; with bootstrap
    intervals over agents.

    References
    ----------
    Li, Li and Zhou (2026), arXiv:2602.14299, whose question this is; one minus the evenness of
    Pielou (1966), Journal of Theoretical Biology 13, 131-144.

    Examples
    --------
    >>> found = collective_consensus(["ann"] * 9 + ["bob"], rng=np.random.default_rng(1))
    >>> found["modal_share"].estimate, round(found["consensus"].estimate, 3)
    (0.9, 0.531)
    """
    _, place = as_labels(answers, "answers")
    counted = np.bincount(place)
    kinds = counted.size if n_answers is None else n_answers
    require(
        kinds >= counted.size,
        AnalysisError,
        f"n_answers = {n_answers}, but {counted.size} different answers were given",
    )

    def share(f: Array) -> float:
        return float(f.max() / f.sum()) if f.size and f.sum() else NAN

    def agreement(f: Array) -> float:
        return 1 - entropy(f) / float(np.log(kinds)) if kinds > 1 else NAN

    measures = {"modal_share": share, "consensus": agreement}
    return {
        name: bootstrap_counts(measure, counted, rng=rng, level=level)
        for name, measure in measures.items()
    }


def _against(value: float, null: Array, level: float) -> NullComparison:
    if null.size == 0 or not np.isfinite(value):
        return NullComparison(value, NAN, NAN, NAN, NAN, int(null.size))
    mean = float(null.mean())
    far = np.abs(null - mean) >= abs(value - mean) - 1e-12
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    p = float((far.sum() + 1) / (null.size + 1))
    return NullComparison(value, mean, float(low), float(high), p, int(null.size))


def _cosine(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine: Array = np.clip(np.einsum("ij,ij->i", one, other) / lengths, -1, 1)
    return np.where(lengths > 0, cosine, np.nan)


def _unit(embeddings: ArrayLike) -> Array:
    rows = as_numbers(embeddings, "embeddings")
    require(
        rows.ndim == 2 and rows.shape[0] > 0,
        AnalysisError,
        f"embeddings of shape {rows.shape}, expected (n, n_dimensions) with n >= 1",
    )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    require(
        bool(np.all(lengths > 0)),
        AnalysisError,
        f"{int(np.sum(~(lengths > 0)))} rows have no direction (all zeros, or nan): leave them out",
    )
    unit: Array = rows / lengths
    return unit
