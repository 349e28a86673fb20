"""Seeds of replications: common to arms and answerers, and fixed where nothing varies."""

from __future__ import annotations

import pytest

from abm.errors import ScenarioError
from abm.studies import Seeds


def test_what_does_not_vary_keeps_the_seed_of_replication_zero():
    first = Seeds.derived(5, 0)
    later = Seeds.derived(5, 7, varies=("chance",))
    assert (later.population, later.network) == (first.population, first.network)
    assert later.chance == Seeds.derived(5, 7).chance != first.chance


def test_seeds_differ_between_studies_replications_and_purposes():
    made = [Seeds.derived(seed, r) for seed in range(20) for r in range(20)]
    numbers = [n for seeds in made for n in (seeds.chance, seeds.population, seeds.network)]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**53 for number in numbers)


def test_an_unknown_source_of_variation_is_refused():
    with pytest.raises(ScenarioError, match="weather"):
        Seeds.derived(1, 0, varies=("chance", "weather"))
