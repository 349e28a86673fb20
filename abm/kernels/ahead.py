"""What the next turns of agents are known to need of a state, asked for before they come.

An agent whose turn comes needs its rows of the columns, and where the state holds the rows of all
agents one after another, as `indptr` and `indices` of a network, its part of those. Asking for
memory changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from abm.kernels.tools import Tools

__all__ = ["Needs", "asking_of", "fetching_of", "near_of", "needs_of"]

_FETCHED = 6  # columns whose rows are fetched ahead, at most, and as many lists


class Needs(NamedTuple):
    """Places in a state of arrays whose rows are fetched ahead.

    Attributes
    ----------
    columns
        Arrays with one row per agent.
    lists
        Pairs of an array that tells where the part of each agent begins, and one of such parts.
    """

    columns: tuple[int, ...]
    lists: tuple[tuple[int, int], ...] = ()


def near_of(state: tuple[NDArray[Any], ...], n: int) -> tuple[int, ...]:
    """Places of the columns of n agents, the first few: what they will need is known."""
    return tuple(k for k, array in enumerate(state) if array.shape[:1] == (n,))[:_FETCHED]


def needs_of(state: tuple[NDArray[Any], ...], n: int) -> Needs:
    """What n agents will need of a state: the first few columns, and lists by their shapes.

    Where parts begin is told by n + 1 whole numbers from 0 to the length of the other array.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.networks import Network
    >>> friends = Network.from_edges([(0, 1), (1, 2)])
    >>> needs_of((np.zeros(3), friends.indptr, friends.indices), 3)
    Needs(columns=(0,), lists=((1, 2),))
    """
    lists = (
        (k, place)
        for k, begins in enumerate(state)
        if begins.shape == (n + 1,) and begins.dtype.kind in "iu" and begins[0] == 0
        for place, array in enumerate(state)
        if place != k and array.shape[:1] == (int(begins[-1]),)
    )
    return Needs(near_of(state, n), tuple(lists)[:_FETCHED])


def fetching_of(pieces: Tools, near: tuple[int, ...]) -> Callable[..., Any]:
    """`fetch(state, row)`: ask for the memory of a row of some columns."""
    made = pieces.jit(_nothing_more)
    for place in reversed(near) if pieces.compiled else ():
        made = pieces.jit(_fetch(made, place))
    return made  # type: ignore[no-any-return]


def asking_of(pieces: Tools, needs: Needs) -> Callable[..., Any]:
    """`ask(state, later, soon)`: for rows of who acts later, and the lists of who acts soon."""
    rows = fetching_of(pieces, (*needs.columns, *dict(needs.lists)))
    parts = pieces.jit(_nothing_more)
    for begins, listed in reversed(needs.lists) if pieces.compiled else ():
        parts = pieces.jit(_fetch_part(parts, begins, listed))

    def ask(state: Any, later: Any, soon: Any) -> None:
        rows(state, later)
        parts(state, soon)

    return pieces.jit(ask)  # type: ignore[no-any-return]


def _nothing_more(_state: Any, _row: Any) -> None:
    return


def _fetch(rest: Callable[..., Any], place: int) -> Callable[..., Any]:
    from abm.kernels.fetching import fetch

    def ask(state: Any, row: Any) -> None:
        fetch(state[place], row)
        rest(state, row)

    return ask


def _fetch_part(rest: Callable[..., Any], begins: int, listed: int) -> Callable[..., Any]:
    from abm.kernels.fetching import fetch

    def ask(state: Any, row: Any) -> None:
        fetch(state[listed], state[begins][row])
        rest(state, row)

    return ask
