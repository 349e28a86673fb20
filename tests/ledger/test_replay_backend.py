"""A backend made of a ledger says again what a backend said, and nothing else."""

import math

import pytest
from policy_contract import check_policy

from abm.errors import BackendError, ReplayMiss
from abm.ledger import Ledger, Recorded, ReplayBackend
from abm.llm import Backend, Scripted
from abm.policies import LLMPolicy
from abm.questions import Prompt, Question, TextConstraint

BAN = Question("ban", 1, "Age {age}.\n---\nBan cars?", ("yes", "no"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))
REQUESTS = [
    *[BAN.request({"age": age, "unseen": age % 2}) for age in range(5)],
    *[POST.request({"age": age}, seed=age) for age in range(3)],
]


def score(text, options):
    return [0.5 * math.exp(-len(text) - k) for k, _ in enumerate(options)]


def write(text, constraint, seed):
    return f"post {seed}"


def recorded(path):
    with Ledger(path) as ledger:
        policy = LLMPolicy(Scripted(score, write))
        answers = Recorded(policy, ledger).answer(REQUESTS)
        return policy, answers, ReplayBackend(ledger, policy.fingerprint)


def test_it_answers_like_the_model_that_was_recorded(tmp_path):
    policy, answers, backend = recorded(tmp_path / "l.sqlite")
    again = LLMPolicy(backend)
    assert isinstance(backend, Backend)
    assert again.fingerprint == policy.fingerprint
    assert again.answer(REQUESTS) == answers == policy.answer(REQUESTS)
    assert {str(a.status) for a in answers} == {"off_menu", "ok"}
    check_policy(again, REQUESTS)


def test_what_was_not_recorded_is_a_miss_that_shows_the_prompt(tmp_path):
    _, _, backend = recorded(tmp_path / "l.sqlite")
    with pytest.raises(ReplayMiss, match="prompt 'Tea"):
        backend.score([Prompt.plain("Tea?")], [["yes", "no"]])
    with pytest.raises(ReplayMiss, match="Age 1"):
        backend.score([REQUESTS[1].prompt], [["no", "yes"]])
    with pytest.raises(ReplayMiss, match="Write"):
        backend.generate([REQUESTS[5].prompt], [TextConstraint(40)], [99])
    with pytest.raises(BackendError, match="no embeddings"):
        backend.embed(["a"])
