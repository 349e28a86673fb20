"""Columns under guard: what rules that write by themselves may leave in the arrays of a state.

Floats must stay numbers: an array of floats without nan at the start may hold none later. `bounds`
narrows that, or lifts it: `{"opinion": (0, 1), "last_seen": None}`. Where rules act for one agent
at a time, the rows of those who acted are looked at after every act, so that agent and time can be
told. A rule that may write into the rows of others too (`abm.kernels.reach`), or into arrays that
are no columns of numbers (places, grids), has all of them looked at whenever its driver is done,
before anybody else sees what cannot stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, PopulationError, RuleError, require
from abm.kernels.reach import writes_elsewhere
from abm.kernels.rule import name_of
from abm.kernels.tools import Tools

__all__ = [
    "Guard",
    "Ranges",
    "array_name",
    "guard_of",
    "left_behind",
    "ranges_of",
    "sound_of",
]

Ranges = Mapping[int | str, tuple[float, float] | None]


class Guard(NamedTuple):
    """Columns that are looked at after every act, and arrays that are looked at in the end.

    Attributes
    ----------
    places
        Which arrays of the state; compiled in.
    ranges
        Lowest and highest value of each, shape (n_places, 2).
    others
        Place of each other array -> its lowest and highest value.
    """

    places: tuple[int, ...]
    ranges: NDArray[np.float64]
    others: dict[int, tuple[float, float]]

    def look_at_all(
        self, rule: Callable[..., Any], rows: int, state: Any, when: str, **values: Any
    ) -> None:
        """Look at all that a rule may have written and that was not looked at after its acts.

        Parameters
        ----------
        rows
            How many of the rule's first arguments are rows.
        when, values
            As in `left_behind`.

        Raises
        ------
        RuleError
            A value that cannot stand; names array and row.
        """
        ranges = dict(self.others)
        if writes_elsewhere(rule, rows, 2):
            ranges.update(zip(self.places, map(tuple, self.ranges.tolist()), strict=True))
        for place, (low, high) in ranges.items():
            found = state[place]  # nan is in no range
            if found.size == 0 or (found.min() >= low and found.max() <= high):
                continue
            row = tuple(np.argwhere(~((found >= low) & (found <= high)))[0].tolist())
            who = " applied to another agent" if place in self.places else ""
            raise left_behind(rule, state, ranges, place, row, who, when, **values)


def guard_of(state: tuple[NDArray[Any], ...], n: int, bounds: Ranges | None) -> Guard:
    """What the arrays of a state of n agents may hold; see `ranges_of`."""
    found = ranges_of(state, bounds)
    columns = {k: v for k, v in found.items() if state[k].shape == (n,)}
    others = {k: v for k, v in found.items() if k not in columns}
    return Guard(tuple(columns), np.array(list(columns.values())).reshape(-1, 2), others)


def ranges_of(
    state: tuple[NDArray[Any], ...], bounds: Ranges | None
) -> dict[int, tuple[float, float]]:
    """Place of an array -> its lowest and highest value; floats without nan are to stay so.

    Raises
    ------
    EngineError
        Bounds of an array that does not exist, or no bounds.
    PopulationError
        An array that is outside its bounds from the start; names the row.
    """
    found = {
        place: (-math.inf, math.inf)
        for place, array in enumerate(state)
        if array.dtype.kind == "f" and not np.isnan(array).any()
    }
    for key, given in (bounds or {}).items():
        place = _place(state, key)
        if given is None:
            found.pop(place, None)
            continue
        low, high = float(given[0]), float(given[1])
        require(
            low <= high, EngineError, f"bounds for {key!r} = {given}, expected (lowest, highest)"
        )
        wrong = np.argwhere(~((state[place] >= low) & (state[place] <= high)))
        require(
            len(wrong) == 0,
            PopulationError,
            f"array {array_name(state, place)!r} starts with {len(wrong)} values outside its "
            f"bounds {given}, first in row {wrong[:1].tolist()}",
            argument="bounds",
        )
        found[place] = (low, high)
    return dict(sorted(found.items()))


def _place(state: Any, key: int | str) -> int:
    names = list(getattr(state, "_fields", ()))
    place: Any = names.index(key) if key in names else key
    require(
        isinstance(place, int) and 0 <= place < len(state),
        EngineError,
        f"bounds for {key!r}, expected a place 0..{len(state) - 1} or one of {names}",
        argument="bounds",
    )
    return int(place)


def array_name(state: Any, place: int) -> Any:
    """Name of an array of a state, or its place."""
    return getattr(state, "_fields", range(len(state)))[place]


def sound_of(pieces: Tools, places: tuple[int, ...]) -> Callable[..., Any]:
    """`sound(state, ranges, i)`: the place of an array whose row i cannot stand, or -1."""

    def all_looked_at(_state: Any, _ranges: Any, _i: Any) -> Any:
        return -1

    check = pieces.jit(all_looked_at)
    for k, place in reversed(list(enumerate(places))):
        check = pieces.jit(_look(check, k, place))
    return check  # type: ignore[no-any-return]


def _look(rest: Callable[..., Any], k: int, place: int) -> Callable[..., Any]:
    def look(state: Any, ranges: Any, i: Any) -> Any:
        # What is nan is in no range.
        if not (ranges[k, 0] <= state[place][i] <= ranges[k, 1]):
            return place
        return rest(state, ranges, i)

    return look


def left_behind(
    rule: Any, state: Any, ranges: Mapping[int, tuple[float, float]], place: int, row: Any,
    who: str = "", when: str = "", **values: Any,
) -> RuleError:  # fmt: skip
    """The error that tells what a rule has left in an array, and where.

    Parameters
    ----------
    row
        Index into the array.
    who, when
        For the message: whose rule it was, and when.
    values
        Kept with the error, beside the agent (the row) and the value.
    """
    value, (low, high) = state[place][row], ranges[place]
    wanted = "a number" if math.isinf(low) and math.isinf(high) else f"{low:g} <= value <= {high:g}"
    agent = int(row[0]) if isinstance(row, tuple) else int(row)
    return RuleError(
        f"rule {name_of(rule)!r}{who} left {value.item()!r} in row {agent} of array "
        f"{array_name(state, place)!r}{when}, expected {wanted}. If that may be, lift it with "
        "bounds={...: None}",
        **{"agent": agent, "value": value, **values},
    )
