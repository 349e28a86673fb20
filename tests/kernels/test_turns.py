"""Agents of a block are chosen before the first of them acts: the same, with the same words."""

import numpy as np
import pytest

from abm.errors import RuleError
from abm.kernels import has_numba, run_rows
from abm.kernels.driver import first_of
from abm.kernels.tools import plain_tools, start, tools
from abm.kernels.turns import BLOCK, choosing

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
SIZES = (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5)


def nothing(_state, _row):
    return


def one_by_one(turn, n, order, words, rounds):
    """Who acts, turn after turn, and the words that are left."""
    pieces = plain_tools()
    first, (s0, s1) = first_of(pieces, turn), pieces.load(words)
    size, made = len(order) or n, []
    for _ in range(rounds):
        for place in range(size):
            word, s0, s1 = pieces.draw(s0, s1)
            made.append(int(first(order, place, n, word)[0]))
    return made, (s0, s1)


def in_blocks(turn, n, order, words, rounds):
    pieces = tools(compiled=True)
    choose = choosing(pieces, turn, pieces.jit(nothing))
    size, made, (s0, s1) = len(order) or n, [], words
    ahead = np.empty(BLOCK, dtype=np.uint32)
    for _ in range(rounds):
        for begin in range(0, size, BLOCK):
            k = min(BLOCK, size - begin)
            given = (np.uint64(s0), np.uint64(s1))
            s0, s1 = choose((words,), n, order, begin, k, ahead, *given)
            made += ahead[:k].tolist()
    return made, (int(s0), int(s1))


@compiled
@pytest.mark.parametrize("turn", ["anybody", "members", "sweep"])
def test_blocks_of_turns_are_the_turns_one_by_one(turn):
    for n in SIZES:
        orders = []
        for _ in range(2):
            everybody = np.arange(n, dtype=np.int32)
            chosen = {"anybody": everybody[:0], "members": everybody[::3].copy()}
            orders.append(chosen.get(turn, everybody))
        words = start(np.random.default_rng(n))
        plain = one_by_one(turn, n, orders[0], words, 3)
        assert in_blocks(turn, n, orders[1], words, 3) == plain
        assert orders[0].tolist() == orders[1].tolist()
        if turn == "sweep":
            assert all(sorted(plain[0][r * n : r * n + n]) == list(range(n)) for r in range(3))


def scatter(i, state, p, rng):
    """Draws none to many words, writes into rows of others, and reads what earlier ones wrote."""
    wealth, mood = state
    if wealth[i] <= 0:
        return
    while wealth[i] > 0 and rng.random() < p[0]:
        j = rng.integer(len(wealth))
        wealth[i] -= 1
        wealth[j] += 1
        mood[j] = 0.5 * (mood[i] + mood[j]) + rng.random()


@compiled
@pytest.mark.parametrize("schedule", ["asynchronous", "sweep"])
def test_rules_that_draw_as_often_as_they_like_leave_the_same_in_both_forms(schedule):
    for n in SIZES:
        for members in (None, np.arange(0, n, 2)) if schedule == "sweep" else (None,):
            left = []
            for form in (True, False):
                state = np.full(n, 3, dtype=np.int32), np.linspace(0.0, 1.0, n)
                run = run_rows(scatter, state, (0.7,), rounds=3, schedule=schedule, compiled=form,
                               members=members, rng=np.random.default_rng(n))  # fmt: skip
                assert run.n_updates == 3 * (n if members is None else len(members))
                left.append(state)
            assert left[0][0].sum() == 3 * n
            assert [x.tobytes() for x in left[0]] == [x.tobytes() for x in left[1]]


def strict(i, state, p):
    x = state[0]
    if x[i] < 0:
        raise ValueError("less than nothing")
    x[i] += 1


@compiled
def test_an_exception_in_the_middle_of_a_block_names_the_agent_that_acted():
    told = []
    for form in (True, False):
        x = np.ones(200, dtype=np.int64)
        x[77] = -1
        with pytest.raises(RuleError) as caught:
            run_rows(strict, (x,), rounds=1, schedule="sweep", compiled=form,
                     rng=np.random.default_rng(1))  # fmt: skip
        told.append((caught.value.agent, x.tolist()))
    assert told[0] == told[1]
    assert told[0][0] == 77
