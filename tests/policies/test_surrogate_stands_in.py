"""A surrogate recovers what it was fitted to, says how far it is off, and guesses nothing else."""

import numpy as np
import pytest
from policy_contract import check_policy

from abm.errors import PolicyError
from abm.ledger import Entry, Ledger
from abm.policies import SurrogatePolicy
from abm.questions import Answer, Question, Status, TextConstraint, distribution

VIEW = Question(
    "view", 1, "{own} {party} {age} {read} {note}", ("1", "2", "3", "4", "5"), draw="persistent"
)
BAN = Question("ban", 1, "{age}", ("yes", "no"))
QUICK = {"folds": 2, "ridges": (1e-2,)}
PARTIES = {"left": -1.0, "centre": 0.0, "right": 0.8}


def truth(fields):
    """An answer around a centre that moves with view, party, age and what was read."""
    centre = 0.7 * fields["own"] + PARTIES[fields["party"]] + 0.01 * (fields["age"] - 50) + 0.8
    centre += 0.3 * fields["read"].count("for") - 0.3 * fields["read"].count("against")
    return tuple(-((k - centre) ** 2) / 2.0 for k in range(1, 6))


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    made = {}
    while len(made) < n:
        fields = {
            "own": int(rng.integers(1, 6)),
            "party": str(rng.choice(list(PARTIES))),
            "age": int(rng.integers(18, 90)),
            "read": tuple(rng.choice(["for", "against"], int(rng.integers(0, 4))).tolist()),
            "note": f"free text {rng.integers(10**6)}",
        }
        made[VIEW.request(fields)] = Answer(scores=truth(fields), coverage=0.9)
    return list(made.items())


def distance(surrogate, recorded):
    answers = surrogate.answer([request for request, _ in recorded])
    p = distribution([answer.scores for answer in answers])
    q = distribution([answer.scores for _, answer in recorded])
    return np.abs(p - q).sum(axis=1).mean() / 2


def test_a_surrogate_of_its_own_family_recovers_the_truth():
    """400 answers from a logit that is linear in the features (seed 1); checked on 300 others."""
    surrogate = SurrogatePolicy.fit(drawn(400, 1))
    report = surrogate.reports["view"]
    elsewhere = distance(surrogate, drawn(300, 2))
    assert elsewhere < 0.02
    assert report.total_variation == pytest.approx(elsewhere, abs=0.01)
    assert report.baseline > 0.3
    assert report.worst >= report.total_variation
    assert report.ignored == ("note",)
    assert "ignored note" in str(report)


def test_the_report_is_honest_when_there_is_nothing_to_learn():
    """Answers that are noise: no better than the mean distribution (400 answers, seed 3)."""
    rng = np.random.default_rng(3)
    noise = [(r, Answer(scores=tuple(rng.normal(0, 2, 5)))) for r, _ in drawn(400, 3)]
    report = SurrogatePolicy.fit(noise, ridges=(1e-3, 1e-2, 1e-1)).reports["view"]
    assert report.total_variation > 0.9 * report.baseline


def test_a_surrogate_keeps_the_promises_of_policies():
    surrogate = SurrogatePolicy.fit(drawn(60, 4), interactions=True, **QUICK)
    check_policy(surrogate, [request for request, _ in drawn(40, 5)], travels=True)


def test_interactions_are_learned_when_declared():
    """yes if young and poor or old and rich: linear features see nothing of it (seed 6)."""
    question = Question("q", 1, "{age} {income}", ("yes", "no"))
    rng = np.random.default_rng(6)
    recorded = [
        (question.request({"age": a, "income": b}), Answer(scores=(2.0 * a * b, 0.0)))
        for a, b in rng.normal(size=(300, 2)).tolist()
    ]
    plain = SurrogatePolicy.fit(recorded).reports["q"].total_variation
    crossed = SurrogatePolicy.fit(recorded, interactions=True).reports["q"].total_variation
    assert plain > 0.2
    assert crossed < 0.02


def test_it_is_fitted_from_a_ledger_and_leaves_failures_out(tmp_path):
    recorded = drawn(60, 7)
    cut = Answer(text="I thi", status=Status.TRUNCATED)
    post = Question("post", 1, "Write.", text=TextConstraint(9)).request({}, seed=1)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([Entry("model", request, answer) for request, answer in recorded])
        ledger.put_batch([Entry("model", post, cut), Entry("another", *drawn(1, 8)[0])])
        pairs = [(e.request, e.answer) for _, e in ledger.entries(fingerprint="model")]
    lost = (drawn(1, 9)[0][0], Answer.failed(Status.TIMEOUT, "30 s"))
    surrogate = SurrogatePolicy.fit([*pairs, lost], **QUICK)
    assert surrogate.fingerprint == SurrogatePolicy.fit([*recorded, lost], **QUICK).fingerprint
    assert surrogate.reports["view"].n_answers == 60
    assert surrogate.reports["view"].n_skipped == 1


def test_it_is_saved_and_loaded_to_the_bit(tmp_path):
    surrogate = SurrogatePolicy.fit(drawn(40, 10), **QUICK)
    surrogate.save(tmp_path / "s.json")
    again = SurrogatePolicy.load(tmp_path / "s.json")
    requests = [request for request, _ in drawn(20, 11)]
    assert again.fingerprint == surrogate.fingerprint
    assert again.answer(requests) == surrogate.answer(requests)
    assert again.reports == surrogate.reports
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(PolicyError, match=r"s\.json is no surrogate"):
        SurrogatePolicy.load(tmp_path / "s.json")


def test_what_it_was_not_fitted_to_is_a_failure_and_no_guess():
    surrogate = SurrogatePolicy.fit(drawn(60, 12), **QUICK)
    request = drawn(1, 13)[0][0]
    fields = dict(request.fields)
    newer = Question("view", 2, VIEW.template, VIEW.options)
    asked = [
        BAN.request({"age": 1}),
        newer.request(fields),
        VIEW.request({**fields, "own": "four"}),
        request,
    ]
    answers = surrogate.answer(asked)
    assert [a.status for a in answers] == ["out_of_language"] * 3 + ["ok"]
    assert "a number in field 'own'" in answers[2].detail


def test_beyond_the_range_seen_it_answers_as_at_its_edge():
    recorded = [
        (BAN.request({"age": age}), Answer(scores=(age / 20 - 2, 0.0))) for age in range(20, 60)
    ]
    surrogate = SurrogatePolicy.fit(recorded)
    scores = [a.scores for a in surrogate.answer([BAN.request({"age": a}) for a in (59, 60, 900)])]
    assert scores[0] == scores[1] == scores[2]


def test_too_few_answers_are_refused():
    with pytest.raises(PolicyError, match="9 answers, and 5 parts need at least 10"):
        SurrogatePolicy.fit(drawn(9, 14))
    with pytest.raises(PolicyError, match="no answers to choice questions"):
        SurrogatePolicy.fit([])
    with pytest.raises(PolicyError, match="folds = 1"):
        SurrogatePolicy.fit(drawn(9, 14), folds=1)
