"""One agent and its neighbourhood: a rule that sees everybody that an agent is tied to.

`rule(own, others, params) -> own'`. `others` is an array of the neighbours' values, in the order of
the network, empty for somebody without ties; a rule that divides by their number must say what
happens then. A rule that names a third argument `weights`, `rule(own, others, weights, params)`,
gets the weights of the ties as well. A last argument `u` or `rng` brings chance.

In the loop `for value in others` compiled and interpreted rules give the same bits. NumPy's own
sums add up in another order when compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.driver import first_of
from abm.kernels.faults import no_fault, raise_fault, spot_of
from abm.kernels.notes import note, notes_failures
from abm.kernels.pairwise import columns_of
from abm.kernels.rule import (
    Bounds,
    Taken,
    bounds_of,
    calling,
    checked_params,
    name_of,
    taken,
    widen,
)
from abm.kernels.schedules import Schedule, check_schedule, member_rows, order_of, turn_of
from abm.kernels.ties import Ties, checked_ties, layout
from abm.kernels.tools import Chance, Tools, start

__all__ = ["run_neighbours"]


@notes_failures("neighbours")
def run_neighbours(
    rule: Callable[..., Any],
    x: NDArray[Any],
    network: Ties,
    params: tuple[Any, ...] = (),
    *,
    rounds: int,
    schedule: Schedule,
    rng: np.random.Generator,
    members: ArrayLike | None = None,
    bounds: Bounds = None,
    compiled: bool | None = None,
) -> RuleRun:
    """Let agents act on what their neighbours are; `x` is changed in place.

    Parameters
    ----------
    rule
        See the module's head.
    x
        The column, shape (n,).
    network
        Row i lists whom i sees.
    rounds
        How many rounds, >= 0; in a round as many act as there are members.
    schedule
        `asynchronous`: anybody acts next. `sweep`: everybody once per round, in an order shuffled
        anew. `synchronous`: everybody at once, on the state at the start of the round.
    members
        Rows of those who act; all if `None`.
    bounds, compiled
        As in `run_pairwise`.

    Raises
    ------
    RuleError
        The rule gave nan, or a value outside `bounds`, or raised an exception; names agent and
        round, counted from 0.

    Examples
    --------
    A majority rule on a ring; ties keep the agent's state.

    >>> from abm.networks import Network
    >>> ring = Network.from_edges([(i, (i + 1) % 6) for i in range(6)])
    >>> def majority(own, others, p):
    ...     ones = 0
    ...     for value in others:
    ...         ones += value
    ...     return 1 if 2 * ones > len(others) else 0 if 2 * ones < len(others) else own
    >>> x = np.array([1, 0, 1, 1, 0, 0])
    >>> run = run_neighbours(majority, x, ring, rounds=1, schedule="synchronous",
    ...                      rng=np.random.default_rng(1))
    >>> x.tolist(), run.n_updates
    ([0, 1, 1, 1, 0, 0], 6)
    """
    check_schedule(schedule, ("asynchronous", "sweep", "synchronous"), "neighbourhoods")
    columns_of(x)
    require(rounds >= 0, EngineError, f"rounds = {rounds}, expected >= 0")
    n = len(x)
    what = taken(rule, ("own", "others", "params"), extra="weights")
    rows = member_rows(members, n)
    turn = turn_of(schedule, rows)
    checked_ties(network, n, drawn=False)
    size = n if rows is None else rows.size
    allowed, fault = bounds_of(x.dtype, bounds), no_fault()
    kind = (str(x.dtype), turn, schedule == "synchronous", network.weights is not None)
    arguments = (
        x,
        size,
        layout(network, mass=False),
        order_of(turn, rows, n),
        checked_params(params),
        allowed,
        int(rounds),
        _room(x, network, size if schedule == "synchronous" else 0),
        start(rng),
        Chance(start(rng)),
        fault,
    )
    made, why = launch(_assemble, what, kind, arguments, compiled=compiled, work=rounds * size,
                       at=lambda: spot_of(fault))  # fmt: skip
    raise_fault(fault, what.plain, *allowed)
    return note(RuleRun("neighbours", name_of(rule), schedule, rounds, int(made), not why, why))


def _room(x: NDArray[Any], network: Ties, size: int) -> tuple[NDArray[Any], ...]:
    """Room for the values and weights of the largest neighbourhood, and for new values."""
    most = int((network.stops - network.starts).max(initial=0))
    return np.empty(most, _wide_type(x.dtype)), np.empty(most), np.empty(size, x.dtype)


def _assemble(
    pieces: Tools, rule: Taken, dtype: str, turn: str, at_once: bool, weighted: bool
) -> Callable[..., Any]:
    look = _look(pieces, dtype, rule.extra, weighted)
    call, wide = calling(pieces, rule), widen(pieces, dtype)
    draw, load = pieces.draw, pieces.load
    first = pieces.jit(first_of(pieces, turn))
    with_weights = rule.extra

    def ask(x: Any, i: Any, ties: Any, params: Any, room: Any, mass: Any, rng: Any) -> Any:
        k = look(x, i, ties, room, mass)
        if with_weights:
            return call(rng, wide(x[i]), room[:k], mass[:k], params)
        return call(rng, wide(x[i]), room[:k], params)

    act = pieces.jit(ask)

    def drive(x: Any, size: Any, ties: Any, order: Any, params: Any, allowed: Any, rounds: Any,
              rooms: Any, words: Any, rng: Any, fault: Any) -> Any:  # fmt: skip
        low, high = allowed
        room, mass, fresh = rooms
        s0, s1 = load(words)
        made = 0
        for r in range(rounds):
            fault[3] = r
            for place in range(size):
                if at_once:
                    i = int(order[place])
                else:
                    word, s0, s1 = draw(s0, s1)
                    i, _ = first(order, place, len(x), word)
                fault[1] = i
                own = act(x, i, ties, params, room, mass, rng)
                if not (low <= own <= high and own == wide(own)):
                    fault[0], fault[4] = 1.0, own
                    return made
                if at_once:
                    fresh[place] = own
                else:
                    x[i] = own
                made += 1
            if at_once:
                for place in range(size):
                    x[order[place]] = fresh[place]
        return made

    return drive


def _wide_type(dtype: np.dtype[Any]) -> type[Any]:
    kind = dtype.kind
    return np.float64 if kind == "f" else np.bool_ if kind == "b" else np.int64


def _look(pieces: Tools, dtype: str, with_weights: bool, weighted: bool) -> Callable[..., Any]:
    """Copies the neighbours' values (and weights, if asked for) into room; returns how many."""
    wide = widen(pieces, dtype)

    def look(x: Any, i: Any, ties: Any, room: Any, mass: Any) -> Any:
        first = ties[0][i]
        k = ties[1][i] - first
        for slot in range(k):
            room[slot] = wide(x[ties[2][first + slot]])
            if with_weights:
                mass[slot] = ties[3][first + slot] if weighted else 1.0
        return k

    return pieces.jit(look)  # type: ignore[no-any-return]
