"""Agent stability: does an agent late in a run still act as it did at its start?

An index in [0, 1] from items in four groups, each comparing a window of time with the baseline
window. The groups and their weights follow the Agent Stability Index; its items about tools become
items about the choices of an agent in a society, and an item that a study does not record is left
out, said, and its group's weight spread over the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers
from abm.analysis.drift import drift
from abm.analysis.text import words
from abm.errors import AnalysisError, require

__all__ = [
    "ASI_GROUPS",
    "ASI_WEIGHTS",
    "distribution_stability",
    "output_stability",
    "sequence_stability",
    "stability_index",
    "stability_items",
]

Array = NDArray[np.float64]
NAN = float("nan")
Item = Callable[[pl.DataFrame, pl.DataFrame], float]
"""An item of the index: a window beside the baseline, in [0, 1]."""

ASI_GROUPS: dict[str, tuple[str, ...]] = {
    "consistency": ("outputs", "paths", "confidence"),
    "choices": ("selection", "sequence", "intensity"),
    "coordination": ("agreement", "handoff", "role"),
    "boundaries": ("length", "errors", "interventions"),
}
"""Groups of the index and the names of their items."""

ASI_WEIGHTS: dict[str, float] = {
    "consistency": 0.30,
    "choices": 0.25,
    "coordination": 0.25,
    "boundaries": 0.20,
}


def stability_index(
    items: pl.DataFrame,
    *,
    groups: Mapping[str, Sequence[str]] = ASI_GROUPS,
    weights: Mapping[str, float] = ASI_WEIGHTS,
    floor: float = 0.75,
    patience: int = 3,
) -> pl.DataFrame:
    """The index of each window from its items, and an alarm when it stays low.

    Parameters
    ----------
    items
        One row per window in order of time: a column `window` and columns of items in [0, 1], 1 for
        as at the baseline; nan or null is not recorded. `stability_items` makes it.
    groups, weights
        Which items form a group (their mean), and the weight of each group.
    floor, patience
        The alarm is raised in the window in which the index has been below `floor` for `patience`
        windows.

    Returns
    -------
    Columns `window`, one per group (nan without a recorded item), `asi`, `recorded` (share of the
    weight that has an item) and `alarm`. Take its interval over replications or agents by
    `means_table`.

    Raises
    ------
    AnalysisError
        An item lies outside [0, 1], or no column is an item of a group.

    References
    ----------
    Rath (2026), "Agent drift", arXiv:2601.04170.

    Examples
    --------
    >>> items = pl.DataFrame({"window": [0, 1, 2], "outputs": [1.0, 0.8, 0.4],
    ...                       "selection": [1.0, 0.9, 0.6]})
    >>> stability_index(items, patience=1).select(pl.col("asi").round(3), "alarm").rows()
    [(1.0, False), (0.845, False), (0.491, True)]
    """
    _check_weights(groups, weights)
    known = _known_items(items, groups)
    made = {
        group: _mean([known[name] for name in names if name in known], items.height)
        for group, names in groups.items()
    }
    score, mass = np.zeros(items.height), np.zeros(items.height)
    for group, value in made.items():
        there = ~np.isnan(value)
        score[there] += weights[group] * value[there]
        mass[there] += weights[group]
    asi = np.divide(score, mass, out=np.full(items.height, np.nan), where=mass > 0)
    index = {
        "asi": asi,
        "recorded": mass / sum(weights[group] for group in groups),
        "alarm": _alarm(asi < floor, patience),
    }
    return pl.DataFrame({"window": items["window"]} | made | index)


def _check_weights(groups: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> None:
    weighed = set(groups) <= set(weights) and all(weights[name] >= 0 for name in groups)
    weighed = weighed and sum(weights[name] for name in groups) > 0
    require(
        weighed,
        AnalysisError,
        f"weights {dict(weights)}, expected one >= 0 for each group of {list(groups)}",
    )


def _known_items(items: pl.DataFrame, groups: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    """Items that were recorded, nan where one is missing."""
    known = [name for names in groups.values() for name in names if name in items.columns]
    require(
        bool(known) and "window" in items.columns,
        AnalysisError,
        f"columns {items.columns}, expected `window` and some of "
        f"{[name for names in groups.values() for name in names]}",
    )
    values = {name: items[name].cast(pl.Float64).fill_null(NAN).to_numpy().copy() for name in known}
    wrong = [n for n, v in values.items() if np.any((v < -1e-9) | (v > 1 + 1e-9))]
    require(not wrong, AnalysisError, f"items {wrong} leave [0, 1], where 1 is as at the baseline")
    return values


def stability_items(
    decisions: pl.DataFrame,
    *,
    window: str = "window",
    agent: str = "agent",
    choice: str | None = "choice",
    confidence: str | None = None,
    length: str | None = None,
    failed: str | None = None,
    group: str | None = None,
    embedding: str | None = None,
    path: str | None = None,
    role: str | None = None,
    handoff: str | None = None,
    intervened: str | None = None,
) -> pl.DataFrame:
    """Items of the index from a record of decisions; the first window is the baseline.

    Parameters
    ----------
    decisions
        One row per decision in order of time. A window should hold a few hundred decisions: a
        small sample differs from another of the same agent by chance.
    choice
        What was chosen: gives `selection` (distribution of choices), `sequence` (order of each
        agent's choices) and `intensity` (decisions per window).
    confidence
        In [0, 1]: gives `confidence` (distribution over ten bins).
    length
        Of texts, in words: gives `length`.
    failed
        True where an answer failed: gives `errors`.
    group
        Those who decide together: gives `agreement`, the share of the most common choice in each
        group and window, against the baseline.
    embedding
        Column of vectors, one per text: gives `outputs`, the cosine of each agent's mean text with
        that at the baseline.
    path
        Reasoning written down before a choice: gives `paths`, the order of each agent's words in a
        window against that at the baseline.
    role
        What kind of act the decision was (the question, say): gives `role`, the distribution of
        each agent's acts over kinds against that at the baseline.
    handoff
        True where what was passed on was taken up: gives `handoff`.
    intervened
        True where somebody else decided in the end, a rule that stood in, say: gives
        `interventions`.

    Returns
    -------
    One row per window: `window` and the items that the columns allow, each in [0, 1], or nan where
    a window has nothing to compare.
    `abm.analysis.report.recorded_decisions` makes the columns from any run whose agents are asked
    one by one; `path` and `handoff` are known to the model alone, which has to write them.

    References
    ----------
    Rath (2026), "Agent drift", arXiv:2601.04170, for the twelve items; those about tools are here
    about choices, and each is a share of what it was at the baseline.

    Examples
    --------
    >>> decisions = pl.DataFrame({"window": [0] * 4 + [1] * 4, "agent": [1] * 8,
    ...                           "choice": ["a", "b"] * 2 + ["a"] * 4})
    >>> stability_items(decisions).select(pl.all().round(3)).rows()
    [(0, 1.0, 1.0, 1.0), (1, 0.689, 0.5, 1.0)]
    """
    makers = {
        **_of_choices(agent, choice, group),
        **_of_numbers(confidence, length),
        **_of_shares(errors=failed, handoff=handoff, interventions=intervened),
        **_of_agents(agent, path, role, embedding),
    }
    named = [choice, confidence, length, failed, group, embedding, path, role, handoff, intervened]
    _check_recorded(decisions, [window, agent, *(name for name in named if name is not None)])
    parts = decisions.partition_by(window, as_dict=True, maintain_order=True)
    windows = sorted(key[0] for key in parts)
    frames = [parts[(name,)] for name in windows]
    items = {name: [make(frame, frames[0]) for frame in frames] for name, make in makers.items()}
    return pl.DataFrame({"window": windows} | items)


def _check_recorded(decisions: pl.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in decisions.columns]
    require(
        not missing and decisions.height > 0,
        AnalysisError,
        f"the decisions lack {missing or 'rows'}; they have {decisions.columns}",
    )


def _of_choices(agent: str, choice: str | None, group: str | None) -> dict[str, Item]:
    """Which choices, in which order, how many, and whether a group agrees."""
    if choice is None:
        return {}
    made: dict[str, Item] = {
        "selection": lambda now, start: _same_distribution(now[choice], start[choice]),
        "sequence": lambda now, start: _same_order(now, start, agent, choice),
        "intensity": lambda now, start: _near(now.height, start.height),
    }
    if group is not None:
        made["agreement"] = lambda now, start: (
            1 - abs(_agreement(now, group, choice) - _agreement(start, group, choice))
        )
    return made


def _of_numbers(confidence: str | None, length: str | None) -> dict[str, Item]:
    """How sure, and how long."""
    made: dict[str, Item] = {}
    if confidence is not None:
        made["confidence"] = lambda now, start: _same_distribution(
            _binned(now[confidence]), _binned(start[confidence])
        )
    if length is not None:
        made["length"] = lambda now, start: _near(_mean_of(now[length]), _mean_of(start[length]))
    return made


def _of_shares(**columns: str | None) -> dict[str, Item]:
    """Shares of decisions of which something is true."""
    return {item: _same_share(column) for item, column in columns.items() if column is not None}


def _of_agents(
    agent: str, path: str | None, role: str | None, embedding: str | None
) -> dict[str, Item]:
    """Each agent's words, kinds of acts and meaning, beside its own at the start."""
    made: dict[str, Item] = {}
    if path is not None:
        made["paths"] = lambda now, start: _same_order(
            _worded(now, path), _worded(start, path), agent, path
        )
    if role is not None:
        made["role"] = lambda now, start: _same_roles(now, start, agent, role)
    if embedding is not None:
        made["outputs"] = lambda now, start: _same_texts(now, start, agent, embedding)
    return made


def distribution_stability(now: ArrayLike, start: ArrayLike) -> float:
    """1 minus the Jensen-Shannon divergence, in bits, of two distributions given as counts.

    Returns
    -------
    In [0, 1]: 1 for equal shares, 0 for nothing in common; nan where one is empty.

    References
    ----------
    Lin (1991), IEEE Transactions on Information Theory 37, 145-151.

    Examples
    --------
    >>> distribution_stability([5, 5], [50, 50]), distribution_stability([1, 0], [0, 1])
    (1.0, 0.0)
    """
    p, q = (as_numbers(x, "counts").ravel() for x in (now, start))
    good = p.shape == q.shape and bool(np.all(p >= 0)) and bool(np.all(q >= 0))
    require(
        good, AnalysisError, f"{p.size} and {q.size} categories, expected equal numbers, each >= 0"
    )
    if p.sum() <= 0 or q.sum() <= 0:
        return NAN
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(x > 0, x * np.log2(x / middle), 0.0).sum() / 2 for x in (p, q)]
    return float(np.clip(1 - sum(terms), 0, 1))


