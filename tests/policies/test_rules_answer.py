"""Rules: vectorised, checked, and the same in any batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_contract import bits, check_policy

from abm.errors import PolicyError
from abm.policies import ByQuestion, LLMPolicy, RulePolicy
from abm.policies.rule import column, stack
from abm.questions import Question, TextConstraint, distribution

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no", "unsure"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))


def softly(fields, options):
    lean = np.log1p(np.abs(fields["age"] - 40.5)) * np.exp(-fields["age"] / 33)
    return np.column_stack([lean / (k + 1) - k for k in range(len(options))])


def test_a_rule_keeps_the_promises_of_policies():
    check_policy(RulePolicy(softly), [BAN.request({"age": age}) for age in range(18, 95)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e3, 1e6), min_size=1, max_size=70), st.data())
def test_any_part_of_a_batch_gets_the_bits_of_the_whole(ages, data):
    """Vector units may not round a value differently at the end of an array than within it."""
    requests = [BAN.request({"age": age}) for age in ages]
    rule = RulePolicy(softly)
    whole = [bits(answer) for answer in rule.answer(requests)]
    some = data.draw(st.lists(st.integers(0, len(ages) - 1), max_size=20))
    part = [bits(answer) for answer in rule.answer([requests[row] for row in some])]
    assert part == [whole[row] for row in some]


def test_probabilities_are_answered_as_their_logarithms_and_zero_stays_impossible():
    rule = RulePolicy(lambda f, _: [[0.25, 0.75, 0.0]] * f.n, returns="probabilities")
    (answer,) = rule.answer([BAN.request({"age": 1})])
    assert answer.scores[2] == -np.inf
    assert distribution(answer.scores) == pytest.approx([0.25, 0.75, 0.0], abs=1e-15)


def test_a_text_rule_gets_the_seed_of_each_request():
    rule = RulePolicy(
        lambda f: [f"{a} {s}" for a, s in zip(f["age"], f["_seed"], strict=True)], returns="texts"
    )
    requests = [POST.request({"age": 1}, seed=s) for s in (0, 7, 2**32 - 1)]
    check_policy(rule, requests)
    assert [a.text for a in rule.answer(requests)] == ["1 0", "1 7", "1 4294967295"]


def test_requests_with_other_fields_or_types_are_stacked_apart():
    seen = []

    def rule(fields, options):
        seen.append({name: values.dtype.kind for name, values in fields.items()})
        return np.zeros((fields.n, len(options)))

    free = Question("free", 1, "?", ("a", "b"))
    rows = [{}, {"x": 1}, {"x": 1.5}, {"x": 2}, {"x": "one"}, {"x": True}, {"x": ("a", "b")}, {}]
    answers = RulePolicy(rule).answer([free.request(row) for row in rows])
    assert [answer.scores for answer in answers] == [(0.0, 0.0)] * 8
    assert seen == [{}, {"x": "i"}, {"x": "f"}, {"x": "U"}, {"x": "b"}, {"x": "O"}]


def test_columns_hold_what_the_fields_held():
    assert column([2**70, 1]).tolist() == [2**70, 1]
    assert column(["a\0", "b"]).tolist() == ["a\0", "b"]
    assert column([("a",), ("b", "c")]).tolist() == [("a",), ("b", "c")]
    assert column([True, False]).dtype == bool
    assert stack([]).n == 0


@pytest.mark.parametrize(
    ("function", "returns", "message"),
    [
        (lambda f, _: np.zeros((f.n, 2)), "log_scores", r"shape \(1, 2\), expected .* \(1, 3\)"),
        (lambda f, _: np.zeros(3), "log_scores", r"shape \(3,\)"),
        (lambda f, _: [[0.0, np.nan, 0.0]], "log_scores", r"age.*33.*expected no nan"),
        (lambda f, _: [[0.5, 0.5, 0.5]], "probabilities", r"age.*33.*sum to 1"),
        (lambda f, _: [[-0.5, 0.5, 1.0]], "probabilities", r"sum to 1"),
        (lambda f: ["text"], "texts", "which has options"),
    ],
)
def test_a_wrong_rule_is_told_what_it_returned(function, returns, message):
    with pytest.raises(PolicyError, match=message):
        RulePolicy(function, returns=returns).answer([BAN.request({"age": 33})])


def test_a_wrong_text_rule_is_told_what_it_returned():
    with pytest.raises(PolicyError, match="2 values, expected 1 texts"):
        RulePolicy(lambda f: ["a", "b"], returns="texts").answer([POST.request({"age": 1}, seed=1)])
    with pytest.raises(PolicyError, match="declare returns='texts'"):
        RulePolicy(softly).answer([POST.request({"age": 1}, seed=1)])
    with pytest.raises(PolicyError, match="returns = 'p'"):
        RulePolicy(softly, returns="p")


def test_a_rule_of_another_version_is_another_policy():
    names = {RulePolicy(softly, n, v).fingerprint for n in ("a", "b") for v in (1, 2)}
    assert len(names) == 4


def test_each_question_has_its_own_rule():
    both = ByQuestion(
        {"ban": RulePolicy(softly), "post": RulePolicy(lambda f: ["x"] * f.n, returns="texts")}
    )
    requests = [
        BAN.request({"age": 20}),
        POST.request({"age": 20}, seed=1),
        BAN.request({"age": 9}),
    ]
    check_policy(both, requests)
    assert [answer.text for answer in both.answer(requests)] == [None, "x", None]
    with pytest.raises(PolicyError, match=r"no policy for question 'else'.*\['ban', 'post'\]"):
        both.answer([Question("else", 1, "?", ("a", "b")).request({})])


def test_recorded_and_computed_policies_do_not_share_a_name():
    class Backend:
        fingerprint = "m"

    with pytest.raises(PolicyError, match="all recorded or all not"):
        ByQuestion({"ban": RulePolicy(softly), "post": LLMPolicy(Backend())})


def test_policies_behind_one_name_share_one_floor():
    class Backend:
        fingerprint = "m"

    one, other = (LLMPolicy(Backend(), coverage_floor=floor) for floor in (0.1, 0.2))
    assert ByQuestion({"ban": one, "post": one}).coverage_floor == 0.1
    with pytest.raises(PolicyError, match=r"floors \[0.1, 0.2\] differ"):
        ByQuestion({"ban": one, "post": other})
