"""Keys and lengths: how many agents there are, and whose chance is whose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require
from abm.population.columns import is_one
from abm.rng import agent_key

__all__ = ["as_keys", "check_distinct_keys", "check_new_keys", "common_length"]


def common_length(
    n: int | None, keys: Any, columns: Mapping[str, Any], otherwise: int | None = None
) -> int:
    """The length that n, keys and columns agree on; `otherwise` if nothing tells it."""
    lengths = {name: len(values) for name, values in columns.items() if not is_one(values)}
    if keys is not None:
        lengths["keys"] = len(np.atleast_1d(np.asarray(keys, dtype=object)))
    if n is not None or (not lengths and otherwise is not None):
        size = otherwise if n is None else n
        require(
            isinstance(size, int | np.integer),
            PopulationError,
            f"n = {size!r}, expected a whole number of agents"
            if is_one(size)
            else f"n of type {type(size).__name__}, expected a whole number of agents: a column "
            "needs another name than 'n'",
        )
        lengths["n"] = int(size)  # type: ignore[arg-type]
    require(
        len(set(lengths.values())) == 1 and min(lengths.values()) >= 0,
        PopulationError,
        f"lengths differ: {lengths}"
        if lengths
        else "give n, keys, or a column with one value per agent",
    )
    return next(iter(lengths.values()))


def as_keys(keys: ArrayLike | Iterable[Any], n: int) -> NDArray[np.uint64]:
    """Keys as words of the counter-based generator; texts are hashed."""
    array = np.atleast_1d(np.asarray(keys))
    if array.dtype.kind == "i":
        array = array.astype(np.int64).view(np.uint64)
    elif array.dtype.kind != "u":
        names: Sequence[Any] = array.tolist()
        good = all(isinstance(name, (str, int)) for name in names)
        require(good, PopulationError, f"keys of type {array.dtype}, expected integers or texts")
        array = np.array([agent_key(name) for name in names], dtype=np.uint64)
    require(array.shape == (n,), PopulationError, f"keys has shape {array.shape}, expected ({n},)")
    return array.astype(np.uint64)


def check_new_keys(words: NDArray[np.uint64], there: NDArray[np.uint64]) -> None:
    """Refuse keys that are there already, or twice among the newcomers."""
    check_distinct_keys(words)
    if np.isin(there, words).any():
        check_distinct_keys(np.concatenate([there, words]))


def check_distinct_keys(words: NDArray[np.uint64]) -> None:
    """Refuse keys that appear twice."""
    ordered = np.sort(words)
    twice = ordered[:-1][ordered[1:] == ordered[:-1]]
    require(
        twice.size == 0,
        PopulationError,
        f"keys: {twice.size} are not unique, for example {twice[:3].tolist()}; two agents with one "
        "key would share their chance. Resampled people need keys of their own: leave keys out to "
        "take row numbers",
    )
