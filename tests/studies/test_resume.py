"""A study killed at any moment resumes: the same results, and nothing is asked twice.

The study has two arms, two replications and a real model file (the embedded GGUF, read as a plain
GGUF). It is killed 20 times with SIGKILL, at moments drawn with a fixed seed: from outside after a
random time, inside a transaction, right after a commit, before a finished run is put in its place,
before the tables of the study are written. A killed folder is killed again or left to finish.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import abm
from abm.ledger import Ledger
from abm.studies import replay

HERE = Path(__file__).parent
N_KILLS = 20


class Nursery:
    """The warm process; `run` executes the study in `out` and returns the exit code."""

    def __init__(self, model_file: Path) -> None:
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py"), str(model_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self, out: Path, asked: Path, death=None) -> int:
        order = {"out": str(out), "asked": str(asked), "death": death}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture
def nursery(tmp_path):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    model_file = tmp_path / "model.gguf"
    shutil.copy(str(files("abm.llm.embedded") / "data" / "embedded.gguf"), model_file)
    made = Nursery(model_file)
    yield made
    made.close()


def committed(out: Path) -> set[str]:
    """Keys of the requests whose answers are in the study's ledger."""
    path = out / "town" / "ledger.sqlite"
    if not path.exists() or path.stat().st_size == 0:
        return set()
    with Ledger(path) as ledger:
        return {entry.request.key for _, entry in ledger.entries()}


def moment(chance: random.Random, n_answers: int, seconds: float) -> list:
    """When to die: half of the kills come from outside, at a random time."""
    kind = chance.choice(["seconds"] * 4 + ["row", "commit", "publish", "gather"])
    if kind == "seconds":
        return ["seconds", chance.uniform(0.0, seconds)]
    if kind == "row":
        return ["row", chance.randint(1, n_answers)]
    if kind == "commit":
        return ["commit", chance.randint(1, max(1, n_answers // 4))]
    return ["publish", chance.randint(1, 4)] if kind == "publish" else ["gather"]


@pytest.mark.slow
@pytest.mark.llama
def test_a_study_killed_at_20_random_moments_resumes_to_identical_results(nursery, tmp_path):
    whole, all_asked = tmp_path / "whole", tmp_path / "whole.asked"
    assert nursery.run(whole, all_asked) == 0
    reference = abm.load(whole / "town")
    requests = all_asked.read_text().split()
    everything = set(requests)
    assert len(requests) == len(everything) == len(committed(whole)) > 20
    chance, kills, attempt, before, out = random.Random(20261120), 0, 0, set(), tmp_path / "0"
    while kills < N_KILLS or before:
        attempt += 1
        assert attempt < 5 * N_KILLS, "kills come too late: nearly every execution ends before"
        asked = tmp_path / f"{attempt}.asked"
        death = moment(chance, len(everything), 0.5) if kills < N_KILLS else None
        code = nursery.run(out, asked, death)
        new = asked.read_text().split() if asked.exists() else []
        now = committed(out)
        assert before <= now
        assert not set(new) & before, "an answer that was committed has been asked again"
        if code == -9:
            kills += 1
            before = now
            continue
        assert code == 0
        assert sorted(new) == sorted(everything - before)
        done = abm.load(out / "town")
        assert done.manifest["runs"]["finished"] == 4
        for table in ("series", "agents", "outcomes"):
            assert_frame_equal(done.frame(table), reference.frame(table), check_exact=True)
        assert not list((out / "town").glob("**/.*partial*"))
        replay(done.run("open", "model", 1).folder, model=f"{HERE / 'toy_model.py'}:TownModel")
        out, before = tmp_path / str(attempt), set()
    assert kills == N_KILLS
