"""Studies of a small village, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODEL = {"villager": {"backend": "scripted", "score": "village:score", "name": "village"}}
ARMS = {"low": {"tax": 0.1}, "middle": {"tax": 0.3}, "high": {"tax": 0.5}}


@pytest.fixture(scope="session")
def village():
    """The module `village`, importable by its name as a user's own would be."""
    sys.path.insert(0, str(HERE))
    import village

    yield village
    sys.path.remove(str(HERE))
    sys.modules.pop("village", None)


@pytest.fixture(scope="session")
def make(village, tmp_path_factory):
    """Runs a study of the village: `make(name, arms=..., replications=...)`; gives its folder."""
    from abm.policies import FailureHandling
    from abm.studies import Study

    def run(name, **changes):
        given = {
            "arms": ARMS,
            "answerers": {"model": MODEL, "rule": {}},
            "failures": FailureHandling("abort", {"off_menu": "rule villager_twin"}),
            "replications": 3,
            "seed": 4,
        }
        model = changes.pop("model", village.VillageModel)
        study = Study(name, model, **{**given, **changes})
        return study.run(tmp_path_factory.mktemp("runs")).folder

    return run


@pytest.fixture(scope="session")
def study(make):
    """Three taxes, the language model and its rule twin, three replications."""
    return make("village")


@pytest.fixture(scope="session")
def small(make):
    """One tax, one replication, the language model alone."""
    return make("small", arms={"low": {}}, answerers={"model": MODEL}, replications=1)
