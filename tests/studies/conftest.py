"""What tests of studies share: the toy model, importable as a module that workers do not know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def toy(monkeypatch):
    """The module `toy_model`, found through the path as a user's own module would be."""
    monkeypatch.syspath_prepend(str(HERE))
    import toy_model

    yield toy_model
    sys.modules.pop("toy_model", None)


@pytest.fixture
def town(toy):
    """Makes a study of the toy model: `town(answerers=..., replications=...)`."""
    from abm.studies import Study

    def make(**changes):
        given = {
            "scenario": {"duration": 4.0},
            "arms": {"base": {}, "open": {"bound": 0.9, "tone": "shrill"}},
            "replications": 2,
            "agents": True,
        }
        model = changes.pop("model", toy.TownModel)
        return Study("town", model, **{**given, **changes})

    return make
