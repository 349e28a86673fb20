"""Cascades: hand-worked shapes, and NetworkX as the slow reference."""

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.analysis.cascades import (
    cascade_table,
    depths,
    half_life,
    roots,
    structural_virality,
    subtree_sizes,
)
from abm.errors import AnalysisError


@st.composite
def trees(draw, most=25):
    n = draw(st.integers(2, most))
    return [-1] + [draw(st.integers(0, i - 1)) for i in range(1, n)]


def test_a_star_of_ten_has_virality_1_8_and_a_path_of_ten_3_6667():
    assert structural_virality([-1] + [0] * 9) == pytest.approx(1.8)
    assert structural_virality(list(range(-1, 9))) == pytest.approx(11 / 3)


def test_the_virality_of_one_is_undefined():
    assert math.isnan(structural_virality([-1]))


@given(trees())
def test_virality_is_the_mean_distance_of_all_pairs(parents):
    graph = nx.Graph((i, p) for i, p in enumerate(parents) if p >= 0)
    assert structural_virality(parents) == pytest.approx(nx.average_shortest_path_length(graph))


@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(parents, random):
    new = list(range(len(parents)))
    random.shuffle(new)
    moved = [0] * len(parents)
    for i, parent in enumerate(parents):
        moved[new[i]] = -1 if parent < 0 else new[parent]
    drop = ["size", "depth", "breadth", "virality"]
    one, other = (cascade_table(p).select(drop).row(0) for p in (parents, moved))
    assert one == pytest.approx(other)


@given(st.lists(trees(most=8), min_size=1, max_size=6))
def test_a_forest_is_measured_cascade_by_cascade(forest):
    joined, first = [], []
    for parents in forest:
        first.append(len(joined))
        joined += [p if p < 0 else p + first[-1] for p in parents]
    table = cascade_table(joined)
    assert table["root"].to_list() == first
    for i, parents in enumerate(forest):
        graph = nx.DiGraph((p, c) for c, p in enumerate(parents) if p >= 0)
        levels = list(nx.single_source_shortest_path_length(graph, 0).values())
        assert table["size"][i] == len(parents)
        assert table["depth"][i] == max(levels)
        assert table["breadth"][i] == max(levels.count(d) for d in set(levels))
        assert table["virality"][i] == pytest.approx(structural_virality(parents))


def test_depths_roots_and_branches_of_a_small_forest():
    parents = [-1, 0, 0, 1, -1, 4]
    assert depths(parents).tolist() == [0, 1, 1, 2, 0, 1]
    assert roots(parents).tolist() == [0, 0, 0, 0, 4, 4]
    assert subtree_sizes(parents).tolist() == [4, 2, 1, 1, 2, 1]


def test_a_chain_of_twenty_thousand_needs_no_recursion():
    n = 20_000
    assert structural_virality(np.arange(n) - 1) == pytest.approx((n + 1) / 3)


def test_half_of_a_cascade_has_happened_at_its_half_life():
    table = cascade_table([-1, 0, 0, 1, -1], times=[1.0, 2.0, 9.0, 3.0, 5.0])
    assert table["duration"].to_list() == [8.0, 0.0]
    assert table["half_life"].to_list() == [1.0, 0.0]
    assert half_life([1.0, 2.0, 9.0, 3.0]) == 1.0
    assert math.isnan(half_life([]))


@pytest.mark.parametrize("parents", [[1, 0], [0], [-1, 2, 1]])
def test_rows_that_are_their_own_ancestors_are_refused(parents):
    with pytest.raises(AnalysisError, match="own ancestors"):
        depths(parents)


def test_a_parent_that_is_no_row_is_refused():
    with pytest.raises(AnalysisError, match="expected rows"):
        cascade_table([-1, 7])


def test_several_starts_are_not_one_cascade():
    with pytest.raises(AnalysisError, match="2 starts"):
        structural_virality([-1, -1])


def test_no_messages_make_no_cascades():
    assert cascade_table([]).height == 0
