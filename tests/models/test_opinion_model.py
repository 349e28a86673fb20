"""The assembled opinion network: exposure, sameness, interventions, persuaders, failures.

Small societies with rule twins; seeds as stated.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

import abm
from abm.errors import DecisionFailed, ScenarioError
from abm.models.opinion_network import OpinionNetwork, OpinionScenario
from abm.models.opinion_network.questions import OPINION, POST
from abm.models.opinion_network.scale import stance_of
from abm.models.opinion_network.twin import TWIN
from abm.questions import Answer, Status

SMALL = {"n_citizens": 150, "n_asked": 8, "duration": 6.0, "mean_degree": 8.0}


def built(seed=1, policies=None, failures=None, **parameters):
    scenario = OpinionScenario(**{**SMALL, **parameters})
    seeds = abm.Seeds(seed, seed, seed)
    return OpinionNetwork(scenario, seeds=seeds, policies=policies, failures=failures)


def ran(seed=1, interventions=(), until=None, **parameters):
    model = built(seed, **parameters)
    model.schedule_interventions(interventions)
    model.run_until(model.scenario.duration if until is None else until)
    return model


def state(model):
    return model.agents_frame(), model.series(), dict(model.posts)


def same(a, b):
    (agents, series, posts), (agents2, series2, posts2) = state(a), state(b)
    return agents.equals(agents2) and series.equals(series2) and posts == posts2


class Spy:
    """The rule twin, which also keeps what it was asked."""

    recorded = False
    fingerprint = "spy"

    def __init__(self):
        self.requests = []

    def answer(self, requests):
        self.requests += requests
        return TWIN.answer(requests)


# ------------------------------------------------------------------ exposure


def test_without_exposure_nothing_changes():
    model = ran(exposure="none")
    outcomes = model.outcomes()
    assert outcomes["all.unchanged"] == 1.0
    assert outcomes["all.posts_read"] == 0.0
    assert np.array_equal(
        model.population.opinion[~model.population.is_asked],
        model.population.initial[~model.population.is_asked],
    )


def test_the_placebo_prompt_shows_no_posts_and_no_friends():
    spy = Spy()
    ran(exposure="none", policies={"citizen": spy})
    opinions = [r for r in spy.requests if r.question.id == "opinion"]
    assert opinions
    assert {r["posts"] for r in opinions} == {r["friends"] for r in opinions} == {""}


def test_selected_exposure_shows_only_one_side():
    for exposure, side in (("like_minded", 1), ("opposing", -1)):
        spy = Spy()
        model = ran(exposure=exposure, policies={"citizen": spy})
        baselines = {c.key: int(c.baseline) for c in model.citizens}
        read = [c for c in model.citizens if c.feed and baselines[c.key] != 4]
        assert len(read) >= 4
        for citizen in read:
            own = baselines[citizen.key] - 4
            assert all(side * own * (post.stance - 4) > 0 for post in citizen.feed)


def test_every_exposure_moves_opinion_the_way_it_points():
    """Seeds 1-3, everybody asked: like-minded makes more extreme, opposing more moderate."""
    means = {}
    for exposure in ("like_minded", "ordinary", "opposing"):
        runs = [
            ran(seed, exposure=exposure, n_citizens=80, n_asked=80, duration=3.0).outcomes()
            for seed in (1, 2, 3)
        ]
        means[exposure] = {
            kind: np.mean([run[f"asked.{kind}"] for run in runs])
            for kind in ("more_extreme", "more_moderate")
        }
    extreme = [means[e]["more_extreme"] for e in ("like_minded", "ordinary", "opposing")]
    assert extreme[0] > extreme[1] > extreme[2]
    assert means["opposing"]["more_moderate"] > means["like_minded"]["more_moderate"] + 0.1


# ------------------------------------------------------------------ who does what


def test_asked_citizens_decide_daily_and_write_as_often_as_told():
    """Seed 1: 8 citizens, 6 days, and a baseline each; posts 48 x 0.5 = 24 +- 4 sd (14)."""
    spy = Spy()
    ran(policies={"citizen": spy}, writing_probability=0.5)
    counts = pl.Series([r.question.id for r in spy.requests]).value_counts()
    found = dict(counts.iter_rows())
    assert found["opinion"] == 8 * (6 + 1)
    assert found["post"] == pytest.approx(24, abs=14)


def test_a_public_post_is_not_the_private_opinion():
    model = ran(writing_probability=0.0, writing_rate=0.0)
    people = model.population
    assert np.array_equal(people.stance, stance_of(people.initial))
    assert (stance_of(people.opinion) != people.stance).mean() > 0.1
    assert model.posts == {}


def test_conformity_draws_what_is_said_to_what_is_heard():
    """Seed 1: with full conformity public stances agree with neighbours more than opinions do."""
    model = ran(conformity=1.0, exposure="none", writing_rate=1.0, n_asked=0)
    people, network = model.population, model.network
    said = [abs(people.stance[i] - people.stance[network.neighbours(i)].mean()) for i in range(150)]
    thought = stance_of(people.opinion)
    meant = [abs(thought[i] - people.stance[network.neighbours(i)].mean()) for i in range(150)]
    assert np.mean(said) < 0.7 * np.mean(meant)


def test_rule_citizens_alone_need_no_answerer():
    model = ran(n_asked=0)
    assert model.run_flags() == []
    assert len(model.policies) == 0
    assert model.outcomes()["all.unchanged"] < 1.0


def test_nothing_suspicious_is_flagged_in_a_plain_run():
    assert ran().run_flags() == []


@pytest.mark.parametrize("rule", ["voter", "q_voter"])
def test_two_opinions_stay_two(rule):
    model = ran(rule=rule, n_asked=0)
    assert set(np.unique(model.population.opinion)) <= {-1.0, 1.0}
    assert model.outcomes()["all.flipped"] > 0


@pytest.mark.parametrize("rule", ["degroot", "friedkin_johnsen", "hegselmann_krause"])
def test_averaging_rules_bring_opinions_together(rule):
    model = ran(rule=rule, n_asked=0, self_weight=0.5)
    daily = model.series().filter((pl.col("group") == "all") & (pl.col("variable") == "variance"))[
        "value"
    ]
    assert daily[-1] < daily[0]


def test_the_topic_may_lie_outside_the_language():
    spy = Spy()
    model = ran(policies={"citizen": spy}, topic="tulip shows", statement="Tulips should be shown.")
    assert "Tulips should be shown." in spy.requests[-1].prompt.text
    assert any("tulip shows" in post.text for post in model.posts.values())


def test_citizens_from_a_csv_say_only_what_the_survey_knows(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "lr,age\n" + "\n".join(f"{1 + i % 7},{30 + i if i % 2 else ''}" for i in range(40))
    )
    spy = Spy()
    model = ran(policies={"citizen": spy}, data=str(path), columns={"ideology": "lr"})
    personas = {r["persona"] for r in spy.requests}
    assert all("Your household" not in persona for persona in personas)
    assert any("years old" in persona for persona in personas)
    assert any("years old" not in persona for persona in personas)
    assert model.run_flags() == []


# ------------------------------------------------------------------ sameness


def test_equal_seeds_are_equal_and_others_are_not():
    assert same(ran(1), ran(1))
    assert not same(ran(1), ran(2))


def test_looking_at_a_run_does_not_change_it():
    watched = built()
    for time in np.linspace(0, 6, 41):
        watched.run_until(float(time))
        assert np.isfinite(watched.population.opinion).all()
    assert same(watched, ran())


def test_arms_share_who_lives_where_and_when():
    a, b = ran(exposure="like_minded"), ran(exposure="opposing")
    fixed = ["respondent", "age", "is_asked", "initial"]
    assert a.population.frame(*fixed).equals(b.population.frame(*fixed))
    assert np.array_equal(a.network.indices, b.network.indices)
    assert [c.time_of_day for c in a.citizens] == [c.time_of_day for c in b.citizens]
    assert np.array_equal(a.cohort._times, b.cohort._times)


def test_who_answers_does_not_move_the_rule_citizens_before_they_could_read_it():
    """Another answerer writes other posts; until the first is read, rule citizens are equal."""

    class Contrary(Spy):
        def answer(self, requests):
            return [
                Answer(scores=(0.0,) * 7)
                if r.question.options
                else Answer(text="I strongly oppose gun control.")
                for r in requests
            ]

    quiet = {"writing_probability": 0.0}
    a, b = ran(**quiet), ran(policies={"citizen": Contrary()}, **quiet)
    rule = ~a.population.is_asked
    assert np.array_equal(a.population.opinion[rule], b.population.opinion[rule])
    assert not np.array_equal(a.population.opinion, b.population.opinion)


# ------------------------------------------------------------------ interventions


@pytest.mark.parametrize(
    "intervention",
    [
        abm.Intervention(at=3.25, change={"exposure": "opposing"}),
        abm.Intervention(at=3.25, change={"confidence_bound": 1.5, "rate": 0.4}),
        abm.Intervention(at=3.25, change={"reading_rate": 8.0}),
        abm.Intervention(at=3.25, inject={"stance": 7, "share": 1.0}),
        abm.Intervention(at=3.25, assign={"citizen": "other"}),
    ],
    ids=["exposure", "rule", "rate", "message", "policy"],
)
def test_runs_are_equal_to_the_bit_until_an_intervention_acts(intervention):
    class Other(Spy):
        def answer(self, requests):
            return [
                Answer(scores=tuple(float(-k) for k in range(7)))
                if r.question.options
                else Answer(text="No.")
                for r in requests
            ]

    policies = {"citizen": TWIN, "other": Other()}
    plain = built(policies=policies, duration=8.0)
    treated = built(policies=policies, duration=8.0)
    treated.schedule_interventions([intervention])
    for time in (0.0, 1.5, 3.0, 3.2499):
        plain.run_until(time)
        treated.run_until(time)
        assert same(plain, treated)
    plain.run_until(8.0)
    treated.run_until(8.0)
    assert not same(plain, treated)
    before = pl.col("time") <= 3.25
    assert plain.series().filter(before).equals(treated.series().filter(before))


def test_an_injected_message_is_read_by_citizens_who_are_asked():
    spy = Spy()
    text = "I strongly support gun control because it saves lives."
    injected = abm.Intervention(at=2.0, inject={"stance": 7, "text": text})
    ran(interventions=[injected], policies={"citizen": spy}, writing_probability=0.0)
    shown = [r for r in spy.requests if text in r["posts"]]
    assert len(shown) >= 8


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (abm.Intervention(at=2.0, change={"n_citizens": 5}), "sets up a run and cannot change"),
        (abm.Intervention(at=2.0, change={"bound": 5}), "neither a parameter"),
        (abm.Intervention(at=2.0, change={"rate": 5.0}), "rate = 5.0, expected 0 <= rate <= 1"),
        (abm.Intervention(at=2.0, inject={"stance": 9}), r"expected stance \(1 to 7\)"),
        (abm.Intervention(at=2.0, inject={"stance": 7, "loud": 1}), r"expected stance \(1 to 7\)"),
    ],
)
def test_interventions_that_cannot_act_are_refused_before_the_run(intervention, message):
    with pytest.raises(ScenarioError, match=message):
        built().schedule_interventions([intervention])


# ------------------------------------------------------------------ persuaders

MIRROR = {"n_asked": 0, "rule": "degroot", "exposure": "ordinary", "persuader_reach": 0.2}


def mean_shift(seed, **parameters):
    with_them = ran(seed, **MIRROR, duration=20.0, **parameters).population.opinion.mean()
    return with_them - ran(seed, **MIRROR, duration=20.0).population.opinion.mean()


def test_a_potency_of_zero_is_the_model_without_persuaders():
    armed = {"red_budget": 10, "blue_budget": 10, "red_potency": 0.0, "blue_potency": 0.0}
    assert same(ran(**armed), ran())


def test_a_larger_budget_of_one_side_moves_the_mean_its_way():
    """Seeds 1-6: twice the budget of blue raises the final mean in every seed."""
    even = [mean_shift(s, red_budget=10, blue_budget=10) for s in range(1, 7)]
    more = [mean_shift(s, red_budget=10, blue_budget=20) for s in range(1, 7)]
    assert all(b > a for a, b in zip(even, more, strict=True))


def test_equal_persuaders_and_a_mirrored_start_leave_the_mean_at_zero():
    """Seeds 1-12: opinions replaced by a mirror-symmetric start; mean 0 within 3 se."""
    ends = []
    for seed in range(1, 13):
        model = built(seed, **MIRROR, red_budget=20, blue_budget=20, duration=20.0)
        start = np.resize([-0.6, 0.6], 150)
        for name in ("opinion", "initial"):
            model.population[name] = start
        model.population["stance"] = stance_of(start)
        model.run_until(20.0)
        ends.append(model.population.opinion.mean())
    error = np.std(ends, ddof=1) / np.sqrt(12)
    assert abs(np.mean(ends)) < 3 * error
    assert 0 < error < 0.15


def test_nobody_is_persuaded_while_nothing_is_read():
    assert ran(exposure="none", blue_budget=10).outcomes()["all.unchanged"] == 1.0


def test_a_persuader_reaches_only_its_audience():
    seen = {}
    for audience in ("like_minded", "opposing"):
        model = built(n_asked=0, n_citizens=150)
        before = model.population.n_read.copy()
        model.broadcast(author="blue", stance=7, text="", share=1.0, audience=audience)
        seen[audience] = model.population.n_read > before
        stance = model.population.stance
        assert (
            seen[audience] == ((stance > 4) if audience == "like_minded" else (stance < 4))
        ).all()
    assert not (seen["like_minded"] & seen["opposing"]).any()


# ------------------------------------------------------------------ failures


class Failing(Spy):
    """The twin, except that it fails one question."""

    def __init__(self, question):
        super().__init__()
        self.question = question

    def answer(self, requests):
        return [
            Answer.failed(Status.INVALID, "not a post")
            if r.question.id == self.question and (r.seed is not None or r["n_read"])
            else TWIN.answer([r])[0]
            for r in requests
        ]


def test_a_failed_post_is_no_post_and_is_counted():
    model = ran(policies={"citizen": Failing("post")}, failures="skip", writing_probability=1.0)
    assert model.posts == {}
    assert model.decisions.summary()["failures"]["invalid"] > 20


def test_a_failed_opinion_leaves_the_old_one():
    model = ran(policies={"citizen": Failing("opinion")}, failures="skip")
    assert model.outcomes()["asked.unchanged"] == 1.0


def test_a_failure_stops_the_run_unless_the_scenario_says_otherwise():
    with pytest.raises(DecisionFailed, match="'post': invalid"):
        ran(policies={"citizen": Failing("post")}, writing_probability=1.0)


# ------------------------------------------------------------------ what is asked


def test_questions_are_what_the_prompt_files_show():
    from importlib.resources import files

    for question, name in ((OPINION, "opinion"), (POST, "post")):
        shown = (files("abm.models.opinion_network") / "prompts" / f"{name}.txt").read_text()
        body = shown.split("\n====\n", 1)[1]
        assert body == "\n---\n".join(question.template.blocks) + "\n"


def test_the_twin_is_sure_of_nothing_and_sums_to_one():
    spy = Spy()
    ran(policies={"citizen": spy})
    requests = [r for r in spy.requests if r.question.id == "opinion"]
    scores = np.array([a.scores for a in TWIN.answer(requests)])
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(len(requests)))
    centre = np.exp(scores) @ np.arange(1, 8)
    unread = np.array([r["n_read"] == 0 for r in requests])
    own = np.array([r["own_view"] for r in requests])
    assert np.abs(centre[unread] - own[unread]).max() < 0.2


def test_messages_are_plain_and_frozen():
    model = ran()
    message = next(iter(model.posts.values()))
    assert isinstance(message.author, int)
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.text = "changed"
