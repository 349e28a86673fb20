"""Edge lists in files become networks of the population, or say in which line they do not."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
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
        ("1,2\n2,3\n", {}, r"\['1'\] looks like part of a tie; pass header=False"),
        ("ann,bob\nbob,cyd\n", {}, r"\['bob'\] looks like part of a tie"),
        ("a,b,0.5\nx,y,1\n", {"weight": 2}, r"\['0.5'\] looks like"),
        ("a,b\n ,y\n", {}, "column 0 is empty in 1 lines, first in line 2"),
        ("a,b\n\nx,y\nx,z,1\n", {}, "line 4 has 3 columns, expected 2 as in line 1"),
        ("a,b\nx,y\n", {"separator": "||"}, "'||', expected one character"),
        ("a,b\nx,y\n", {"source": 0.0}, "column = 0.0, expected a whole number"),
    ],
)
def test_a_wrong_edge_list_is_refused_with_the_place(tmp_path, text, options, message):
    file = tmp_path / "ties.csv"
    file.write_text(text)
    with pytest.raises(NetworkError, match=message):
        read_edge_list(file, **options)


def test_names_are_what_stands_between_the_commas_without_space(tmp_path):
    file = tmp_path / "ties.csv"
    file.write_text("from, to, 2019\nann, bob, 1\nbob, c\u2028d, 2\n", encoding="utf-8")
    network = read_edge_list(file, nodes=["ann", "bob", "c\u2028d"])
    assert network.edges().tolist() == [[0, 1], [1, 2]]
    file.write_text("7,8\n1, 2\n")
    assert read_edge_list(file, header=True, nodes=np.array([2, 1])).labels.tolist() == [2, 1]


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


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_compressed_files_are_read_by_both_endings(tmp_path, ending, pack):
    file = tmp_path / f"ties.csv.{ending}"
    file.write_bytes(pack.compress(b"from,to,w\nann,bob,0.5\nbob,cyd,2\n"))
    network = read_edge_list(file, weight="w")
    assert network.labels.tolist() == ["ann", "bob", "cyd"]
    assert network.edge_weights().tolist() == [0.5, 2.0]
    file.write_bytes(b"from,to\n1,2\n")
    with pytest.raises(NetworkError, match=f"ties.csv.{ending}: .*compressed as its ending says"):
        read_edge_list(file)


def test_text_in_another_encoding_is_named(tmp_path):
    (tmp_path / "ties.csv").write_bytes("a,b\nMüller,bob\n".encode("latin-1"))
    with pytest.raises(NetworkError, match=r"ties\.csv: .*expected a text in UTF-8"):
        read_edge_list(tmp_path / "ties.csv")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ("001,01\n01,1\n", ["001", "01", "1"]),
        ("10,9\n9,2\n", [2, 9, 10]),
        ("1,x\n2,y\n", ["1", "2", "x", "y"]),
        ("1.0,2.0\n", ["1.0", "2.0"]),
        ("-1,+1\n", ["+1", "-1"]),
        ("NA,null\n", ["NA", "null"]),
    ],
)
def test_names_are_numbers_only_where_all_are_written_as_such(tmp_path, cells, names):
    (tmp_path / "ties.csv").write_text(f"a,b\n{cells}")
    assert read_edge_list(tmp_path / "ties.csv").labels.tolist() == names


def test_comments_may_follow_a_tie_between_white_space(tmp_path):
    (tmp_path / "ties.txt").write_text("1 2 # friends\n2 3\n")
    assert read_edge_list(tmp_path / "ties.txt").edges().tolist() == [[0, 1], [1, 2]]
