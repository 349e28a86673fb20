"""Thoughts come before a choice, belong to the request, and are told."""

from __future__ import annotations

import pytest

from abm.errors import PolicyError, ScenarioError
from abm.llm.backend import Generation, Scored
from abm.policies import LLMPolicy, ReasoningPolicy
from abm.questions import Question, Status, TextConstraint
from abm.studies.answerers import parse_spec

BAN = Question("ban", 1, "You are {age}.\n---\nBan cars?", ("yes", "no"))
POST = Question("post", 1, "Write.", text=TextConstraint(9))


class Thinker:
    """Thinks of its seed, and is surer the longer its thoughts; notes what it is asked."""

    fingerprint = "thinker"

    def __init__(self):
        self.asked, self.scored = [], []

    def generate(self, prompts, constraints, seeds):
        self.asked += list(zip([p.text for p in prompts], constraints, seeds, strict=True))
        return [self._thought(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _thought(self, prompt, seed):
        if "You are 13" in prompt.text:
            return Generation(None, 5, 0, Status.CONTEXT_OVERFLOW, "too long")
        status = Status.TRUNCATED if seed % 2 else Status.OK
        return Generation(f"thought {seed}", 5, 3, status)

    def score(self, prompts, options):
        self.scored += [prompt.text for prompt in prompts]
        return [Scored((-0.1, -2.0), 0.99, 7, 4) for _ in prompts]


def test_a_choice_is_scored_after_thoughts_and_says_so():
    backend = Thinker()
    policy = ReasoningPolicy(backend, budget=30)
    young, old, again = policy.answer([BAN.request({"age": age}) for age in (20, 70, 20)])
    assert [constraint.max_tokens for _, constraint, _ in backend.asked] == [30, 30]
    assert backend.scored[0].count(f"thought {backend.asked[0][2]}") == 1
    assert backend.scored[0].endswith("\nAnswer:")
    assert (young.kind, young.tokens_in, young.tokens_out) == ("conditional", 12, 7)
    assert young == again
    assert old.ok


def test_thoughts_depend_on_the_request_alone():
    together, alone = Thinker(), Thinker()
    ReasoningPolicy(together, budget=30).answer([BAN.request({"age": a}) for a in range(20, 30)])
    for age in reversed(range(20, 30)):
        ReasoningPolicy(alone, budget=30).answer([BAN.request({"age": age})])
    assert sorted(together.scored) == sorted(alone.scored)
    assert len({seed for _, _, seed in together.asked}) == 10


def test_failed_thoughts_are_the_failure_of_their_request_alone():
    policy = ReasoningPolicy(Thinker(), budget=30)
    good, bad = policy.answer([BAN.request({"age": age}) for age in (20, 13)])
    assert good.ok
    assert bad.status is Status.CONTEXT_OVERFLOW


def test_texts_are_written_without_thoughts():
    backend = Thinker()
    ReasoningPolicy(backend, budget=30).answer([POST.request({}, seed=4)])
    assert backend.asked == [("Write.", POST.text, 4)]


def test_budgets_are_different_policies_and_a_wrong_one_is_refused(tmp_path):
    backend = Thinker()
    policies = [
        LLMPolicy(backend),
        ReasoningPolicy(backend, budget=10),
        ReasoningPolicy(backend, budget=20),
    ]
    assert len({policy.fingerprint for policy in policies}) == 3
    with pytest.raises(PolicyError, match="budget = 0, expected a number of tokens >= 1"):
        ReasoningPolicy(backend, budget=0)
    with pytest.raises(ScenarioError, match="reasoning = 'much'"):
        parse_spec({"backend": "embedded", "reasoning": "much"}, tmp_path)
    with pytest.raises(ScenarioError, match="no language model"):
        parse_spec({"backend": "rule", "reasoning": 5}, tmp_path)
    spec = parse_spec({"backend": "embedded", "reasoning": 5}, tmp_path)
    assert parse_spec(spec.described(), tmp_path) == spec
