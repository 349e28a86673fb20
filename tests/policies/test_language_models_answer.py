"""LLMPolicy: what a backend says becomes an answer, with its status, cost and source."""

from dataclasses import replace

import numpy as np
import pytest
from policy_contract import check_policy

from abm.errors import PolicyError
from abm.llm.backend import Generation, Scored
from abm.policies import LLMPolicy, PermutationAverage, judged
from abm.questions import Answer, Kind, Question, Status, TextConstraint, distribution

BAN = Question("ban", 1, "Age {age}.\n---\nBan cars?", ("yes", "no"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40, temperature=0.5))
LIST = Question("list", 1, "Which? {listed}", ("red", "green", "blue"))


class Backend:
    """Says what its functions say, and remembers what it was sent."""

    fingerprint = "file:abc"

    def __init__(self, score=None, generate=None):
        self.sent = []
        self._score = score or (lambda prompt, menu: Scored((-0.7,) * len(menu), 0.99, 9, 4))
        self._generate = generate or (lambda p, c, s: Generation(f"{p} {c.max_tokens} {s}", 9, 5))

    def score(self, prompts, options):
        self.sent.append(len(prompts))
        return [self._score(p.text, menu) for p, menu in zip(prompts, options, strict=True)]

    def generate(self, prompts, constraints, seeds):
        self.sent.append(len(prompts))
        rows = zip(prompts, constraints, seeds, strict=True)
        return [self._generate(p.text, c, s) for p, c, s in rows]

    def as_sent(self, prompt):
        return f"<user>{prompt.text}</user>", tuple(range(len(prompt.text)))


def test_choices_and_texts_are_one_batch_each_and_come_back_in_order():
    backend = Backend()
    policy = LLMPolicy(backend)
    requests = [
        POST.request({"age": 1}, seed=3),
        BAN.request({"age": 1}),
        POST.request({"age": 2}, seed=4),
    ]
    answers = policy.answer(requests)
    assert [a.text for a in answers] == ["Age 1. Write. 40 3", None, "Age 2. Write. 40 4"]
    assert backend.sent == [1, 2]
    assert answers[1].scores == (-0.7, -0.7)
    assert (answers[1].tokens_in, answers[1].tokens_out) == (9, 4)
    assert {answer.source for answer in answers} == {policy.fingerprint}
    assert policy.fingerprint.startswith("file:abc|")
    check_policy(policy, requests)