def sequence_stability(now: Sequence[object], start: Sequence[object]) -> float:
    """1 minus the edit distance of two sequences over the length of the longer.

    Returns
    -------
    In [0, 1]; nan where both are empty.

    References
    ----------
    Levenshtein (1966), Soviet Physics Doklady 10, 707-710.

    Examples
    --------
    >>> sequence_stability("abcd", "abxd")
    0.75
    """
    longest = max(len(now), len(start))
    if longest == 0:
        return NAN
    # Whole rows at once: within a row, insertions are a running minimum after a shift.
    codes = {value: i for i, value in enumerate(dict.fromkeys([*now, *start]))}
    a, b = (np.array([codes[v] for v in s], dtype=np.int64) for s in (now, start))
    steps = np.arange(b.size + 1)
    row = steps.copy()
    for i, value in enumerate(a, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (b != value))
        row = np.minimum.accumulate(np.concatenate([[i], best]) - steps) + steps
    return float(1 - row[-1] / longest)


def output_stability(now: ArrayLike, start: ArrayLike) -> float:
    """Mean cosine of what agents say now with what they said at the start, 0 where it is negative.

    Parameters
    ----------
    now, start
        One embedding per agent, shape (n, n_dimensions).

    Returns
    -------
    In [0, 1]; nan where no agent has a direction at both times.

    References
    ----------
    Rath (2026), "Agent drift", arXiv:2601.04170, group of response consistency.

    Examples
    --------
    >>> output_stability([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [1.0, 0.0]])
    0.5
    """
    kept = 1 - drift(now, start)
    known = kept[~np.isnan(kept)]
    return float(np.clip(known, 0, 1).mean()) if known.size else NAN


