"""Damage: a corrupt ledger, a full disk, a bad model file, a second process. Nothing is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import abm
from abm.errors import LedgerError, ModelFileError, ScenarioError
from abm.ledger.lock import LockFile
from abm.studies import Study

HERE = Path(__file__).parent


def tables(done):
    return [done.frame(name) for name in ("series", "agents", "outcomes")]


def same(one, other):
    for left, right in zip(tables(one), tables(other), strict=True):
        assert_frame_equal(left, right, check_exact=True)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_corrupt_ledger_is_refused_and_left_as_it_is(toy, town, tmp_path):
    study = town(answerers={"p": toy.Parrot()}, replications=1)
    done = study.run(tmp_path)
    ledger = done.folder / "ledger.sqlite"
    damaged = bytearray(ledger.read_bytes())
    damaged[4096 : 4096 + 600] = b"\xff" * 600
    ledger.write_bytes(damaged)
    before = contents(done.folder)
    with pytest.raises(LedgerError, match="damaged"):
        town(answerers={"p": toy.Parrot()}, replications=2).run(tmp_path)
    assert contents(done.folder) == before


def test_without_its_corrupt_ledger_a_study_goes_on(toy, town, tmp_path):
    town(answerers={"p": toy.Parrot()}, replications=1).run(tmp_path / "a")
    (tmp_path / "a" / "town" / "ledger.sqlite").unlink()
    more = town(answerers={"p": toy.Parrot()}).run(tmp_path / "a")
    assert more.manifest["execution"]["executed"] == 2
    same(more, town(answerers={"p": toy.Parrot()}).run(tmp_path / "b"))


@pytest.mark.parametrize("where", ["series.parquet", "agents.parquet", "manifest.json"])
def test_a_full_disk_stops_the_study_and_the_next_call_goes_on(
    toy, town, tmp_path, monkeypatch, where
):
    study = town(answerers={"p": toy.Parrot()})
    whole = study.run(tmp_path / "whole")
    out = tmp_path / "out"
    calls = [0]

    def full(original):
        def write(self, *args, **given):
            if ".r0" in str(self) and self.name == where:
                calls[0] += 1
                if calls[0] == 3:
                    raise OSError(errno.ENOSPC, "No space left on device", str(self))
            return original(self, *args, **given)

        return write

    monkeypatch.setattr(Path, "write_bytes", full(Path.write_bytes))
    monkeypatch.setattr(Path, "write_text", full(Path.write_text))
    with pytest.raises(LedgerError, match=r"disk is full.*Everything finished before is intact"):
        study.run(out)
    assert len(list(out.glob("town/runs/*/*/r*/manifest.json"))) == 2
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(HERE))
    resumed = study.run(out)
    assert resumed.manifest["execution"]["executed"] == 2
    same(resumed, whole)


def test_a_ledger_on_a_full_disk_stops_the_study_and_not_just_one_run(
    toy, town, tmp_path, monkeypatch
):
    from abm.ledger import Ledger

    original, calls = Ledger.put_batch, [0]

    def full(self, *args):
        calls[0] += 1
        if calls[0] == 5:
            raise LedgerError(f"{self}: the disk is full")
        return original(self, *args)

    monkeypatch.setattr(Ledger, "put_batch", full)
    study = town(answerers={"p": toy.Parrot()})
    with pytest.raises(LedgerError, match="disk is full"):
        study.run(tmp_path)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(HERE))
    assert study.run(tmp_path).manifest["runs"]["finished"] == 4


@pytest.mark.llama
def test_a_truncated_or_foreign_model_file_is_refused_before_anything_runs(town, tmp_path):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    for name, content in (("cut.gguf", b"GGUF\x03\0\0\0\x09"), ("text.gguf", b"hello world")):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            town(answerers={"p": str(file)}).run(tmp_path)
        assert not list(tmp_path.glob("town/runs/*"))


def test_a_missing_model_file_is_refused_with_the_place_that_was_looked_at(town, tmp_path):
    with pytest.raises(
        ScenarioError, match=r"answerers\.p: 'none\.gguf', expected an existing GGUF"
    ):
        town(answerers={"p": "none.gguf"}, folder=tmp_path).run(tmp_path)


SECOND = """
import sys
sys.path.insert(0, {here!r})
import toy_model
from abm.studies import Study
Study("town", toy_model.TownModel, scenario={{"duration": 4.0}}).run({out!r})
"""


@pytest.mark.slow
def test_a_second_process_on_the_same_study_is_refused_by_the_name_of_the_first(town, tmp_path):
    done = town(replications=1, arms={"base": {}}, agents=False).run(tmp_path)
    before = contents(done.folder)
    lock = LockFile(done.folder / "lock", f"study folder {done.folder}")
    try:
        code = SECOND.format(here=str(HERE), out=str(tmp_path))
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    finally:
        lock.release()
    assert second.returncode == 1
    assert "LedgerError" in second.stderr
    assert f"in use by process {os.getpid()}" in second.stderr
    assert contents(done.folder) == before


def test_a_damaged_manifest_names_the_folder_to_remove(town, tmp_path):
    done = town().run(tmp_path)
    (done.run("base", "rule", 0).folder / "manifest.json").write_text('{"kind": "run", ')
    with pytest.raises(ScenarioError, match="Remove that folder and give the study's command"):
        town().run(tmp_path)


def test_a_damaged_series_is_told_when_it_is_read(town, tmp_path):
    done = town().run(tmp_path)
    file = done.run("base", "rule", 0).folder / "series.parquet"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ScenarioError, match=r"series\.parquet is damaged"):
        abm.load(file.parent).frame("series")


def test_a_model_file_that_changes_between_runs_is_flagged(toy, town, tmp_path):
    town(answerers={"p": toy.Parrot()}, replications=1).run(tmp_path)
    study = town(answerers={"p": toy.Parrot("parrot")})
    for run in tmp_path.glob("town/runs/*/p/r000/manifest.json"):
        run.write_text(
            run.read_text().replace('"fingerprint": "parrot:1|', '"fingerprint": "old:1|')
        )
    # a policy given in Python is known by its fingerprint alone
    replaced = town(answerers={"p": toy.Parrot("new")})
    with pytest.raises(ScenarioError, match="another study"):
        replaced.run(tmp_path)
    flags = " ".join(study.run(tmp_path).manifest["flags"])
    assert "answered by 2 different models in role 'citizen'" in flags


def test_a_study_in_a_folder_that_cannot_be_written_says_so(town, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ScenarioError, match="cannot hold results"):
        town().run(blocked)


def test_python_studies_are_checked_like_files(toy):
    with pytest.raises(ScenarioError, match=r"arms\.open\.bound: bound = 4"):
        Study("t", toy.TownModel, arms={"open": {"bound": 4}}).check()
