"""The schedules of rules, and whether they were compiled, are kept with the results of a study."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl
import pytest

import abm
from abm import Scenario, Seeds, parameter
from abm.errors import RuleError
from abm.kernels import (
    EventCohort,
    PairwiseCohort,
    PoissonCohort,
    RateCohort,
    noting,
    run_neighbours,
    run_pairwise,
    run_population,
    run_rows,
    run_transitions,
    run_within,
)
from abm.networks import Network, watts_strogatz
from abm.studies import Study


def compromise(own, other, p):
    return own + p[0] * (other - own), other + p[0] * (own - other)


def drift(i, state, p, rng):
    state[0][i] += p[0] * rng.normal()


def never(i, now, state, p):
    state[0][i] = 1.0


class Meetings(Scenario):
    duration: float = parameter(2.0, gt=0, unit="day", doc="length of a run")
    schedule: str = parameter("sweep", doc="order of the first encounters")


class MeetingsModel(abm.Model):
    Scenario = Meetings
    questions = ()
    roles: ClassVar = {}

    def __init__(self, scenario, *, seeds: Seeds, policies=None):
        super().__init__(seed=seeds.chance, policies=policies)
        self.scenario = scenario
        ties = watts_strogatz(20, 4, 0.1, rng=self.chance("ties"))
        self.people = abm.Population(self, opinion=self.chance("opinions").random(20))
        opinion = self.people.opinion
        for _ in range(2):
            run_pairwise(
                compromise, opinion, ties, rounds=3, params=(0.5,), schedule=scenario.schedule,
                rng=self.chance("first"), compiled=False,
            )  # fmt: skip
        run_rows(
            drift, (opinion,), (0.01,), rounds=1, schedule="asynchronous",
            rng=self.chance("drift"),
        )  # fmt: skip
        self.people.attach(
            PairwiseCohort(
                compromise, opinion, rate=2.0, network=ties, params=(0.5,),
                rng=self.chance("meetings"), compiled=False,
            )
        )  # fmt: skip
        self.people["acted"] = 0.0
        self.people.attach(
            PoissonCohort(never, (self.people.acted,), rate=0.0, seed=self.chance_seed)
        )
        self._rows = []
        self.observe(self._note)

    def _note(self):
        self._rows.append({"time": self.now, "spread": float(self.people.opinion.std())})

    def series(self):
        return pl.DataFrame(self._rows)

    def outcomes(self):
        return {"spread": float(self.people.opinion.std())}


def test_manifests_tell_rule_schedule_and_how_it_was_run(tmp_path):
    study = Study(
        "meetings", MeetingsModel, arms={"sweep": {}, "pairs": {"schedule": "matching"}},
        replications=2,
    )  # fmt: skip
    done = study.run(tmp_path)
    assert done.manifest["failed"] == {}
    told = done.run("sweep", "rule", 0).manifest["rules"]
    by_schedule = {(e["driver"], e["rule"], e["schedule"]): e for e in told}
    first = by_schedule["pairwise", "compromise", "sweep"]
    assert first["updates"] == 2 * 3 * 20
    assert first["compiled"] == 0
    assert first["interpreted"] == {"as asked": 120}
    small = by_schedule["rows", "drift", "asynchronous"]
    assert small["updates"] == sum(small["interpreted"].values()) + small["compiled"] == 20
    clock = by_schedule["pairwise", "compromise", "asynchronous"]
    assert 40 < clock["updates"] < 130
    assert by_schedule["poisson", "never", "asynchronous"]["updates"] == 0

    total = {(e["rule"], e["schedule"]): e for e in done.manifest["rules"]}
    assert total["compromise", "sweep"]["runs"] == total["compromise", "matching"]["runs"] == 2
    assert total["compromise", "asynchronous"]["runs"] == 4
    assert total["compromise", "sweep"]["updates"] == 2 * first["updates"]


def lost(own, other, p):
    return (own if own < p[0] else float("nan")), other


class LostModel(MeetingsModel):
    """Its first encounters are as in `MeetingsModel`; those of a further cohort go wrong."""

    def __init__(self, scenario, *, seeds: Seeds, policies=None):
        super().__init__(scenario, seeds=seeds, policies=policies)
        self.people["trust"] = np.linspace(0.0, 1.0, 20)
        if scenario.schedule == "matching":
            run_pairwise(lost, self.people.trust, None, rounds=9, schedule="matching",
                         params=(0.9,), rng=self.chance("lost"), compiled=False)  # fmt: skip
        self.people.attach(
            PairwiseCohort(lost, self.people.trust, rate=2.0, params=(0.9,),
                           rng=self.chance("lost"), compiled=False)
        )  # fmt: skip


def test_a_failed_run_tells_which_rules_ran_until_then(tmp_path):
    study = Study("lost", LostModel, arms={"later": {}, "begin": {"schedule": "matching"}})
    done = study.run(tmp_path)
    assert set(done.manifest["failed"]) == {"later/rule/r000", "begin/rule/r000"}
    for arm, schedule in (("later", "asynchronous"), ("begin", "matching")):
        manifest = done.run(arm, "rule", 0).manifest
        assert manifest["error"]["type"] == "RuleError"
        told = {(e["rule"], e["schedule"]): e for e in manifest["rules"]}
        ended = told["lost", schedule]
        assert (ended["driver"], ended["failed"]) == ("pairwise", 1)
        assert ended["interpreted"] == {"as asked": ended["updates"]}
        assert ended["updates"] > 0
        assert told["compromise", "sweep" if arm == "later" else "matching"]["updates"] > 50
        assert "failed" not in told["drift", "asynchronous"]
    total = {(e["rule"], e["schedule"]): e for e in done.manifest["rules"]}
    assert total["lost", "matching"]["failed"] == 1
    assert total["drift", "asynchronous"]["runs"] == 2


def test_notes_are_of_their_own_block_alone():
    x = np.arange(6.0)
    given = {"params": (0.5,), "rng": np.random.default_rng(1), "compiled": False}
    with noting() as outer:
        run_pairwise(compromise, x, None, 5, **given)
        with noting() as inner:
            run_pairwise(compromise, x, None, rounds=1, schedule="synchronous", **given)
    run_pairwise(compromise, x, None, 7, **given)
    assert [(e["schedule"], e["updates"]) for e in outer.table()] == [("asynchronous", 5)]
    assert [(e["schedule"], e["updates"]) for e in inner.table()] == [("synchronous", 6)]


def negative(state, counts, p):
    return 1.0 if state == 0 else -1.0


def flip(state, counts, p):
    return 1 - state


def mean_of_none(own, others, p):
    return sum(others) / len(others)


def counted(state, counts, p):
    return 7 * counts[1]


def nobody_s(i, now, state, p):
    state[0][i] = float("nan")
    return 1.0


def test_what_every_driver_was_doing_is_noted_when_it_fails():
    pair, rng = Network.from_edges([(0, 1)], 3), np.random.default_rng(1)
    given, x, states = {"rng": rng, "compiled": False}, np.ones(3), np.array([1, 0, 0])
    calls = {
        "neighbours": lambda: run_neighbours(
            mean_of_none, x, pair, rounds=1, schedule="sweep", **given
        ),
        "transitions": lambda: run_transitions(
            counted, states, pair, n_states=2, rounds=1, schedule="synchronous", **given
        ),
        "within": lambda: run_within(lambda own, n, mean, p: mean / 0, x, 0.1, rounds=1, **given),
        "rows": lambda: run_rows(
            lambda i, s, p: s[5], (x,), rounds=1, schedule="sweep", **given
        ),
        "population": lambda: run_population(lambda s, p: s[5], (x,), rounds=1, **given),
        "events": lambda: EventCohort(nobody_s, (x,), np.zeros(3), **given).advance(1.0),
        "rates": lambda: RateCohort(
            negative, flip, np.zeros(2, dtype=np.int8), Network.from_edges([(0, 1)]), n_states=2,
            **given,
        ).advance(9.0),
    }  # fmt: skip
    for driver, call in calls.items():
        with noting() as notes, pytest.raises(RuleError):
            call()
        ended = [entry for entry in notes.table() if entry.get("failed")]
        assert [entry["driver"] for entry in ended] == [driver]
        assert list(ended[0]["interpreted"]) == ["as asked"]
