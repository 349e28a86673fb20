"""A plan says beforehand what the run then costs, within a stated factor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abm.errors import ScenarioError
from abm.ledger import Ledger
from abm.policies import LLMPolicy
from abm.policies.reasoning import ReasoningPolicy
from abm.studies import Study
from abm.studies.planning import extrapolated, plan
from abm.studies.standing_in import Costs

SMALL = Path(__file__).parents[2] / "models" / "opinion_network" / "studies" / "preset_small.toml"


def within(factor, planned, real):
    return real / factor <= planned <= real * factor


def test_a_plan_counts_what_the_twin_would_ask_exactly_where_nothing_is_extrapolated(
    toy, town, tmp_path
):
    """The town is asked daily whatever it answers, so the requests raised are known beforehand."""
    study = town(answerers={"model": {"citizen": toy.Parrot(), "writer": toy.Parrot()}})
    made = plan(study)
    real = study.run(tmp_path).manifest
    (policy,) = made.policies
    assert made.runs == made.dry_runs == 4
    assert policy.asked == real["answers"]["model"]["asked"]
    assert within(1.5, policy.distinct, real["answers"]["model"]["inferred"])
    assert policy.tokens_from.startswith("the model's own tokenizer")
    assert policy.hours is not None
    assert policy.hours_from.startswith("measured on")


def test_what_replications_share_is_counted_once(toy, town, tmp_path):
    given = {"answerers": {"model": {"citizen": toy.Parrot()}}, "replications": 8}
    study = town(varies=["chance"], **given)
    made = plan(study, replications=2)
    real = study.run(tmp_path).manifest["answers"]["model"]
    assert made.dry_runs == 4
    (policy,) = made.policies
    assert policy.asked == real["asked"]
    assert within(1.5, policy.distinct, real["inferred"])
    assert policy.distinct < policy.asked / 2


def test_the_number_of_different_things_is_extrapolated_as_drawn_from_a_known_law():
    """Seed 1; 300 things of unequal frequency, in 10 samples of which 3 are known: within 20 %."""
    rng = np.random.default_rng(1)
    p = 1 / np.arange(1, 301)
    samples = [set(rng.choice(300, 60, p=p / p.sum()).tolist()) for _ in range(10)]
    seen = Counter(thing for sample in samples[:3] for thing in sample)
    counts = Counter(seen.values())
    found = extrapolated(len(seen), counts[1], counts[2], 3, 10)
    assert found == pytest.approx(len(set.union(*samples)), rel=0.2)
    assert extrapolated(30, 30, 0, 3, 10) == pytest.approx(100, rel=0.2)  # nothing is shared


def test_a_fraction_of_the_duration_is_extrapolated_and_said(toy, town):
    given = {"answerers": {"model": {"citizen": toy.Parrot()}}, "scenario": {"duration": 20.0}}
    study = town(interventions=[{"at": 15.0, "change": {"tone": "shrill"}}], **given)
    whole, half = plan(study), plan(study, fraction=0.5)
    assert within(1.2, half.policies[0].asked, whole.policies[0].asked)
    assert "50% of the duration" in half.notes[0]
    assert "1 interventions lie beyond it" in half.notes[1]
    assert whole.notes == []


def test_a_stated_speed_gives_hours_and_a_budget_is_compared(toy, town):
    from abm.studies import Budget

    study = town(answerers={"model": {"citizen": toy.Parrot()}}, budget=Budget(tokens=10))
    made = plan(study, tokens_per_second=10.0)
    (policy,) = made.policies
    assert policy.hours == pytest.approx(policy.distinct_tokens / 10 / 3600, rel=0.01)
    assert "budget of 10 tokens ends after about" in made.notes[-1]


def test_a_server_is_not_asked_for_a_plan(toy, town):
    spec = {"backend": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "absent"}
    (policy,) = plan(town(answerers={"m": {"citizen": spec}})).policies
    assert policy.hours is None
    assert policy.hours_from.startswith("unknown")
    assert policy.tokens_from.startswith("estimate")


def test_thoughts_and_draws_of_a_server_are_in_its_plan(toy, town):
    """A choice of yes or no costs 2 tokens per draw, and a second prompt after its thoughts."""
    spec = {"backend": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "absent"}
    drawn = {**spec, "probabilities": "sampled", "draws": 20}
    scored, slow, often = (
        plan(town(answerers={"m": {"citizen": one}}), replications=1).policies[0]
        for one in (spec, {**spec, "reasoning": 30}, drawn)
    )
    assert slow.tokens >= 2 * scored.tokens + (2 * 30 - 4) * scored.asked
    assert often.tokens == scored.tokens + (20 * 2 - 4) * scored.asked


def test_a_plan_writes_nothing_and_refuses_what_cannot_run(toy, town, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan(town(answerers={"m": {"citizen": toy.Parrot()}}))
    assert list(tmp_path.iterdir()) == []
    for given in ({"fraction": 0.0}, {"replications": 0}, {"tokens_per_second": -1.0}):
        with pytest.raises(ScenarioError, match=next(iter(given))):
            plan(town(), **given)
    with pytest.raises(ScenarioError, match="the town burns"):
        plan(town(scenario={"duration": 4.0, "fail_at": 1.5}))


def test_mixtures_are_planned_per_model(toy, town):
    members = {
        "a": {"share": 0.5, "backend": "scripted", "score": "toy_model:fair", "name": "a"},
        "b": {"share": 0.5, "backend": "scripted", "score": "toy_model:fair", "name": "b"},
    }
    made = plan(town(answerers={"m": {"citizen": {"mixture": members}}}))
    assert len(made.policies) == 2
    assert all(policy.asked > 0 for policy in made.policies)


def test_without_a_tokenizer_tokens_are_an_estimate(toy):
    request = toy.BAN.request({"age": 30, "tone": "calm", "share": 0.5})
    words = len(request.prompt.text.encode()) / 4
    assert Costs(None).prompt(request) == pytest.approx(words, abs=1)
    assert Costs(None).source.startswith("estimate")


def test_thoughts_are_planned_with_the_prompt_that_they_are_read_in_again(toy):
    request = toy.BAN.request({"age": 30, "tone": "calm", "share": 0.5})
    post = toy.POST.request({"age": 30, "tone": "calm"}, seed=1)
    plain, thinks = toy.Parrot(), ReasoningPolicy(toy.Parrot(), budget=12)
    words = len(thinks.as_sent(request)[1])
    assert Costs(thinks).prompt(request) == 2 * words + 12
    assert Costs(thinks).answer(request) == 12 + Costs(LLMPolicy(plain)).answer(request)
    assert Costs(thinks).prompt(post) == Costs(LLMPolicy(plain)).prompt(post)


@pytest.mark.slow
def test_the_plan_of_a_small_society_with_the_embedded_model_is_within_a_factor_of_two(tmp_path):
    """Seed 1. The twin leads the society elsewhere than the model does, hence a factor."""
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    study = Study.from_toml(SMALL)
    study = replace(
        study,
        scenario={**study.scenario, "n_asked": 8, "n_citizens": 200, "duration": 8.0},
        arms={name: study.arms[name] for name in ("ordinary", "opposing")},
        answerers={"embedded": "embedded"},
        replications=3,
        text="",
    )
    made = plan(study, replications=2)
    done = study.run(tmp_path)
    real = done.manifest["answers"]["embedded"]
    (policy,) = made.policies
    assert within(1.2, policy.asked, real["asked"])
    assert within(2.0, policy.distinct, real["inferred"])
    assert within(2.0, policy.tokens, real["tokens_in"] + real["tokens_out"])
    files = [file for file in done.folder.rglob("*") if file.is_file()]
    assert within(2.0, made.disk_bytes, sum(file.stat().st_size for file in files))
    with Ledger(done.folder / "ledger.sqlite", read_only=True) as ledger:
        assert len(ledger) == real["inferred"]
