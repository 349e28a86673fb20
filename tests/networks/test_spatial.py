"""Networks of places have the neighbours of their geometry."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from abm.errors import NetworkError
from abm.networks import Network, lattice, proximity, random_geometric


def seeded(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("box", [None, 1.0])
def test_ties_are_all_pairs_within_the_radius_and_no_others(box):
    points = seeded(1).random((80, 2))
    network = proximity(points, 0.2, box=box)
    gap = np.abs(points[:, None] - points[None])
    if box is not None:
        gap = np.minimum(gap, box - gap)
    near = (np.sqrt((gap**2).sum(axis=2)) <= 0.2) & ~np.eye(80, dtype=bool)
    assert network.edges().tolist() == [[i, j] for i, j in np.argwhere(near) if i < j]


def test_random_geometric_networks_have_the_mean_degree_and_clustering_of_the_plane():
    """On a torus the mean degree is (n - 1) pi r**2 and the clustering 1 - 3 sqrt(3) / (4 pi)
    (Dall & Christensen 2002). n = 4,000, mean degree 20, 5 networks, seed 2; the number of ties has
    a relative standard deviation of about sqrt(2 / (n k)), clustering varies by a few thousandths.
    """
    n, degree = 4000, 20.0
    radius = np.sqrt(degree / ((n - 1) * np.pi))
    made = [random_geometric(n, radius, torus=True, rng=seeded([2, i])) for i in range(5)]
    mean = np.mean([net.degree.mean() for net in made])
    assert mean == pytest.approx(degree, rel=5 * np.sqrt(2 / (5 * n * degree)))
    found = nx.transitivity(made[0].to_networkx())
    assert found == pytest.approx(1 - 3 * np.sqrt(3) / (4 * np.pi), abs=0.015)


def test_the_points_of_a_random_geometric_network_can_be_drawn_apart():
    points = seeded(3).random((200, 3))
    assert proximity(points, 0.3) == random_geometric(200, 0.3, dimensions=3, rng=seeded(3))


@pytest.mark.parametrize("torus", [False, True])
def test_a_von_neumann_lattice_is_networkx_s_grid(torus):
    graph = nx.grid_graph([7, 5], periodic=torus)
    ordered = nx.Graph()
    ordered.add_nodes_from(sorted(graph))
    ordered.add_edges_from(graph.edges)
    assert lattice((5, 7), torus=torus) == Network.from_networkx(ordered)


@pytest.mark.parametrize(
    ("neighbourhood", "reach", "dimensions", "degree"),
    [("von Neumann", 1, 2, 4), ("von Neumann", 2, 2, 12), ("von Neumann", 1, 3, 6),
     ("Moore", 1, 2, 8), ("Moore", 2, 2, 24), ("Moore", 1, 3, 26), ("Moore", 3, 1, 6)],
)  # fmt: skip
def test_every_cell_of_a_torus_has_the_neighbours_of_its_neighbourhood(
    neighbourhood, reach, dimensions, degree
):
    network = lattice((7, 8, 9)[:dimensions], neighbourhood=neighbourhood, reach=reach, torus=True)
    assert set(network.degree.tolist()) == {degree}
    Network(network.n, network.indptr, network.indices)


def test_borders_of_a_lattice_have_fewer_neighbours():
    assert lattice((3, 3), neighbourhood="Moore").degree.tolist() == [3, 5, 3, 5, 8, 5, 3, 5, 3]
    assert lattice((1, 1)).n_edges == 0
    assert lattice((0, 4)).n == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_geometric(10, -1.0, rng=seeded(1)), "radius = -1"),
        (lambda: random_geometric(10, 0.5, torus=True, rng=seeded(1)), "half the box"),
        (lambda: random_geometric(-1, 0.5, rng=seeded(1)), "n = -1"),
        (lambda: proximity([[0.0, np.nan]], 1.0), r"row \[0\]"),
        (lambda: proximity([[0.0, 0.0], [2.0, 0.0]], 0.1, box=1.0), r"row \[1\]"),
        (lambda: proximity([0.0, 1.0], 1.0), "shape"),
        (lambda: lattice((2, 5), torus=True), "neighbour twice"),
        (lambda: lattice((5, 5), reach=0), "reach = 0"),
        (lambda: lattice((5, 5), neighbourhood="moor"), "'moor'"),
        (lambda: lattice((100_000, 100_000)), "fewer than"),
        (lambda: lattice((3.5, 3)), "side of shape = 3.5, expected a whole number"),
        (lambda: lattice((5, 5), reach=1.5), "reach = 1.5"),
        (lambda: random_geometric(3.5, 0.1, rng=seeded(1)), "n = 3.5"),
        (lambda: proximity([["a", "b"]], 1.0), "points: .*expected numbers"),
    ],
)
def test_impossible_spaces_are_refused(make, message):
    with pytest.raises(NetworkError, match=message):
        make()
