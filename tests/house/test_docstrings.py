"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

NEEDS = {"abm.llm.embedded.training": "torch"}


def _modules() -> list[str]:
    """All modules; mapped root folders are walked by name, as an editable install hides them."""
    names = set()
    for root in ("abm", "abm.models", "abm.analysis", "abm.calibration"):
        path = importlib.import_module(root).__path__
        names |= {module.name for module in pkgutil.walk_packages(path, f"{root}.")}
    return sorted(name for name in names if not name.endswith("__main__"))


@pytest.mark.parametrize("name", _modules())
def test_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for prefix, extra in NEEDS.items():
        if name.startswith(prefix):
            pytest.importorskip(extra, reason=f"{name} needs the extra `train`")
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failed == 0
