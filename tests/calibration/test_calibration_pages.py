"""The pages on methods, choice calibration and revision experiments say what happens."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "least"),
    [("calibration_methods", 20), ("choice_calibration", 10), ("revision_experiments", 6)],
)
def test_the_page_runs(page, least):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, optionflags=flags)
    assert result.attempted >= least
    assert result.failed == 0
