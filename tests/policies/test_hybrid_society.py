"""Rules and a language model in one society: a ledger changes what is computed, no result."""

import math

import numpy as np
import pytest

import abm
from abm.ledger import Ledger, Recorded, Replayed, RunRecorder, export_run, read_table
from abm.llm import Scripted
from abm.policies import (
    Every,
    LLMPolicy,
    Mixture,
    Novel,
    PerQuestion,
    Router,
    RulePolicy,
)
from abm.questions import Question, TextConstraint

VOTE = Question(
    "vote",
    1,
    "You are {age}. {share} of your friends say yes.\n---\nDo you?",
    ("yes", "no"),
    perceive=lambda me: {"age": me.age, "share": round(me.share, 1)},
)
POST = Question(
    "post", 1, "You are {age}. Write.", text=TextConstraint(9), perceive=lambda me: {"age": me.age}
)
TWIN = RulePolicy(lambda f, o: np.column_stack([4 * f["share"] - 2, 0 * f["share"]]))
N, DAYS = 30, 6


class Citizen(abm.Agent):
    def __init__(self, model, n):
        super().__init__(model, key=n)
        self.age, self.share, self.said, self.heard = 20 + n % 3, 0.5, "no", ""

    def life(self):
        while True:
            yield self.wait(1 + self.key % 2)
            self.said = yield self.decide(VOTE, deliberation=0.25 * (self.key % 3))
            self.heard = yield self.decide(POST)


class Town(abm.Model):
    def __init__(self, policies, assignment):
        super().__init__(seed=11, policies=policies, assignment=assignment)
        self.citizens = [Citizen(self, n) for n in range(N)]
        self.told = []
        self.observe(self.look, every=1.0)

    def look(self):
        self.told.append([(c.said, c.heard) for c in self.citizens])
        for n, citizen in enumerate(self.citizens):
            friends = [self.citizens[(n + k) % N].said for k in (1, 2, 3)]
            citizen.share = friends.count("yes") / 3


def model():
    def score(text, options):
        yes = 0.1 + 0.8 * (len(text) % 7) / 7
        return [0.9 * yes, 0.9 * (1 - yes)]

    return LLMPolicy(Scripted(score, lambda text, constraint, seed: f"post {seed % 1000}"))


def routed():
    return Router("rule", "llm", [Every(3.0), Novel("age", "share")], max_tokens=600)


def assignments():
    return {
        "mixture": lambda: Mixture({"llm": 0.3, "rule": 0.7}, seed=5, keys=range(N)),
        "router": routed,
    }


def run(policy, name):
    votes = assignments()[name]()
    town = Town({"llm": policy, "rule": TWIN}, PerQuestion({"vote": votes}, default="llm"))
    town.run_until(float(DAYS))
    return town, votes


@pytest.mark.parametrize("name", ["mixture", "router"])
def test_a_warm_ledger_a_cold_one_none_and_a_replay_give_the_same_society(tmp_path, name):
    plain, router = run(model(), name)
    towns, routers = [plain], [router]
    with Ledger(tmp_path / "study.sqlite") as ledger:
        for attempt in ("cold", "warm"):
            policy = Recorded(model(), ledger)
            recorder = RunRecorder(policy, attempt)
            town, router = run(recorder, name)
            towns.append(town)
            routers.append(router)
            assert (policy.counts.inferred == 0) == (attempt == "warm")
            assert recorder.counts.tokens_in == policy.counts.tokens_in > 0
        export_run(
            tmp_path / "run.sqlite", [recorder], tables={"decisions": town.decisions.frame()}
        )
    with Ledger(tmp_path / "run.sqlite", read_only=True) as ledger:
        replayed, router = run(Replayed(ledger, model().fingerprint), name)
    towns.append(replayed)
    routers.append(router)
    assert all(town.told == plain.told for town in towns)
    assert all(t.decisions.frame().equals(plain.decisions.frame()) for t in towns)
    assert read_table(tmp_path / "run.sqlite", "decisions").equals(plain.decisions.frame())
    if name == "router":
        assert len({(r.spent_tokens, r.spent_decisions, r.refused) for r in routers}) == 1
        assert routers[0].refused > 0
    said = {said for told in plain.told for said, _ in told}
    assert said == {"yes", "no"}


def test_many_agents_need_few_inferences(tmp_path):
    """30 citizens of three ages vote for six days; what differs is what they see."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        policy = Recorded(model(), ledger)
        town = Town({"llm": policy}, "llm")
        town.run_until(float(DAYS))
        votes = town.decisions.count(question="vote")
        kinds = {
            entry.request
            for _, entry in ledger.entries(question="vote", fingerprint=policy.fingerprint)
        }
    assert votes > 100
    assert len(kinds) <= 3 * 4
    texts = policy.counts.inferred - len(kinds)
    assert texts == town.decisions.count(question="post")


def test_the_choices_of_agents_follow_the_scores():
    """3,000 citizens who see the same: shares within four standard deviations of 0.7 (seed 11)."""

    class Same(abm.Agent):
        age, share = 30, 0.5

    policy = LLMPolicy(Scripted(lambda text, options: [0.63, 0.27]))
    town = abm.Model(seed=11, policies={"llm": policy})
    agents = [Same(town) for _ in range(3000)]
    for agent in agents:
        agent.age, agent.share = 30, 0.5
    told = town.agents.ask(VOTE)
    assert abs(told.count("yes") / 3000 - 0.7) < 4 * math.sqrt(0.7 * 0.3 / 3000)
