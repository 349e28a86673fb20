"""What rules often get wrong is an error that names the rule, and says what to do."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from abm.errors import EngineError, RuleError
from abm.kernels import run_pairwise, run_rows, run_transitions
from abm.kernels.mistakes import in_plain_words
from abm.networks import Network

RING = Network.from_edges([(i, (i + 1) % 6) for i in range(6)])
AGES = [30, 40]


def met(rule, *, compiled=False):
    return run_pairwise(rule, np.ones(6), None, 10, (0.5,), rng=np.random.default_rng(1),
                        compiled=compiled)  # fmt: skip


def local_chance(own, other, p):
    import random

    return random.random(), other


@pytest.mark.parametrize("compiled", [None, False])
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            lambda own, other, p, rng: (rng.uniform(), other),
            r"rng\.uniform; `rng` offers random\(\)",
        ),
        (lambda own, other, p, rng: (own + rng.choice(2), other), r"rng\.choice; `rng` offers"),
        (lambda own, other, p: (np.random.random(), other), r"np\.random.*last argument `rng`"),  # noqa: NPY002
        (lambda own, other, p: (random.random(), other), r"random\.random.*last argument `rng`"),
        (local_chance, r"import\.random.*last argument `rng`"),
    ],
)
def test_chance_that_a_rule_cannot_have_is_refused_before_anything_runs(rule, told, compiled):
    with pytest.raises(EngineError, match=told):
        met(rule, compiled=compiled)


def test_a_rule_may_call_other_things_rng_and_take_what_rng_offers():
    class Rates:
        uniform = 0.5

    rng = Rates()
    box = SimpleNamespace(rng=rng, random=rng)

    def drawn(own, other, p, rng):
        return rng.random() + rng.integer(2), rng.exponential() * rng.normal()

    def held(own, other, p, rng):
        return own * box.rng.uniform + rng.random(), other * box.random.uniform

    assert met(lambda own, other, p: (own * rng.uniform, other)).n_updates == 10
    assert met(drawn).n_updates == met(held).n_updates == 10


@pytest.mark.parametrize(
    "rule",
    [
        lambda own, other, p: own,
        lambda own, other, p: None,
        lambda own, other, p: (own, other, own),
        lambda own, other, p: ("more", other),
    ],
)
def test_what_a_driver_cannot_use_is_told_from_what_a_rule_raises(rule):
    with pytest.raises(RuleError, match=r"for agent \d with agent \d in round 0 what cannot be"):
        met(rule)
    with pytest.raises(RuleError, match=r"raised ZeroDivisionError for agent \d"):
        met(lambda own, other, p: (own / (p[0] - 0.5), other))
    with pytest.raises(RuleError, match=r"raised TypeError for agent \d"):
        met(lambda own, other, p: (own + "more", other))


def test_a_state_that_is_none_and_a_row_of_nobody_name_the_agent():
    states = np.array([1, 0, 0, 0, 0, 0])
    with pytest.raises(RuleError, match=r"for agent 1 in round 0 what cannot be used.*NoneType"):
        run_transitions(lambda s, counts, p: None if counts[1] else s, states, RING, n_states=2,
                        rounds=1, schedule="synchronous", rng=np.random.default_rng(1),
                        compiled=False)  # fmt: skip
    with pytest.raises(RuleError, match=r"raised IndexError for agent 5 in round 0: index 6"):
        run_rows(lambda i, state, p: state[0].__setitem__(i + 1, 0.0), (np.ones(6),), rounds=1,
                 schedule="sweep", rng=np.random.default_rng(1), compiled=False)  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Unknown attribute 'later' of type AgendaType(x)", "agenda.later; `agenda` offers"),
        ("Untyped global name 'D': Cannot determine Numba type of <class 'dict'>", "D, of type"),
        ("The use of a reflected list(int64)<iv=None> type, assigned to variable 'A' in globals",
         "the list A from outside"),
        ("failed to unpack float64", "fewer or more values"),
        ("something else", "something else"),
    ],
)  # fmt: skip
def test_the_usual_reasons_of_the_compiler_are_told_in_plain_words(reason, told):
    assert told in in_plain_words(reason)


def test_a_list_from_outside_is_named_when_a_rule_must_be_compiled():
    pytest.importorskip("numba")
    with pytest.raises(EngineError, match=r"cannot be compiled: it uses the list AGES"):
        met(lambda own, other, p: (own + AGES[0], other), compiled=True)
