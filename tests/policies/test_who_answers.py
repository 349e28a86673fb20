"""Who answers depends on the agent, the request and the order raised, and not on batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.errors import PolicyError
from abm.policies import (
    Assignment,
    Every,
    Mixture,
    Novel,
    PerQuestion,
    Router,
    When,
    assigned,
    peek_assigned,
    text_cost,
)
from abm.questions import Question, TextConstraint

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))


def ask(age=1):
    return BAN.request({"age": age})


# Mixture


def test_shares_over_given_agents_are_exact_whatever_the_seed():
    shares = {"llm": 0.1, "rule": 0.7, "other": 0.2}
    for seed in range(20):
        names = Mixture(shares, seed, keys=range(1003)).names_for(range(1003))
        assert [names.count(name) for name in shares] == [100, 702, 201]


def test_without_given_agents_shares_hold_on_average():
    """Binomial with n = 20,000, p = 0.3: standard deviation 65; four of them, seed 3."""
    names = Mixture({"llm": 0.3, "rule": 0.7}, seed=3).names_for(range(20_000))
    assert abs(names.count("llm") - 6000) < 4 * np.sqrt(20_000 * 0.3 * 0.7)


def test_an_agent_keeps_its_policy_and_an_extra_agent_moves_nobody():
    mixture = Mixture({"llm": 0.5, "rule": 0.5}, seed=1, keys=range(100))
    before = mixture.names_for(range(100))
    newborn = mixture.policy_for("newborn", ask(), 5.0)
    assert newborn in ("llm", "rule")
    assert mixture.names_for(range(100)) == before
    assert before == Mixture({"llm": 0.5, "rule": 0.5}, 1, keys=reversed(range(100))).names_for(
        range(100)
    )
    assert before != Mixture({"llm": 0.5, "rule": 0.5}, 2, keys=range(100)).names_for(range(100))


def test_a_larger_share_only_adds_agents():
    """Nested: whoever answers as `llm` at 10 % does so at 20 %, so arms can be compared."""
    small = Mixture({"llm": 0.1, "rule": 0.9}, seed=4, keys=range(500)).names_for(range(500))
    large = Mixture({"llm": 0.2, "rule": 0.8}, seed=4, keys=range(500)).names_for(range(500))
    assert all(b == "llm" for a, b in zip(small, large, strict=True) if a == "llm")


@pytest.mark.parametrize("keys", [None, range(0, 300, 2)])
def test_the_column_of_names_is_the_name_of_each(keys):
    mixture = Mixture({"a": 0.2, "b": 0.0, "c": 0.8}, seed=9, keys=keys)
    everybody = [*range(300), "newborn", 2**63 + 5]
    assert mixture.names_for(everybody) == [
        mixture.policy_for(key, ask(), 0.0) for key in everybody
    ]
    assert mixture.names_for([]) == []


def test_names_of_respondents_serve_as_keys():
    keys = [f"respondent {n}" for n in range(10)]
    names = Mixture({"llm": 0.3, "rule": 0.7}, seed=1, keys=keys).names_for(keys)
    assert names.count("llm") == 3


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(PolicyError, match="expected shares >= 0 that sum to 1"):
        Mixture(shares, seed=1)


# Router


def raised(n, seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 20, n)).tolist()
    return [(int(rng.integers(5)), ask(int(rng.integers(6))), float(time)) for time in times]


def make(**budget):
    triggers = [Every(7.0), When(lambda f: f["age"] == 5), Novel("age", by_agent=True)]
    return Router("rule", "llm", triggers, **budget)


def reference(asked, max_tokens, max_decisions):
    """The declared rule, written out as slowly as possible."""
    names, spent, n, periods, seen = [], 0, 0, set(), set()
    for agent, request, time in asked:
        wanted = (agent, time // 7) not in periods or request["age"] == 5
        wanted = wanted or (agent, request["age"]) not in seen
        periods.add((agent, time // 7))
        seen.add((agent, request["age"]))
        cost = -(-len(request.prompt.text) // 4)
        fits = n + 1 <= max_decisions and spent + cost <= max_tokens
        names.append("llm" if wanted and fits else "rule")
        n, spent = n + (wanted and fits), spent + cost * (wanted and fits)
    return names, n, spent


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 80), st.integers(0, 10**6), st.integers(0, 200), st.integers(0, 40))
def test_a_router_follows_its_declaration_request_by_request(n, seed, max_tokens, max_decisions):
    asked = raised(n, seed)
    router = make(max_tokens=max_tokens, max_decisions=max_decisions)
    names = [router.policy_for(*one) for one in asked]
    assert (names, router.spent_decisions, router.spent_tokens) == reference(
        asked, max_tokens, max_decisions
    )


def test_looking_ahead_changes_nothing_in_a_router():
    asked = raised(60, 1)
    plain, watched = make(max_tokens=100), make(max_tokens=100)
    expected = [plain.policy_for(*one) for one in asked]
    names = []
    for agent, request, time in asked:
        seen = peek_assigned(watched, agent, request, time)
        assert seen == peek_assigned(watched, agent, request, time)
        names.append(assigned(watched, agent, request, time))
        assert names[-1] == seen
    assert names == expected


def test_a_used_router_is_refused_by_the_next_run_and_a_fresh_one_starts_anew():
    asked = raised(60, 2)
    router = make(max_decisions=4)
    first = [router.policy_for(*one) for one in asked]
    with pytest.raises(PolicyError, match=r"belongs to another run.*fresh\(\)"):
        router.policy_for(*asked[0])
    again = router.fresh()
    assert (again.spent_decisions, again.spent_tokens, again.refused) == (0, 0, 0)
    assert [again.policy_for(*one) for one in asked] == first


def test_costs_are_those_of_the_request_and_not_of_what_was_asked_before():
    assert text_cost(ask(1)) == -(-len("Age 1. Ban cars?") // 4)
    assert text_cost(POST.request({"age": 1}, seed=1)) == 4 + 40
    router = Router("rule", "llm", [When(lambda f: True)], max_tokens=30, cost=lambda r: 10)
    assert [router.policy_for(1, ask(1), 0.0) for _ in range(5)] == ["llm"] * 3 + ["rule"] * 2
    assert (router.spent_tokens, router.refused) == (30, 2)


def test_bad_declarations_are_refused():
    with pytest.raises(PolicyError, match="at least one trigger"):
        Router("rule", "llm", [])
    with pytest.raises(PolicyError, match="max_tokens = -1"):
        make(max_tokens=-1)
    with pytest.raises(PolicyError, match="period > 0"):
        Every(0)


# Per question


def test_each_question_may_have_its_own_assignment():
    router = Router("rule", "llm", [When(lambda f: True)], max_decisions=1)
    both = PerQuestion({"ban": router, "post": "writer"})
    assert isinstance(both, Assignment)
    post = POST.request({"age": 1}, seed=1)
    assert peek_assigned(both, 1, ask(), 0.0) == "llm"
    assert [both.policy_for(1, r, 0.0) for r in (ask(), post, ask())] == ["llm", "writer", "rule"]
    with pytest.raises(PolicyError, match=r"no policy is assigned to question 'else'"):
        both.policy_for(1, Question("else", 1, "?", ("a", "b")).request({}), 0.0)


def test_an_assignment_without_peek_is_copied_before_it_is_asked():
    class Counting:
        n = 0

        def policy_for(self, agent_key, request, time, *, agent=None):
            self.n += 1
            return f"policy {self.n}"

    counting = Counting()
    assert peek_assigned(counting, 1, ask(), 0.0) == "policy 1"
    assert counting.n == 0
    assert peek_assigned("rule", 1, ask(), 0.0) == "rule"
