"""Exchange and segregation rules of the library meet their stationary values."""

from __future__ import annotations

import numpy as np
import pytest

from abm.errors import EngineError
from abm.kernels import rules, run_pairwise, run_rows


def seeded(seed):
    return np.random.default_rng(seed)


def gini(x):
    ordered = np.sort(x)
    rank = np.arange(1, len(x) + 1)
    return float(2 * (rank * ordered).sum() / (len(x) * ordered.sum()) - (len(x) + 1) / len(x))


@pytest.mark.parametrize("mean", [1, 5])
def test_giving_one_unit_makes_wealth_geometric(mean):
    """P(k) = m^k / (1 + m)^(k + 1), Gini (1 + m) / (1 + 2 m); 20,000 people, seed 1."""
    wealth = np.full(20_000, mean, dtype=np.int32)
    run_pairwise(rules.boltzmann_wealth, wealth, None, rounds=1000 * mean, rng=seeded(1))
    assert wealth.sum() == 20_000 * mean
    assert gini(wealth) == pytest.approx((1 + mean) / (1 + 2 * mean), abs=0.008)
    for k in range(4):
        expected = mean**k / (1 + mean) ** (k + 1)
        assert (wealth == k).mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / 20_000))


@pytest.mark.parametrize("saving", [0.0, 0.5, 0.8])
def test_random_splits_have_the_variance_of_their_saving(saving):
    """Variance (1 - s) / (1 + 2 s) at mean 1 (exponential for s = 0); 100,000 people, seed 2; the
    relative standard error of a variance is at most sqrt(8 / N)."""
    wealth = np.ones(100_000)
    run_pairwise(rules.random_split, wealth, None, params=rules.Saving(saving), rounds=60,
                 rng=seeded(2))  # fmt: skip
    assert wealth.mean() == pytest.approx(1.0, abs=1e-9)
    assert wealth.var() == pytest.approx((1 - saving) / (1 + 2 * saving), rel=5 * np.sqrt(8 / 1e5))
    if saving == 0:
        assert gini(wealth) == pytest.approx(0.5, abs=0.01)


def test_a_fair_coin_makes_one_person_own_nearly_everything():
    """Yard sale: Boghosian (2014). 100 people, half of the poorer one's wealth at stake; seed 3."""
    wealth = np.ones(100)
    run_pairwise(rules.yard_sale, wealth, None, params=rules.YardSale(0.5), rounds=3000,
                 rng=seeded(3), bounds=(0, 100))  # fmt: skip
    assert wealth.sum() == pytest.approx(100.0)
    assert wealth.max() > 95


@pytest.mark.parametrize(
    ("share", "final"), [(0.1, 18.75), (0.25, 53.49), (0.5, 393.91), (0.75, 3482.67), (1, 30720.0)]
)
def test_donors_in_turns_double_what_they_give(share, final):
    """Two people with 10 each give in turns for 12 rounds; each gift is worth twice to the other.
    The mean at the end, and growth share + sqrt(share^2 + 1 - share) per round in the long run."""
    p, donor, receiver, sums = rules.Donation(share, multiplier=2.0), 10.0, 10.0, [20.0]
    for _ in range(60):
        gift = share * donor
        donor, receiver = reversed(rules.donation(donor, receiver, p))
        sums.append(donor + receiver)
        assert sums[-1] == pytest.approx(sums[-2] + gift)
    assert sums[12] / 2 == pytest.approx(final, abs=0.005)
    growth = share + np.sqrt(share**2 + 1 - share)
    assert (sums[60] / sums[40]) ** (1 / 20) == pytest.approx(growth, rel=1e-4)


def test_gifts_among_all_grow_resources_by_what_they_create():
    """A gift of anybody adds (m - 1) share / N of the sum on average: 400 gifts among 200 people,
    40 runs with seeds [5, k], four standard errors."""
    share, found = 0.2, []
    for seed in range(40):
        owned = np.full(200, 10.0)
        run_pairwise(rules.donation, owned, None, 400, rules.Donation(share, 2.0),
                     rng=seeded([5, seed]), compiled=False)  # fmt: skip
        found.append(owned.sum() / 2000)
    expected = (1 + share / 200) ** 400
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / np.sqrt(40))


