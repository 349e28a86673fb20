"""The examples in the docstrings of abm.analysis run and print what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import abm.analysis

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(abm.analysis.__path__, "abm.analysis.")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_the_page_on_analysis_prints_what_it_says():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 20
    assert result.failed == 0
