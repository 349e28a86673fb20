"""Classes of notebooks and scripts travel to workers, or are refused with the remedy."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from abm.errors import ScenarioError
from abm.studies import Study
from abm.studies.travel import pack

HERE = Path(__file__).parent

SCRIPT = """
import polars as pl
import abm
from abm import Question, RulePolicy, Scenario, parameter

factor = 3

class Walk(Scenario):
    duration: float = parameter(3.0, gt=0)
    drift: float = parameter(0.5)

class Walker(abm.Agent):
    def life(self):
        while True:
            yield self.wait(1.0)
            self.model.place += factor * (self.uniform("step", int(self.model.now)) - 0.5)

class WalkModel(abm.Model):
    Scenario = Walk
    roles = {}

    def __init__(self, scenario, *, seeds, policies=None):
        super().__init__(seed=seeds.chance)
        self.place, self.rows, self.scenario = scenario.drift, [], scenario
        Walker(self)
        self.observe(lambda: self.rows.append({"time": self.now, "place": self.place}), every=1.0)

    def outcomes(self):
        return {"place": self.place}

    def series(self):
        return pl.DataFrame(self.rows)

from abm.studies import Study
study = Study("walk", WalkModel, replications=4)
one = study.run("serial", workers=1)
two = study.run("pool", workers=2)
assert one.frame("series").equals(two.frame("series"))
assert two.manifest["execution"]["workers"] == 2, two.manifest["execution"]
print("places", two.outcomes()["place"].n_unique())
"""


@pytest.mark.slow
def test_a_script_without_main_guard_runs_its_own_classes_in_a_pool(tmp_path):
    (tmp_path / "walk.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "walk.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["places 4"]


@pytest.mark.slow
def test_classes_of_a_module_that_workers_cannot_find_travel_by_value(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import toy_model

    monkeypatch.undo()
    try:
        study = Study("town", toy_model.TownModel, scenario={"duration": 2.0}, replications=2)
        pool = study.run(tmp_path / "pool", workers=2)
        assert pool.manifest["failed"] == {}
        serial = study.run(tmp_path / "serial")
        assert_frame_equal(pool.frame("series"), serial.frame("series"), check_exact=True)
    finally:
        sys.modules.pop("toy_model", None)


@pytest.mark.slow
def test_a_model_named_by_its_file_runs_in_a_pool(tmp_path):
    study = Study("town", f"{HERE / 'toy_model.py'}:TownModel", replications=2)
    assert study.run(tmp_path, workers=2).manifest["runs"]["finished"] == 2


def test_a_class_that_holds_what_cannot_travel_is_refused_with_the_remedy(toy, tmp_path):
    class Locked(toy.TownModel):
        lock = threading.Lock()

    (run, *_) = Study("town", Locked).runs()
    with pytest.raises(ScenarioError) as caught:
        pack(run)
    assert "Locked cannot travel to a worker process" in str(caught.value)
    assert "model = 'path/file.py:Class'" in str(caught.value)
    with pytest.raises(ScenarioError, match="cannot travel"):
        Study("town", Locked, replications=2).run(tmp_path, workers=2)
    assert Study("town", Locked, replications=2).run(tmp_path).manifest["runs"]["finished"] == 2
