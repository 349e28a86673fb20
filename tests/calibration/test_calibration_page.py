"""docs/calibration.md says what happens, and the files on it are calibration files."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

from abm.calibration.reading import Calibration

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)
    assert result.attempted > 15
    assert result.failed == 0


def test_the_file_on_the_page_can_be_read(tmp_path):
    first, second = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "town.py").write_text(
        "def town(parameters, seed, fidelity): ...\ndef report(*given): ...\n"
    )
    (tmp_path / "town.toml").write_text(first)
    read = Calibration.from_toml(tmp_path / "town.toml")
    assert read.problem.names == ("mean", "spread")
    assert read.problem.targets.held_out.names == ("answers",)
    table = tomllib.loads(second)
    head = '[calibration]\nname = "asked"\n[prior]\nconformity = { uniform = [0, 1] }\n'
    rest = '[targets.variance]\nvalue = 0.3\n[method]\nname = "multifidelity"\nn_proposals = 9\n'
    (tmp_path / "asked.toml").write_text(f"{head}\n{second}\n{rest}")
    problem = Calibration.from_toml(tmp_path / "asked.toml").problem
    assert problem.levels == tuple(table["fidelities"])
