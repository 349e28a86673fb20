"""Examples on pages of the model families are true."""

from __future__ import annotations

import doctest
import re
from importlib.resources import files
from pathlib import Path

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_models_is_true():
    result = doctest.testfile(str(DOCS / "models.md"), module_relative=False, optionflags=FLAGS)
    assert result.attempted > 15
    assert result.failed == 0


def test_the_example_of_the_readme_runs(capsys):
    readme = (files("abm.models.opinion_network") / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(
        r"\{'more_moderate': [\d.]+, 'flipped': [\d.]+\}\n", capsys.readouterr().out
    )
