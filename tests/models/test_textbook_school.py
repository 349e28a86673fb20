"""The curve of a school's outbreak is read from a file that the user names, or refused."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from abm.calibration.reading import Calibration
from abm.errors import CalibrationError
from abm.models.textbook import sir

STUDY = Path(sir.__file__).parent / "studies" / "school_influenza_1978.toml"
COUNTS = [2, 4, 9, 17, 30, 41, 38, 29, 20, 12, 7, 4, 2, 1]  # made up


def written(path, day="day", counts=COUNTS):
    days = list(range(1, len(counts) + 1))
    if day == "date":
        days = [date(2001, 1, 21) + timedelta(n) for n in days]
    table = pl.DataFrame({day: days, "in_bed": counts})
    table.reverse().write_csv(path)  # rows may come in any order
    return str(path)


def test_the_curve_is_read_in_the_order_of_days(tmp_path):
    targets = sir.school_targets(written(tmp_path / "curve.csv"))
    assert targets["infected"].value.tolist() == COUNTS
    dated = written(tmp_path / "dated.csv", day="date")
    assert sir.school_targets(dated, day="date")["infected"].value.tolist() == COUNTS


def test_the_study_file_finds_the_curve_where_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CalibrationError, match="influenza_england_1978_school"):
        Calibration.from_toml(STUDY)
    written(tmp_path / "influenza_1978.csv")
    problem = Calibration.from_toml(STUDY).problem
    assert problem.observed.tolist() == COUNTS
    answer = problem.simulator({"infection": 1.5, "recovery": 0.5}, 1, "")
    assert answer["infected"].shape == (14,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day,sick\n1,3\n", "lacks the columns"),
        ("day,in_bed\n1,3\n2,\n", "1 counts in 'in_bed' are missing"),
        ("day,in_bed\n1,3\n2,many\n", "1 counts in 'in_bed' are missing or no numbers"),
        ("day,in_bed\n", "every day once"),
        ("day,in_bed\n1,3\n3,4\n", r"every day once, .* holds \[1, 3\]"),
        ("day,in_bed\nMonday,3\nTuesday,4\n", "whole numbers or dates"),
    ],
)
def test_a_file_without_a_count_for_every_day_is_refused(tmp_path, text, message):
    (tmp_path / "curve.csv").write_text(text)
    with pytest.raises(CalibrationError, match=message):
        sir.school_targets(str(tmp_path / "curve.csv"))
