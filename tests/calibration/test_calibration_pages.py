"""The pages on methods, choice calibration and revision experiments say what happens."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from abm.calibration.methods import METHODS

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


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_options_of_a_method_are_those_of_its_function(method):
    module, _, function = METHODS[method].partition(":")
    parameters = inspect.signature(getattr(import_module(module), function)).parameters.values()
    told = ", ".join(_told(p) for p in parameters if p.name != "simulations")
    assert f"| `{method}` | {told} |" in (DOCS / "calibration_methods.md").read_text()


def _told(parameter):
    if parameter.default is parameter.empty:
        return f"`{parameter.name}`"
    words = {None: "none", True: "true", False: "false"}
    known = parameter.default is None or isinstance(parameter.default, bool)
    return f"`{parameter.name}` ({words[parameter.default] if known else parameter.default})"