def test_requests_that_differ_in_what_the_prompt_does_not_show_cost_one_inference():
    backend = Backend()
    requests = [BAN.request({"age": n // 3, "unseen": n}) for n in range(6)]
    assert len(set(LLMPolicy(backend).answer(requests))) == 1
    assert backend.sent == [2]


def test_a_menu_without_mass_is_off_menu_and_keeps_its_scores():
    policy = LLMPolicy(Backend(lambda *_: Scored((-4.0, -5.0), 0.02)), coverage_floor=0.05)
    (answer,) = policy.answer([BAN.request({"age": 1})])
    assert (answer.status, answer.scores, answer.coverage) == ("off_menu", (-4.0, -5.0), 0.02)
    assert "0.02, below the declared floor 0.05" in answer.detail
    loose = LLMPolicy(Backend(lambda *_: Scored((-4.0, -5.0), 0.02)), coverage_floor=0.02)
    assert loose.answer([BAN.request({"age": 1})])[0].ok


def test_a_floor_judges_measurements_and_nothing_else():
    unknown, timeout = Answer(scores=(0.0,)), Answer.failed(Status.TIMEOUT, "30 s")
    assert judged(unknown, 1.0) == unknown
    assert judged(timeout, 1.0) == timeout
    low = judged(Answer(scores=(0.0,), coverage=0.1), 0.5)
    assert judged(low, 0.05).ok
    assert judged(judged(low, 0.05), 0.5) == low
    with pytest.raises(PolicyError, match=r"coverage_floor = 1.5, expected 0 <="):
        LLMPolicy(Backend(), coverage_floor=1.5)


def test_failures_of_one_prompt_touch_no_other():
    def score(prompt, menu):
        if "13" in prompt:
            return Scored(None, status=Status.CONTEXT_OVERFLOW, detail="5000 tokens, 4096 fit")
        return Scored((0.0,) * len(menu), 1.0, kind=Kind.SAMPLED)

    answers = LLMPolicy(Backend(score)).answer([BAN.request({"age": a}) for a in (12, 13, 14)])
    assert [answer.status for answer in answers] == ["ok", "context_overflow", "ok"]
    assert answers[1].detail == "5000 tokens, 4096 fit"
    assert answers[0].kind is Kind.SAMPLED


def test_a_retried_text_has_another_seed_and_a_choice_has_none():
    policy = LLMPolicy(Backend())
    request = POST.request({"age": 1}, seed=3)
    texts = {policy.answer([replace(request, attempt=n)])[0].text for n in (0, 1, 2)}
    assert len(texts) == 3
    seeds = [int(text.split()[-1]) for text in texts]
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_prompt_is_shown_exactly_as_sent():
    text, tokens = LLMPolicy(Backend()).as_sent(BAN.request({"age": 7}))
    assert text == "<user>Age 7.\nBan cars?</user>"
    assert LLMPolicy(Backend()).prompt_tokens(BAN.request({"age": 7})) == len(tokens) == 16


# Permutation averaging


def favours_first(prompt, menu):
    """A model that adds log 4 to whatever is listed first, and likes green."""
    listed = prompt.removeprefix("Which? ").split("\n")
    raw = [np.log(4.0) * (o == listed[0]) + 0.5 * (o == "green") for o in menu]
    return Scored(tuple(np.log(distribution(raw))), 0.9, 10, 3)


def test_averaging_over_orders_removes_the_preference_for_the_first():
    request = LIST.request({"listed": ("red", "green", "blue")})
    plain = distribution(LLMPolicy(Backend(favours_first)).answer([request])[0].scores)
    backend = Backend(favours_first)
    policy = PermutationAverage(LLMPolicy(backend), "listed")
    (answer,) = policy.answer([request])
    fair = distribution(answer.scores)
    assert plain[0] > plain[1] > plain[2]
    assert fair[0] == pytest.approx(fair[2])
    assert fair[1] > fair[0]
    assert (answer.tokens_in, answer.tokens_out, answer.coverage) == (30, 9, pytest.approx(0.9))
    assert backend.sent == [3]
    check_policy(policy, [request, LIST.request({"listed": ("blue", "red", "green")})])


def test_the_least_coverage_of_all_orders_counts():
    def score(prompt, menu):
        return Scored((0.0,) * len(menu), 0.02 if prompt.startswith("Which? green") else 0.9)

    policy = PermutationAverage(LLMPolicy(Backend(score)), "listed")
    (answer,) = policy.answer([LIST.request({"listed": ("red", "blue", "green")})])
    assert (answer.status, answer.coverage) == ("off_menu", 0.02)
    assert distribution(answer.scores) == pytest.approx([1 / 3] * 3)
    assert judged(answer, 0.01).ok
    assert judged(judged(answer, 0.01), policy.coverage_floor) == answer


def test_an_order_that_fails_makes_the_answer_fail_and_texts_pass_unchanged():
    def score(prompt, menu):
        if prompt.startswith("Which? green"):
            return Scored(None, status=Status.TIMEOUT, detail="30 s", tokens_in=10)
        return Scored((0.0,) * len(menu), 1.0, 10)

    policy = PermutationAverage(LLMPolicy(Backend(score)), "listed", "reversed")
    answers = policy.answer(
        [
            LIST.request({"listed": ("red", "blue", "green")}),
            POST.request({"age": 1}, seed=2),
            BAN.request({"age": 1}),
        ]
    )
    assert [a.status for a in answers] == ["timeout", "ok", "ok"]
    assert answers[0].tokens_in == 20
    assert answers[1].text == "Age 1. Write. 40 2"


def test_orders_that_are_no_permutations_are_refused():
    with pytest.raises(PolicyError, match="expected 'cyclic', 'reversed' or permutations"):
        PermutationAverage(LLMPolicy(Backend()), "listed", "random")
    policy = PermutationAverage(LLMPolicy(Backend()), "listed", [(0, 1), (1, 0)])
    with pytest.raises(PolicyError, match=r"permutations of 0..2"):
        policy.answer([LIST.request({"listed": ("red", "blue", "green")})])