def _alarm(low: NDArray[np.bool_], patience: int) -> list[bool]:
    require(patience >= 1, AnalysisError, f"patience = {patience}, expected >= 1")
    run, alarms = 0, []
    for is_low in low:
        run = run + 1 if is_low else 0
        alarms.append(run >= patience)
    return alarms


def _mean(values: list[Array], n: int) -> Array:
    if not values:
        return np.full(n, np.nan)
    stacked = np.stack(values)
    there = ~np.isnan(stacked)
    total = np.where(there, stacked, 0.0).sum(axis=0)
    count = there.sum(axis=0)
    mean: Array = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    return mean


def _near(now: float, start: float) -> float:
    """1 where two amounts are equal, 0 where one is nothing beside the other."""
    largest = max(now, start)
    return 1 - abs(now - start) / largest if largest > 0 else 1.0


def _mean_of(values: pl.Series) -> float:
    found = values.cast(pl.Float64).mean()
    return NAN if found is None else float(found)  # type: ignore[arg-type]


def _binned(values: pl.Series) -> pl.Series:
    return (values.cast(pl.Float64) * 10).floor().clip(0, 9)


def _same_distribution(now: pl.Series, start: pl.Series) -> float:
    both = pl.concat([now.drop_nulls(), start.drop_nulls()])
    if both.is_empty():
        return NAN
    _, codes = np.unique(both.to_numpy(), return_inverse=True)
    cut, kinds = now.drop_nulls().len(), int(codes.max()) + 1
    return distribution_stability(
        np.bincount(codes[:cut], minlength=kinds), np.bincount(codes[cut:], minlength=kinds)
    )


