"""Homophilous networks are drawn from the model that is written down, by a faster way."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.errors import NetworkError
from abm.kernels import boxes, choosing
from abm.kernels.tools import plain_tools, start
from abm.networks import homophilous


def obvious(distance, strength, mean_degree, met, rng):
    """The same model in the plainest way: everybody ranks all whom they meet, once.

    Ranking by -strength * distance + Gumbel noise is drawing one after another without replacement
    with weights exp(-strength * distance); a further choice is the next of the ranking.
    """
    n = len(distance)
    keys = rng.gumbel(size=(n, n)) - strength * distance
    np.fill_diagonal(keys, -np.inf)
    strangers = rng.random((n, n))
    np.fill_diagonal(strangers, 2.0)
    keys[np.argsort(np.argsort(strangers, axis=1), axis=1) >= met] = -np.inf
    ranking = np.argsort(-keys, axis=1).tolist()
    n_ties, taken = round(n * mean_degree / 2), [n * mean_degree // 2 // n] * n
    ties = {frozenset((i, j)) for i in range(n) for j in ranking[i][: taken[i]]}
    while len(ties) < n_ties:
        for i in rng.permutation(n).tolist():
            if len(ties) < n_ties and taken[i] < met:
                ties.add(frozenset((i, ranking[i][taken[i]])))
                taken[i] += 1
    return np.array([sorted(tie) for tie in ties])


def town(n, rng):
    """An age and a party, and their distances as the documentation defines them."""
    age, party = rng.gamma(2.0, 10.0, n), rng.choice(["left", "right", "other"], n)
    gaps = (age[:, None] - age[None, :]) / age.std()
    distance = np.sqrt((gaps**2 + (party[:, None] != party[None, :])) / 2)
    return {"age": age, "party": party}, distance


@pytest.mark.parametrize(
    ("strength", "met"), [(0.4, 23), (3.0, 23), (3.0, 9), (40.0, 23), (5000.0, 23)]
)
def test_every_tie_is_as_likely_as_in_the_plain_model(strength, met, monkeypatch):
    """24 people in boxes of two, 800 networks each way, seed 1: every pair's frequency within 4.4
    standard errors (276 pairs, five cases: fails one time in fifty without a cause), and all pairs
    together within 4 standard deviations of what chance gives (half of 276, as ties are dependent).
    """
    monkeypatch.setattr(boxes, "_PEOPLE_PER_BOX", 2)
    features, distance = town(24, np.random.default_rng(5))
    rng, n_networks = np.random.default_rng(1), 800
    seen = np.zeros((2, 24, 24))
    for _ in range(n_networks):
        fast = homophilous(features, 5, strength, pool=met, rng=rng).edges()
        for k, ends in enumerate((fast, obvious(distance, strength, 5, met, rng))):
            seen[k][tuple(ends.T)] += 1
    p = seen.mean(axis=0)[np.triu_indices(24, 1)] / n_networks
    gap = (seen[0] - seen[1])[np.triu_indices(24, 1)] / n_networks
    varies = (p > 0) & (p < 1)
    z = gap[varies] / np.sqrt(2 * p[varies] * (1 - p[varies]) / n_networks)
    assert np.all(gap[~varies] == 0)
    assert np.abs(z).max(initial=0.0) < 4.4
    if varies.sum() > 100:
        assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / 138)


def test_chosen_distances_are_those_of_the_plain_model_among_many_boxes():
    """1,500 people, 46 boxes, seed 2: distances of ties in ten equal bins, chi-square below 33.7
    (a thousandth of the time above, with 9 degrees of freedom; ties are close to independent)."""
    rng = np.random.default_rng(2)
    features, distance = town(1500, rng)
    fast = homophilous(features, 8, 3.0, rng=rng).edges()
    slow = obvious(distance, 3.0, 8, 1499, rng)
    found = [distance[tuple(ends.T)] for ends in (fast, slow)]
    bins = np.quantile(np.concatenate(found), np.linspace(0, 1, 11))
    bins[-1] += 1
    counts = np.array([np.histogram(values, bins)[0] for values in found])
    expected = counts.mean(axis=0)
    assert (((counts - expected) ** 2) / expected).sum() < 33.7


def test_a_bound_on_a_box_is_never_below_a_weight_and_boxes_are_of_similar_people():
    """600 people; all boxes hold 32, and bounds are wrong nowhere, near 0 neither."""
    rng = np.random.default_rng(3)
    at = np.column_stack([rng.normal(size=(600, 2)), rng.integers(0, 5, 600)]).astype(np.float32)
    space, found = boxes.boxes_of(boxes.Space(at, 2, 1 / 3))
    assert sorted(found.order.tolist()) == list(range(600))
    assert (space.at == at[found.order]).all()
    assert found.shift == 5
    for box in range(19):
        inside = space.at[32 * box : 32 * box + 32]
        assert (inside.min(axis=0) == found.low[:, box]).all()
        assert (inside.max(axis=0) == found.high[:, box]).all()
    assert (found.high - found.low)[:2].mean() < 1.6  # all people: about 6
    for strength in (0.0, 4.0, 400.0):
        row = np.ones(19, dtype=np.float32)
        for own in range(19):
            boxes.look(space, strength, found, own, row)
            for i, j in rng.integers(0, 600, (30, 2)).tolist():
                i = 32 * own + i % (24 if own == 18 else 32)
                weight = np.exp(-boxes.pull(space, strength, i, j))
                assert weight <= row[j >> 5] <= 1.0011
                assert weight <= boxes.above(boxes.pull(space, strength, i, j))


def test_people_who_are_all_alike_and_thousands_of_categories_are_no_trouble():
    alike = homophilous(np.zeros(200), 4, 9.0, rng=np.random.default_rng(4))
    assert alike.n_edges == 400
    villages = np.arange(6000) % 3000
    names = np.array([f"village {i}" for i in villages])
    ends = homophilous(names, 2, 12.0, rng=np.random.default_rng(4), pool=5999).edges()
    same = (villages[ends[:, 0]] == villages[ends[:, 1]]).mean()
    # Each has one like among 5,999: its odds are e^12 to 5,998; half of the 6,000 ties are lost as
    # mutual choices of such pairs and made up for by second choices, which are strangers.
    assert same == pytest.approx(0.5, abs=0.03)


def test_dates_are_numbers_and_missing_dates_are_refused():
    days = np.arange("2000-01-01", "2000-04-10", dtype="datetime64[D]")
    rng = np.random.default_rng
    same = homophilous(np.arange(100.0), 4, 3.0, rng=rng(1))
    assert homophilous({"born": days}, 4, 3.0, rng=rng(1)) == same
    assert homophilous(pl.DataFrame({"born": days}), 4, 3.0, rng=rng(1)) == same
    nanoseconds = days.astype("datetime64[ns]")
    assert homophilous({"born": nanoseconds}, 4, 3.0, rng=rng(1)) == same
    days[3] = np.datetime64("NaT", "D")
    with pytest.raises(NetworkError, match=r"born: 1 values are missing.*row \[3\]"):
        homophilous({"born": days}, 4, 3.0, rng=rng(1))


def proposed_one_by_one(i, goal, tries, crowd, choices, words):
    """`choosing.propose` without blocks: one word, one proposal, one decision."""
    pieces, made, circle = plain_tools(), 0, crowd.circle
    while tries > 0 and choices.taken[i] < goal:
        tries -= 1
        word, *words[:] = pieces.draw(*pieces.load(words))
        j = choosing.met_at(circle, i, pieces.bounded(word, circle.met))
        weight = np.exp(-boxes.pull(crowd.space, crowd.strength, i, j))
        if pieces.unit(pieces.rest(word, circle.met)) >= weight:
            continue
        if j not in choices.chosen[i, : choices.taken[i]]:
            made += choosing.record(choices, i, j)
    return made


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_proposals_in_blocks_are_those_of_one_draw_after_another(strength):
    """The same choices, and the generator left where it would be; some run out of tries."""
    rng = np.random.default_rng(6)
    at = rng.normal(size=(300, 2)).astype(np.float32)
    space, found = boxes.boxes_of(boxes.Space(at, 2, 1.0))
    gaps = rng.permutation(np.arange(1, 300, dtype=np.int32))
    circle = choosing.Circle(gaps, rng.integers(0, 299, 300, dtype=np.int32), 120)
    crowd, made = choosing.Crowd(space, strength, found, circle), []
    for blocks in (True, False):
        choices = choosing.Choices(np.zeros((300, 8), np.int32), np.zeros(300, np.int32))
        room, words, told = choosing.room_for(120, found), start(np.random.default_rng(7)), []
        for i in range(300):
            goal, tries = 1 + i % 8, 3 * (i % 50)
            if i >> found.shift << found.shift == i:
                boxes.look(space, strength, found, i >> found.shift, room.row)
            who = (i, goal, tries, crowd, choices)
            if blocks:
                told.append(choosing.propose(*who, room, words))
            else:
                told.append(proposed_one_by_one(*who, words))
        made.append((told, choices.chosen.tolist(), choices.taken.tolist(), words.tolist()))
    assert made[0] == made[1]
    assert 300 < sum(made[0][2]) < 300 * 4.5
