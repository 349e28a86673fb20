"""States that change with the states of neighbours, round by round: epidemics, adoption, voting.

`rule(state, counts, params) -> state'`, where states are numbers 0, 1, 2, ... and `counts[s]` tells
how many of those that the agent sees are in state s. Last argument `u` or `rng` as always. Counts
are kept up to date as states change, so that a round costs as much as there are agents and changes,
not ties.

A rule that left somebody's state as it was and drew nothing would do the same again. Compiled
drivers ask it again only when that state or those counts have changed; interpreted ones always ask.
The results are the same to the bit. So a rule that draws from `rng` only where it needs to is far
quicker than one that takes `u`: in an epidemic most agents are immune, or see nobody infectious.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, NetworkError, PopulationError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.driver import first_of
from abm.kernels.faults import no_fault, raise_fault, spot_of
from abm.kernels.notes import note, notes_failures
from abm.kernels.pairwise import columns_of
from abm.kernels.purity import is_pure
from abm.kernels.rule import Taken, calling, checked_params, name_of, taken
from abm.kernels.schedules import Schedule, check_schedule, member_rows, order_of, turn_of
from abm.kernels.ties import Ties, TiesLayout, checked_ties, layout
from abm.kernels.tools import Chance, Tools, start

__all__ = ["TransitionRun", "checked_states", "run_transitions", "seen_by", "tally"]

_NEARLY = 0.9
_NOBODY = np.empty(0, dtype=np.int32)
_ALL = 0x0101010101010101  # who is to be asked is marked by a byte, eight of them in a word


class TransitionRun(NamedTuple):
    """What came of transitions.

    Attributes
    ----------
    run
        The record.
    totals
        How many agents are in which state after each round, the start included, shape
        (rounds + 1, n_states).
    """

    run: RuleRun
    totals: NDArray[np.int64]


@notes_failures("transitions")
def run_transitions(
    rule: Callable[..., Any],
    states: NDArray[Any],
    network: Ties,
    params: tuple[Any, ...] = (),
    *,
    n_states: int,
    rounds: int,
    schedule: Schedule,
    rng: np.random.Generator,
    members: ArrayLike | None = None,
    compiled: bool | None = None,
) -> TransitionRun:
    """Let states change with the states of neighbours; `states` is changed in place.

    Parameters
    ----------
    rule
        See the module's head.
    states
        Column of integers in 0..n_states-1, shape (n,).
    network
        Row i lists whom i sees; without weights.
    n_states
        Number of states, 1 to 255.
    rounds
        How many rounds, >= 0.
    schedule
        `synchronous`, `asynchronous` or `sweep`, as in `run_neighbours`.
    members
        Rows of those who may change; all if `None`.

    Raises
    ------
    RuleError
        The rule gave no state, or raised an exception; names agent and round, counted from 0.

    Examples
    --------
    >>> from abm.networks import Network
    >>> path = Network.from_edges([(0, 1), (1, 2), (2, 3)])
    >>> def spread(state, counts, p):
    ...     return 1 if counts[1] > 0 else state
    >>> states = np.array([1, 0, 0, 0], dtype=np.int8)
    >>> made = run_transitions(spread, states, path, n_states=2, rounds=2,
    ...                        schedule="synchronous", rng=np.random.default_rng(1))
    >>> states.tolist(), made.totals.tolist()
    ([1, 1, 1, 0], [[3, 1], [2, 2], [1, 3]])
    """
    check_schedule(schedule, ("synchronous", "asynchronous", "sweep"), "transitions")
    require(rounds >= 0, EngineError, f"rounds = {rounds}, expected >= 0")
    columns_of(states)
    checked_states(states, n_states)
    what = taken(rule, ("state", "counts", "params"))
    n = len(states)
    rows = member_rows(members, n)
    turn = turn_of(schedule, rows)
    size = n if rows is None else rows.size
    seen = layout(seen_by(network, n))
    counts = tally(states, network, seen, n_states, compiled=compiled)
    totals = np.zeros((rounds + 1, n_states), dtype=np.int64)
    totals[0] = np.bincount(states, minlength=n_states)
    fault = no_fault()
    extra = size if schedule == "synchronous" else 0
    room = (np.empty(extra, dtype=np.int32), np.empty(extra, dtype=np.uint8))
    whole = schedule == "synchronous" and rows is None
    marks = np.full(n // 8 + 1, _ALL, dtype=np.uint64)
    arguments = (
        states, size, counts, seen, _NOBODY if whole else order_of(turn, rows, n),
        checked_params(params), totals, room, start(rng), Chance(start(rng)), fault,
        (marks, marks.view(np.uint8)),
    )  # fmt: skip
    made, why = launch(
        _assemble, what, (turn, schedule == "synchronous"), arguments,
        compiled=compiled, work=rounds * size, at=lambda: spot_of(fault),
    )  # fmt: skip
    raise_fault(fault, rule, 0, n_states - 1, what="state")
    run = RuleRun("transitions", name_of(rule), schedule, rounds, int(made), not why, why)
    return TransitionRun(note(run), totals)


def checked_states(states: NDArray[Any], n_states: int) -> None:
    """Refuse states outside 0..n_states-1; names the first row."""
    require(1 <= n_states <= 255, EngineError, f"n_states = {n_states}, expected 1 to 255 states")
    require(
        states.dtype.kind in "iu",
        PopulationError,
        f"states of type {states.dtype}, expected integers 0..{n_states - 1}",
    )
    wrong = np.flatnonzero((states < 0) | (states >= n_states))
    require(
        wrong.size == 0,
        PopulationError,
        f"states: {wrong.size} are outside 0..{n_states - 1}, first in row {wrong[:1].tolist()}",
    )


def seen_by(network: Any, n: int) -> Ties:
    """Row i lists who sees i: the network itself if it is undirected."""
    checked_ties(network, n, drawn=False)
    require(
        network.weights is None,
        NetworkError,
        "weights: neighbours are counted, which weights do not change; drop them, or use "
        "run_neighbours with a rule that takes them",
    )
    if not network.directed:
        return network  # type: ignore[no-any-return]
    frozen = network.freeze() if hasattr(network, "freeze") else network
    return frozen.reversed()  # type: ignore[no-any-return]


def tally(
    states: NDArray[Any],
    network: Ties,
    seen: TiesLayout,
    n_states: int,
    *,
    compiled: bool | None = None,
) -> NDArray[np.int32]:
    """How many of those whom i sees are in each state, shape (n, n_states).

    Where nearly all are in one state, those who are not tell those who see them (`seen`), which
    costs as much as there are of them; else everybody counts.
    """
    counts = np.zeros((len(states), n_states), dtype=np.int32)
    totals = np.bincount(states, minlength=n_states)
    common = int(totals.argmax()) if totals.max() >= _NEARLY * len(states) else -1
    what = Taken(tally, False, "")
    launch(
        _assemble_tally, what, (), (states, layout(network), seen, common, counts),
        compiled=None if compiled else compiled, work=len(network.indices),
    )  # fmt: skip
    return counts


def _assemble_tally(_pieces: Tools, _rule: Taken) -> Callable[..., Any]:
    def count(states: Any, ties: Any, seen: Any, common: Any, counts: Any) -> None:
        starts, stops, indices, _ = ties
        for i in range(len(states)):
            if common >= 0:
                counts[i, common] += stops[i] - starts[i]
                if states[i] != common:
                    for slot in range(seen[0][i], seen[1][i]):
                        j = seen[2][slot]
                        counts[j, common] -= 1
                        counts[j, states[i]] += 1
                continue
            for slot in range(starts[i], stops[i]):
                counts[i, states[indices[slot]]] += 1

    return count


def _assemble(pieces: Tools, rule: Taken, turn: str, at_once: bool) -> Callable[..., Any]:
    call, draw, load = calling(pieces, rule), pieces.draw, pieces.load
    first = pieces.jit(first_of(pieces, turn))
    become = pieces.inlined(_become)
    skips = pieces.compiled and rule.chance != "u" and is_pure(rule.plain)

    def one_by_one(states: Any, size: Any, counts: Any, ties: Any, order: Any, params: Any,
                   totals: Any, _room: Any, words: Any, rng: Any, fault: Any,
                   marks: Any) -> Any:  # fmt: skip
        n, n_states = len(states), totals.shape[1]
        asked, held = marks[1], rng.held
        s0, s1 = load(words)
        for r in range(len(totals) - 1):
            totals[r + 1] = totals[r]
            fault[3] = r
            for place in range(size):
                word, s0, s1 = draw(s0, s1)
                i, _ = first(order, place, n, word)
                if skips and asked[i] == 0:
                    continue
                old = int(states[i])
                fault[1] = i
                before, behind = held[0], held[1]
                new = call(rng, old, counts[i], params)
                if not (0 <= new < n_states and new == int(new)):
                    fault[0], fault[4] = 1.0, new
                    return r * size + place
                if new != old:
                    become(i, old, int(new), states, counts, ties, totals[r + 1], asked)
                elif before == held[0] and behind == held[1]:
                    asked[i] = 0
        return (len(totals) - 1) * size

    def together(states: Any, size: Any, counts: Any, ties: Any, order: Any, params: Any,
                 totals: Any, room: Any, _words: Any, rng: Any, fault: Any,
                 marks: Any) -> Any:  # fmt: skip
        n_states = totals.shape[1]
        (eight, asked), held = marks, rng.held
        changed, fresh = room
        whole = len(order) == 0
        for r in range(len(totals) - 1):
            totals[r + 1] = totals[r]
            fault[3] = r
            n_changed = 0
            for begin in range(0, size, 8):
                if skips and whole and eight[begin >> 3] == 0:
                    continue
                for place in range(begin, min(begin + 8, size)):
                    i = place if whole else int(order[place])
                    if skips and asked[i] == 0:
                        continue
                    old = int(states[i])
                    fault[1] = i
                    before, behind = held[0], held[1]
                    new = call(rng, old, counts[i], params)
                    if not (0 <= new < n_states and new == int(new)):
                        fault[0], fault[4] = 1.0, new
                        return r * size + place
                    if new != old:
                        changed[n_changed] = i
                        fresh[n_changed] = int(new)
                        n_changed += 1
                    elif before == held[0] and behind == held[1]:
                        asked[i] = 0
            for k in range(n_changed):
                i = int(changed[k])
                old = int(states[i])
                become(i, old, int(fresh[k]), states, counts, ties, totals[r + 1], asked)
        return (len(totals) - 1) * size

    return together if at_once else one_by_one


def _become(i: Any, old: Any, new: Any, states: Any, counts: Any, ties: Any, totals: Any,
            asked: Any) -> None:  # fmt: skip
    """i changes its state, and those who see i count it anew: all of them are to be asked."""
    states[i] = new
    totals[old] -= 1
    totals[new] += 1
    for slot in range(ties[0][i], ties[1][i]):
        j = ties[2][slot]
        counts[j, old] -= 1
        counts[j, new] += 1
        asked[j] = 1