def _same_order(now: pl.DataFrame, start: pl.DataFrame, agent: str, choice: str) -> float:
    """Mean over agents; one who decided in one of the windows only has nothing to compare."""
    here, there = (
        {
            key[0]: part[choice].to_list()
            for key, part in frame.drop_nulls(choice).partition_by(agent, as_dict=True).items()
        }
        for frame in (now, start)
    )
    found = [sequence_stability(here[name], there[name]) for name in here if name in there]
    return float(np.nanmean(found)) if found else NAN


def _same_share(column: str) -> Callable[[pl.DataFrame, pl.DataFrame], float]:
    """1 minus the change of a share."""
    return lambda now, start: 1 - abs(_mean_of(now[column]) - _mean_of(start[column]))


def _worded(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per word that was written, in order."""
    written = frame.drop_nulls(column)
    said = pl.Series(column, [words(text) for text in written[column]], dtype=pl.List(pl.String))
    return written.with_columns(said).explode(column)


def _same_roles(now: pl.DataFrame, start: pl.DataFrame, agent: str, role: str) -> float:
    """Mean over agents that acted in both windows."""
    here, there = (frame.partition_by(agent, as_dict=True) for frame in (now, start))
    found = [_same_distribution(here[key][role], there[key][role]) for key in here if key in there]
    return float(np.nanmean(found)) if found else NAN


def _agreement(frame: pl.DataFrame, group: str, choice: str) -> float:
    shares = (
        frame.drop_nulls(choice)
        .group_by(group, choice)
        .len()
        .group_by(group)
        .agg(share=pl.col("len").max() / pl.col("len").sum())
    )
    return _mean_of(shares["share"])


def _same_texts(now: pl.DataFrame, start: pl.DataFrame, agent: str, embedding: str) -> float:
    means = [
        {
            key[0]: np.stack([np.asarray(v, dtype=np.float64) for v in part[embedding]]).mean(
                axis=0
            )
            for key, part in frame.drop_nulls(embedding).partition_by(agent, as_dict=True).items()
        }
        for frame in (now, start)
    ]
    both = [name for name in means[0] if name in means[1]]
    if not both:
        return NAN
    return output_stability(*(np.stack([side[name] for name in both]) for side in means))
