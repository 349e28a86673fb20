"""docs/studies.md says what happens, and the study file on it is one."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

import pytest

from abm.errors import ScenarioError
from abm.studies import Study

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)
    assert result.attempted > 20
    assert result.failed == 0


def test_the_study_file_on_the_page_has_only_known_keys(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tomllib.loads(text)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "some_model.gguf").write_bytes(b"GGUF")
    (tmp_path / "town.py").write_text(_code())
    (tmp_path / "taxes.toml").write_text(text)
    study = Study.from_toml(tmp_path / "taxes.toml")
    assert len(list(study.runs())) == 2 * 3 * 10
    wrong = text.replace("tax = 0.1", "tax = 7")
    (tmp_path / "taxes.toml").write_text(wrong)
    told = r"taxes\.toml:14: arms\.low\.tax: tax = 7, expected 0 <= tax <= 1"
    with pytest.raises(ScenarioError, match=told):
        Study.from_toml(tmp_path / "taxes.toml")


def _code() -> str:
    """The model of the page as a module: its examples up to the first that shows something."""
    examples = doctest.DocTestParser().get_examples(PAGE.read_text())
    return "".join(example.source for example in examples if not example.want)[:4000].split(
        "study = Study"
    )[0]
