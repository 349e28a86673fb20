"""Activation regimes against theory. Seeds are fixed; tolerances say how many standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import abm
from abm.engine.activation import (
    Circadian,
    FixedStep,
    HawkesClocks,
    NextEvents,
    PoissonClocks,
    RandomSequential,
)
from abm.errors import EngineError
from abm.questions import Answer, Question

ACT = Question("act", 1, "?", ("yes", "no"), perceive=lambda me: {})


class Rule:
    fingerprint, recorded = "rule", False

    def answer(self, requests):
        return [Answer(scores=(0.0, 0.0)) for _ in requests]


class Citizen(abm.Agent):
    def __init__(self, model, key=None):
        super().__init__(model, key=key)
        self.times = []

    def act(self):
        self.times.append(self.model.now)


def crowd(n, seed=1):
    model = abm.Model(seed=seed, policies={"rule": Rule()})
    return model, [Citizen(model) for _ in range(n)]


def test_poisson_clocks_have_exponential_gaps_and_poisson_counts():
    model, agents = crowd(400, seed=11)
    PoissonClocks(model, Citizen, "act", rate=lambda agent: 2.0 if agent.unique_id % 2 else 0.5)
    model.run_until(50)
    fast, slow = agents[::2], agents[1::2]
    for group, rate in ((fast, 2.0), (slow, 0.5)):
        counts = np.array([len(agent.times) for agent in group])
        mean = 50 * rate
        assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / len(group))
        assert abs(counts.var(ddof=1) / mean - 1) < 4 * math.sqrt(2 / len(group))
        gaps = np.concatenate([np.diff([0.0, *agent.times[:20]]) for agent in group])
        assert stats.kstest(gaps * rate, "expon").pvalue > 0.01


def test_a_clock_at_rate_zero_never_rings_and_a_wrong_rate_is_refused():
    model, agents = crowd(3)
    PoissonClocks(model, Citizen, "act", rate=0.0)
    model.run_until(100)
    assert all(agent.times == [] for agent in agents)
    for rate in (-1.0, math.inf, math.nan):
        with pytest.raises(EngineError, match="expected a finite rate"):
            PoissonClocks(model, Citizen, "act", rate=rate)


def test_clocks_stop_for_those_who_leave_and_start_for_those_who_come():
    model, agents = crowd(2)
    PoissonClocks(model, Citizen, "act", rate=5.0)
    born = []
    model.env.call_at(10, lambda _: agents[0].remove())
    model.env.call_at(10, lambda _: born.append(Citizen(model)))
    model.run_until(20)
    assert max(agents[0].times) <= 10
    assert len(born[0].times) > 20
    assert min(born[0].times) > 10


@pytest.fixture(scope="module")
def hawkes():
    """mu = 1, n = 0.5, beta = 1 on 300 agents for 200 time units, seed 21."""
    model, agents = crowd(300, seed=21)
    HawkesClocks(model, Citizen, "act", base_rate=1.0, branching=0.5, decay=1.0)
    model.run_until(200)
    return agents


def test_hawkes_clocks_have_the_long_run_rate(hawkes):
    # Rate mu / (1 - n) = 2; the variance of a count over T is about 8 T (Fano factor 4).
    counts = np.array([sum(time > 20 for time in agent.times) for agent in hawkes])
    error = math.sqrt(4 * 2 * 180 / len(hawkes))
    assert abs(counts.mean() - 2 * 180) < 4 * error


def test_hawkes_clocks_have_the_asymptotic_fano_factor(hawkes):
    # Variance over mean of counts in long windows: 1 / (1 - n)^2 = 4.
    counts = np.array(
        [np.histogram(agent.times, bins=np.arange(20, 201, 60))[0] for agent in hawkes]
    ).ravel()
    fano = counts.var(ddof=1) / counts.mean()
    # In windows of 60 the factor is 4 - 3 / 30 = 3.9 or so; relative error sqrt(2 / 900).
    assert abs(fano - 3.9) < 4 * 3.9 * math.sqrt(2 / counts.size)


def test_rescaled_gaps_of_hawkes_clocks_are_exponential(hawkes):
    gaps = np.concatenate([rescaled(agent.times[:40]) for agent in hawkes[:100]])
    assert stats.kstest(gaps, "expon").pvalue > 0.01
    # Teeth: rescaled with a wrong decay they are not.
    wrong = np.concatenate([rescaled(agent.times[:40], beta=3.0) for agent in hawkes[:100]])
    assert stats.kstest(wrong, "expon").pvalue < 1e-4


def rescaled(times, mu=1.0, n=0.5, beta=1.0):
    """Integrals of the intensity between events: independent Exp(1) (time-rescaling theorem)."""
    gaps, level, last = [], 0.0, 0.0
    for time in times:
        faded = level * math.exp(-beta * (time - last))
        gaps.append(mu * (time - last) + (level - faded) / beta)
        level, last = faded + n * beta, time
    return np.array(gaps)


def test_a_circadian_profile_moves_activity_into_the_day_and_keeps_its_amount():
    model, agents = crowd(300, seed=31)
    profile = Circadian([0, 1, 3, 2], period=1.0)
    HawkesClocks(model, Citizen, "act", base_rate=4.0, branching=0.0, decay=1.0, profile=profile)
    model.run_until(30)
    times = np.concatenate([agent.times for agent in agents])
    quarters = np.histogram(times % 1.0, bins=4, range=(0, 1))[0]
    assert quarters[0] == 0
    total = 300 * 30 * 4
    assert abs(times.size - total) < 4 * math.sqrt(total)
    assert stats.chisquare(quarters[1:], times.size * np.array([1, 3, 2]) / 6).pvalue > 0.01


def test_what_agents_read_excites_them():
    # An excitation of weight w sets off w / (1 - n) actions on average.
    model, agents = crowd(2_000, seed=41)
    clocks = HawkesClocks(model, Citizen, "act", base_rate=0.0, branching=0.5, decay=2.0)
    model.env.call_at(1.0, lambda _: [clocks.excite(agent, 0.8) for agent in agents[:1_000]])
    model.run_until(60)
    counts = np.array([len(agent.times) for agent in agents[:1_000]])
    expected = 0.8 / 0.5
    # Clusters have variance w / (1 - n)^3 = 6.4.
    assert abs(counts.mean() - expected) < 4 * math.sqrt(6.4 / 1_000)
    assert all(agent.times == [] for agent in agents[1_000:])
    with pytest.raises(EngineError, match="excite"):
        clocks.excite(agents[0], -1)


def test_activity_that_would_explode_is_refused():
    model, _ = crowd(1)
    with pytest.raises(EngineError, match="explodes"):
        HawkesClocks(model, Citizen, "act", base_rate=1.0, branching=1.0, decay=1.0)
    with pytest.raises(EngineError, match="not all 0"):
        Circadian([0, 0])


def test_a_fixed_step_goes_through_agents_in_order_and_skips_who_was_removed():
    model, agents = crowd(4)
    seen = []

    def act(agent):
        seen.append((model.now, agent.unique_id))
        if agent is agents[1] and model.now == 2:
            agents[2].remove()

    FixedStep(model, Citizen, act, every=2.0)
    model.run_until(4)
    assert seen == [(2.0, i) for i in (1, 2, 4)] + [(4.0, i) for i in (1, 2, 4)]


def test_random_orders_are_uniform():
    # 3 agents, 1,200 rounds: each of the six orders 200 times, chi-square at 1 %.
    model, agents = crowd(3, seed=51)
    orders = []
    current = []

    def act(agent):
        current.append(agent.unique_id)
        if len(current) == 3:
            orders.append(tuple(current))
            current.clear()

    RandomSequential(model, agents, act)
    model.run_until(1_200)
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_an_action_may_be_a_process_that_decides():
    model, agents = crowd(3)

    def act(agent):
        yield agent.wait(0.5)
        agent.times.append((model.now, (yield agent.decide(ACT))))

    FixedStep(model, Citizen, act, every=1.0)
    model.run_until(2.5)
    assert [time for time, _ in agents[0].times] == [1.5, 2.5]
    assert {choice for agent in agents for _, choice in agent.times} <= {"yes", "no"}


def test_a_stopped_regime_activates_nobody():
    model, agents = crowd(3)
    regimes = [
        FixedStep(model, Citizen, "act"),
        PoissonClocks(model, Citizen, "act", rate=3.0),
        HawkesClocks(model, Citizen, "act", base_rate=3.0, branching=0.1, decay=1.0),
    ]
    for regime in regimes:
        model.env.call_at(5.5, lambda _, regime=regime: regime.stop())
    model.run_until(50)
    assert all(0 < max(agent.times) <= 5.5 for agent in agents)


def test_a_next_event_table_serves_times_in_order_and_forgets_what_was_replaced():
    model = abm.Model(seed=1)
    seen = []

    def act(row):
        seen.append((model.now, row))
        if row == "again" and model.now < 3:
            table.set("now", model.now)
            return model.now + 1
        return None

    table = NextEvents(model, act)
    for row, time in (("late", 5.0), ("again", 1.0), ("tie", 2.0), ("moved", 1.5), ("off", 2.5)):
        table.set(row, time)
    table.set("moved", 4.0)
    table.cancel("off")
    assert (table.next_time("moved"), table.next_time("off")) == (4.0, math.inf)
    model.run_until(10)
    assert seen == [
        (1.0, "again"),
        (1.0, "now"),
        (2.0, "tie"),
        (2.0, "again"),
        (2.0, "now"),
        (3.0, "again"),
        (4.0, "moved"),
        (5.0, "late"),
    ]
    with pytest.raises(EngineError, match="clock stands at 10"):
        table.set("past", 3.0)


def test_a_next_event_table_equals_an_event_per_row():
    def gaps(row, number):
        return abm.chance(7, "gap", row, number).choice([0.25, 0.5, 1.0])

    model, plain = abm.Model(seed=1), abm.Model(seed=1)
    seen, expected, counts = [], [], {}

    def act(row):
        seen.append((model.now, row))
        counts[row] = counts.get(row, 0) + 1
        return model.now + gaps(row, counts[row])

    def life(row):
        number = 0
        while True:
            expected.append((plain.now, row))
            number += 1
            yield plain.at(plain.now + gaps(row, number))

    table = NextEvents(model, act)
    for row in range(20):
        table.set(row, 0.0)
        plain.process(life(row))
    model.run_until(8)
    plain.run_until(8)
    assert seen == expected
