"""The examples in the docstrings of abm.analysis run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import abm.analysis

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(abm.analysis.__path__, "abm.analysis.")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
