"""Edge lists in files become networks of the population, or say in which line they do not."""

from __future__ import annotations

import polars as pl
import pytest

from abm.errors import NetworkError
from abm.networks import read_edge_list


def test_an_edge_list_is_read_with_its_names_and_weights(tmp_path):
    file = tmp_path / "ties.tsv"
    file.write_text("from\tto\tw\nbob\tann\t2\ncyd\tbob\t0.5\n")
    network = read_edge_list(file, source="from", target="to", weight="w", directed=True)
    assert network.labels.tolist() == ["ann", "bob", "cyd"]
    assert network.edges().tolist() == [[1, 0], [2, 1]]
    assert network.edge_weights().tolist() == [2.0, 0.5]


def test_an_edge_list_without_header_is_read_by_position(tmp_path):
    file = tmp_path / "ties.csv"
    file.write_text("3,1\n1,7\n")
    network = read_edge_list(file, header=False)
    assert network.labels.tolist() == [1, 3, 7]
    assert network.edges().tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {"source": "x"}, r"no column 'x'"),
        ("a,b\n1,\n", {}, "column 1 is empty in 1 lines, first in line 2"),
        ("a,b\n1,2\n", {"nodes": [1, 3]}, r"\['2'\], first in line 2"),
        ("a,b\n# note\n1,2\n3,3\n", {}, "1 self-loops, first 3 in line 4"),
        ("a,b\n1,2\n\n2,1\n", {}, "repeated ties, first 2 - 1 in line 4"),
        ("a,b,w\n1,2,x\n", {"weight": "w"}, "weight 'x' in line 2"),
        ("a,b,w\n1,2,inf\n", {"weight": "w"}, "line 2, expected finite"),
        ("a,b\n", {}, "no ties"),
        ("a,b\n1,2\n", {"nodes": [1, 2, 1]}, "more than once"),
    ],
)
def test_a_wrong_edge_list_is_refused_with_the_place(tmp_path, text, options, message):
    file = tmp_path / "ties.csv"
    file.write_text(text)
    with pytest.raises(NetworkError, match=message):
        read_edge_list(file, **options)


def test_a_missing_or_unknown_file_is_named(tmp_path):
    with pytest.raises(NetworkError, match="no such file"):
        read_edge_list(tmp_path / "none.csv")
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "ties.dat")
    with pytest.raises(NetworkError, match="expected one of"):
        read_edge_list(tmp_path / "ties.dat")


def test_white_space_of_any_width_separates_and_comments_are_passed_over(tmp_path):
    file = tmp_path / "ties.txt"
    file.write_text("# source target weight\n10  20\t0.5\n   30 10 2\n\n")
    network = read_edge_list(file, weight=2, nodes=[30, 20, 10, 5])
    assert network.edges().tolist() == [[0, 2], [1, 2]]
    assert network.edge_weights().tolist() == [2.0, 0.5]
    assert network.n == 4


def test_ids_that_are_texts_match_numbers_in_the_file(tmp_path):
    file = tmp_path / "ties.csv"
    file.write_text("from,to\n1,2\n2,3\n")
    assert read_edge_list(file, nodes=["3", "2", "1"]).edges().tolist() == [[0, 1], [1, 2]]


def test_both_directions_are_two_ties_only_in_a_directed_network(tmp_path):
    file = tmp_path / "ties.csv"
    file.write_text("from,to\n1,2\n2,1\n")
    assert read_edge_list(file, directed=True).n_edges == 2
    assert read_edge_list(file, duplicates="merge").n_edges == 1
