"""The pages on populations and networks are true: every snippet gives what it shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["population.md", "networks.md"])
def test_every_snippet_of_the_page_gives_what_it_shows(page):
    result = doctest.testfile(str(DOCS / page), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0
