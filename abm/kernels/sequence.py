"""One agent after another, on all columns: and rules for a whole population at once.

`run_rows` calls `rule(i, state, params)` for one agent at a time, in the order of a schedule. The
rule reads and writes the arrays of `state` as it likes (a grid, a list of empty cells, a market's
order book are arrays of the state too), so what it does is seen by the next. `run_population` calls
`rule(state, params)` once per round, for what is not one agent's doing: a market that clears, a
tax, a sort. Both compile the rule; a last argument `rng` (or `u`) brings chance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, PopulationError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.doing import done_so_far
from abm.kernels.driver import first_of
from abm.kernels.events import fetching_of, near_of
from abm.kernels.guard import Ranges, left_behind, ranges_of
from abm.kernels.notes import note, notes_failures
from abm.kernels.rule import Taken, calling, checked_params, name_of, taken
from abm.kernels.schedules import Schedule, check_schedule, member_rows, order_of, turn_of
from abm.kernels.tools import Chance, Tools, start
from abm.kernels.turns import BLOCK, choosing

__all__ = ["run_population", "run_rows"]

_BETWEEN = 20_000  # updates between two looks at the arrays, at least


@notes_failures("rows")
def run_rows(
    rule: Callable[..., Any],
    state: tuple[NDArray[Any], ...],
    params: tuple[Any, ...] = (),
    *,
    rounds: int,
    schedule: Schedule,
    rng: np.random.Generator,
    n: int | None = None,
    members: ArrayLike | None = None,
    bounds: Ranges | None = None,
    compiled: bool | None = None,
) -> RuleRun:
    """Let agents act one after another, each on all of the state; arrays are changed in place.

    Parameters
    ----------
    rule
        `rule(i, state, params)`, with a last argument `u` or `rng` if it uses chance. It writes
        into the arrays; what it returns counts as nothing.
    state
        A tuple or named tuple of arrays. They need not have one length.
    rounds
        How many rounds, >= 0; in a round as many act as there are members.
    schedule
        `asynchronous`: anybody acts next. `sweep`: everybody once per round, in an order shuffled
        anew.
    n
        Number of agents; the length of the first array if `None`.
    members
        Who acts; all if `None`.
    bounds
        Place or name of an array -> its lowest and highest value, checked after every round, nan
        included; or `None` for anything. By default arrays of floats without nan at the start must
        stay so, which is looked at now and then.

    Raises
    ------
    RuleError
        An array left its bounds (names array, row and round, counted from 0), or the rule raised an
        exception (names agent and round).

    Examples
    --------
    Everybody with money gives one unit to anybody (Dragulescu & Yakovenko 2000).

    >>> def give(i, state, p, rng):
    ...     wealth = state[0]
    ...     if wealth[i] > 0:
    ...         wealth[i] -= 1
    ...         wealth[rng.integer(len(wealth))] += 1
    >>> wealth = np.ones(100, dtype=np.int64)
    >>> run = run_rows(give, (wealth,), rounds=10, schedule="sweep",
    ...                rng=np.random.default_rng(1), bounds={0: (0, 100)})
    >>> int(wealth.sum()), run.schedule
    (100, 'sweep')
    """
    check_schedule(schedule, ("asynchronous", "sweep"), "rules on rows")
    size = _checked(state, rounds, n)
    what = taken(rule, ("i", "state", "params"))
    rows = member_rows(members, size)
    turn = turn_of(schedule, rows)
    n_acting = size if rows is None else rows.size
    ranges, near = ranges_of(state, bounds), near_of(state, size)
    words, chance, order = start(rng), Chance(start(rng)), order_of(turn, rows, size)
    why, made, acting, ahead = "", 0, np.full(2, -1), np.empty(BLOCK, dtype=np.uint32)
    for first, count in _portions(rounds, n_acting, state, bounds):
        arguments = (
            state, size, n_acting, order, checked_params(params), count, words, chance, acting,
            ahead,
        )  # fmt: skip
        done, why = launch(
            _assemble_rows, what, (turn, near), arguments, compiled=compiled,
            work=count * n_acting, at=partial(_spot, acting, first),
        )  # fmt: skip
        made += int(done)
        done_so_far(updates=int(done))
        _check_ranges(rule, state, ranges, first, first + count - 1)
    return note(RuleRun("rows", name_of(rule), schedule, rounds, made, not why, why))


@notes_failures("population", "synchronous")
def run_population(
    rule: Callable[..., Any],
    state: tuple[NDArray[Any], ...],
    params: tuple[Any, ...] = (),
    *,
    rounds: int,
    rng: np.random.Generator,
    bounds: Ranges | None = None,
    compiled: bool | None = None,
) -> RuleRun:
    """Apply a rule for all at once, round after round; arrays are changed in place.

    Parameters
    ----------
    rule
        `rule(state, params)`, with a last argument `rng` or `u` if it uses chance.
    state, params, rounds, bounds
        As in `run_rows`.

    Examples
    --------
    >>> def tax(state, p):
    ...     wealth = state[0]
    ...     taken = 0.0
    ...     for i in range(len(wealth)):
    ...         taken += p[0] * wealth[i]
    ...         wealth[i] -= p[0] * wealth[i]
    ...     for i in range(len(wealth)):
    ...         wealth[i] += taken / len(wealth)
    >>> wealth = np.array([0.0, 10.0])
    >>> run = run_population(tax, (wealth,), (0.5,), rounds=1, rng=np.random.default_rng(1))
    >>> wealth.tolist(), run.schedule
    ([2.5, 7.5], 'synchronous')
    """
    size = _checked(state, rounds, None)
    what = taken(rule, ("state", "params"))
    ranges = ranges_of(state, bounds)
    chance, why, acting = Chance(start(rng)), "", np.full(2, -1)
    for first, count in _portions(rounds, size, state, bounds):
        arguments = (state, checked_params(params), count, chance, acting)
        _, why = launch(
            _assemble_population, what, (), arguments, compiled=compiled, work=count * size,
            at=partial(_spot, acting, first),
        )  # fmt: skip
        _check_ranges(rule, state, ranges, first, first + count - 1)
    run = RuleRun("population", name_of(rule), "synchronous", rounds, rounds, not why, why)
    return note(run)


def _assemble_rows(
    pieces: Tools, rule: Taken, turn: str, near: tuple[int, ...]
) -> Callable[..., Any]:
    """The driver: block by block where it is compiled, else one turn after another."""
    call, load = calling(pieces, rule), pieces.load
    if not pieces.compiled:
        return _one_by_one(pieces, call, first_of(pieces, turn))
    choose = choosing(pieces, turn, fetching_of(pieces, near))

    def drive(state: Any, n: Any, size: Any, order: Any, params: Any, rounds: Any, words: Any,
              rng: Any, acting: Any, ahead: Any) -> Any:  # fmt: skip
        s0, s1 = load(words)
        for r in range(rounds):
            acting[1] = r
            for begin in range(0, size, BLOCK):
                k = min(BLOCK, size - begin)
                s0, s1 = choose(state, n, order, begin, k, ahead, s0, s1)
                for b in range(k):
                    i = np.int64(ahead[b])
                    acting[0] = i
                    call(rng, i, state, params)
        words[0] = s0
        words[1] = s1
        return rounds * size

    return drive


def _one_by_one(
    pieces: Tools, call: Callable[..., Any], first: Callable[..., Any]
) -> Callable[..., Any]:
    """The plain loop: draw who acts, let them act."""
    draw, load = pieces.draw, pieces.load

    def drive(state: Any, n: Any, size: Any, order: Any, params: Any, rounds: Any, words: Any,
              rng: Any, acting: Any, _ahead: Any) -> Any:  # fmt: skip
        s0, s1 = load(words)
        for r in range(rounds):
            acting[1] = r
            for place in range(size):
                word, s0, s1 = draw(s0, s1)
                i, _ = first(order, place, n, word)
                acting[0] = i
                call(rng, i, state, params)
        words[0] = s0
        words[1] = s1
        return rounds * size

    return drive


def _assemble_population(pieces: Tools, rule: Taken) -> Callable[..., Any]:
    call = calling(pieces, rule)

    def drive(state: Any, params: Any, rounds: Any, rng: Any, acting: Any) -> Any:
        for r in range(rounds):
            acting[1] = r
            call(rng, state, params)
        return rounds

    return drive


def _spot(acting: NDArray[np.int64], first: int) -> dict[str, Any]:
    """Who acts, -1 for nobody, and in which round; they are written down from `first` on."""
    agent, r = acting.tolist()
    return {"agent": agent, "round": first + r}


def _checked(state: Any, rounds: int, n: int | None) -> int:
    require(
        isinstance(state, tuple)
        and len(state) > 0
        and all(isinstance(a, np.ndarray) for a in state),
        PopulationError,
        f"state of type {type(state).__name__}, expected a tuple or named tuple of NumPy arrays",
    )
    require(rounds >= 0, EngineError, f"rounds = {rounds}, expected >= 0")
    size = len(state[0]) if n is None else int(n)
    require(size >= 0, EngineError, f"n = {n}, expected >= 0 agents")
    return size


def _portions(rounds: int, size: int, state: Any, bounds: Ranges | None) -> list[tuple[int, int]]:
    """First round and number of rounds between two looks at the arrays."""
    each = 1
    if not bounds and rounds:
        looked_at = sum(array.size for array in state if array.dtype.kind == "f")
        each = max(1, max(_BETWEEN, looked_at) // max(size, 1)) if looked_at else rounds
    return [(r, min(each, rounds - r)) for r in range(0, rounds, each)] or [(0, 0)]


def _check_ranges(
    rule: Any, state: Any, ranges: dict[int, tuple[float, float]], first: int, last: int
) -> None:
    when = f" in round {last}"
    if first < last:
        when = f" in rounds {first} to {last} (given bounds, it is looked at in every round)"
    for place, (low, high) in ranges.items():
        wrong = ~((state[place] >= low) & (state[place] <= high))
        if wrong.any():
            row = tuple(np.argwhere(wrong)[0].tolist())
            raise left_behind(rule, state, ranges, place, row, when=when, time=last)
