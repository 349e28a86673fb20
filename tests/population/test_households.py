"""Households are weighted and drawn whole, so that homes and people both meet their targets."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.errors import PopulationError
from abm.population import fit_households

# Ye et al. (2009), table 1: eight households of two kinds with people of three kinds.
KINDS = [1, 1, 1, 2, 2, 2, 2, 2]
PEOPLE = [(1, 1, 1), (1, 0, 1), (2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 1, 0), (2, 1, 2), (1, 1, 0)]
HOMES = pl.DataFrame({"id": list("abcdefgh"), "kind": KINDS})
PERSONS = pl.DataFrame(
    [
        {"id": home, "type": kind}
        for home, counts in zip("abcdefgh", PEOPLE, strict=True)
        for kind, count in enumerate(counts, 1)
        for _ in range(count)
    ]
)
TARGETS = {
    "household_marginals": {"kind": {1: 35, 2: 65}},
    "person_marginals": {"type": {1: 91, 2: 65, 3: 104}},
}


def seeded(seed):
    return np.random.default_rng(seed)


def test_the_published_example_has_its_published_weights():
    """Ye et al. (2009), table 1, final weights, printed with two decimals."""
    fitted = fit_households(HOMES, PERSONS, by="id", **TARGETS)
    published = [1.36, 25.66, 7.98, 27.79, 18.45, 8.64, 1.47, 8.64]
    assert fitted.weights == pytest.approx(published, abs=0.006)
    assert fitted.error < 1e-6
    assert fitted.fit.columns == [
        "level", "variable", "category", "target", "before", "fitted", "error",
    ]  # fmt: skip
    assert fitted.fit["fitted"].to_list() == pytest.approx([35, 65, 91, 65, 104], abs=1e-4)


def test_one_level_alone_is_raking():
    fitted = fit_households(
        HOMES, PERSONS, by="id", household_marginals=TARGETS["household_marginals"]
    )
    assert fitted.weights.tolist() == pytest.approx([35 / 3] * 3 + [13.0] * 5)
    assert fitted.rounds <= 2


def random_homes(n, rng):
    sizes = rng.integers(1, 5, n)
    homes = pl.DataFrame({"id": np.arange(n), "region": rng.choice(["n", "s"], n), "size": sizes})
    of = np.repeat(np.arange(n), sizes)
    people = pl.DataFrame(
        {"id": of, "sex": rng.choice(["f", "m"], of.size), "age": rng.integers(0, 4, of.size)}
    )
    return homes, people


def test_feasible_targets_of_a_larger_table_are_met():
    """Targets are those of random other weights, so they can be met; 300 households, seed 1."""
    rng = seeded(1)
    homes, people = random_homes(300, rng)
    truth = rng.random(300) * 3 + 0.2
    of = people["id"].to_numpy()

    def totals(frame, name, w):
        counted = frame.with_columns(w=w).group_by(name).agg(pl.col("w").sum())
        return dict(counted.rows())

    fitted = fit_households(
        homes, people, by="id",
        household_marginals={c: totals(homes, c, truth) for c in ("region", "size")},
        person_marginals={c: totals(people, c, truth[of]) for c in ("sex", "age")},
    )  # fmt: skip
    assert fitted.error < 1e-6
    assert (fitted.weights > 0).all()
    assert fitted.fit.height == 2 + 4 + 2 + 4


def test_households_are_drawn_whole_and_meet_the_targets():
    fitted = fit_households(HOMES, PERSONS, by="id", **TARGETS)
    homes, people = fitted.draw(1000, rng=seeded(2))
    assert homes["home"].to_list() == list(range(1000))
    lived = people.group_by("home").agg(pl.col("type").sort(), pl.col("id").unique())
    inside = dict(PERSONS.group_by("id").agg(pl.col("type").sort()).rows())
    of = dict(homes.select("home", "id").rows())
    assert lived.height == 1000
    for home, kinds, ids in lived.rows():
        assert ids == [of[home]]
        assert kinds == inside[of[home]]
    kinds = dict(homes["kind"].value_counts().rows())
    assert kinds[1] == pytest.approx(350, abs=4)
    types = dict(people["type"].value_counts().rows())
    for kind, target in {1: 910, 2: 650, 3: 1040}.items():
        assert types[kind] == pytest.approx(target, abs=10)  # eight roundings of up to two people
    again = fitted.draw(1000, rng=seeded(2))
    assert again[1].equals(people)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "home"}, "by = 'home'"),
        ({"household_marginals": {}, "person_marginals": {}}, "both empty"),
        ({"household_marginals": {"kind": {1: 35}}}, "no target for"),
        ({"person_marginals": {"type": {1: 1, 2: 2, 3: 3, 4: 4}}}, r"\['4'\]"),
        ({"person_marginals": {"type": {1: 91, 2: 65, 3: -1}}}, "3 = -1"),
        # 100 households hold at most five people each.
        ({"person_marginals": {"type": {1: 5000, 2: 65, 3: 104}}}, "person type = 1"),
    ],
)
def test_targets_that_cannot_be_met_are_named(change, message):
    with pytest.raises(PopulationError, match=message):
        fit_households(HOMES, PERSONS, **{"by": "id", **TARGETS, **change})


def test_ids_that_do_not_fit_are_named():
    with pytest.raises(PopulationError, match="not distinct"):
        fit_households(pl.concat([HOMES, HOMES]), PERSONS, by="id", **TARGETS)
    with pytest.raises(PopulationError, match="'h'"):
        fit_households(HOMES[:7], PERSONS, by="id", **TARGETS)