def test_a_buyer_and_a_seller_trade_when_bid_meets_ask():
    """Values 1 and 0: of two turns, they are of both with probability 1/2, and the bid is above
    the ask with probability 1/2; prices are as likely above as below 1/2. 1,500 pairs, seed 6."""
    rng, early, prices = seeded(6), 0, []
    for _ in range(1500):
        state = rules.market([1.0], [0.0], highest=1.0)
        run_rows(rules.zero_intelligence, state, rounds=1, schedule="asynchronous", rng=rng)
        early += not np.isnan(state.price[0])
        while np.isnan(state.price[0]):
            run_rows(rules.zero_intelligence, state, rounds=5, schedule="asynchronous", rng=rng)
        assert state.price[0] == state.price[1]
        prices.append(state.price[0])
    assert early / 1500 == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / 1500))
    assert np.mean(prices) == pytest.approx(0.5, abs=4 * np.std(prices) / np.sqrt(1500))


def test_traders_without_intelligence_make_most_of_the_surplus():
    """Gode & Sunder (1993): the rules of the market make most of it for traders who only must not
    lose. Demand and supply cross at 50; ten markets, seeds [7, k], of mean 0.949 and standard
    deviation 0.052 in 300 of an independent program."""
    values, costs, efficiency = np.arange(95.0, 0.0, -10.0), np.arange(5.0, 100.0, 10.0), []
    possible = np.clip(values - costs, 0, None).sum()
    for seed in range(10):
        state = rules.market(values, costs, highest=100.0)
        run_rows(rules.zero_intelligence, state, rounds=300, schedule="asynchronous",
                 rng=seeded([7, seed]), compiled=False)  # fmt: skip
        traded = ~np.isnan(state.price)
        gains = np.where(state.buys, state.limit - state.price, state.price - state.limit)[traded]
        assert (gains >= 0).all()
        assert traded[state.buys].sum() == traded[~state.buys].sum()
        assert np.allclose(np.sort(state.price[traded & state.buys]),
                           np.sort(state.price[traded & ~state.buys]))  # fmt: skip
        efficiency.append(gains.sum() / possible)
    assert np.mean(efficiency) == pytest.approx(0.949, abs=4 * 0.052 / np.sqrt(10))


def test_markets_that_cannot_be_are_refused():
    with pytest.raises(EngineError, match=r"costs\[1\] = 11.0, expected 0 <= costs <= 10"):
        rules.market([1.0], [2.0, 11.0], highest=10.0)
    with pytest.raises(EngineError, match="highest = 0, expected a positive number"):
        rules.market([0.0], [0.0], highest=0)


@pytest.mark.parametrize(
    ("threshold", "expected", "sd"), [(0.3, 0.751, 0.009), (0.5, 0.871, 0.006)]
)
def test_mild_preferences_segregate_a_city_as_tabulated(threshold, expected, sd):
    """50 x 50 torus, density 0.9, two equal groups; mean share of like neighbours over 10 seeds,
    0.501 at the start; four standard errors of two means of ten."""
    before, after = [], []
    for seed in range(10):
        town = rules.city((50, 50), [1125, 1125], rng=seeded([4, seed]))
        before.append(rules.like_share(town))
        for _ in range(20):
            moved = int(town.moves[0])
            run_rows(
                rules.schelling, town, rules.Schelling(threshold), rounds=10, schedule="sweep",
                rng=seeded([5, seed, moved]), compiled=True,
            )  # fmt: skip
            if town.moves[0] == moved:
                break
        assert town.moves[0] == moved  # everybody is content
        assert np.bincount(town.group.ravel()).tolist() == [250, 1125, 1125]
        assert sorted([*town.place, *town.empty]) == list(range(2500))
        after.append(rules.like_share(town))
    assert np.mean(before) == pytest.approx(0.5, abs=0.015)
    assert np.mean(after) == pytest.approx(expected, abs=4 * sd * np.sqrt(2 / 10) + 0.0005)


def test_cities_without_room_are_refused():
    with pytest.raises(EngineError, match="one empty cell"):
        rules.city((3, 3), [9], rng=seeded(1))
    with pytest.raises(EngineError, match="expected whole numbers"):
        rules.city((3, 3), [1.5, 2.0], rng=seeded(1))
    with pytest.raises(EngineError, match=r"shape = \(2, 9\)"):
        rules.city((2, 9), [3], rng=seeded(1))
