"""The command line: what a newcomer reads, what each command does, and how it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

import abm
import abm.cli
from abm.cli.app import app
from abm.cli.errors import guarded

TOY = Path(__file__).parents[1] / "studies" / "toy_model.py"
COMMANDS = (
    "study", "run", "replay", "fork", "prompts", "models", "embedded", "plan", "audit", "odd",
    "calibrate", "compare", "figures", "report",
)  # fmt: skip

STUDY = f"""
[study]
name = "town"
model = "{TOY}:TownModel"
seed = 3
replications = 2

[scenario]
duration = 4.0

[arms.base]

[arms.open]
tone = "shrill"

[answerers.rule]
"""

SCRIPTED = """
[answerers.model]
citizen = { backend = "scripted", score = "toy_functions:score", name = "toy" }
"""

FUNCTIONS = """
def score(text, options):
    return [0.25 + 0.5 * ("shrill" in text), 0.25]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with the study `town.toml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "town.toml").write_text(STUDY)
    (tmp_path / "toy_functions.py").write_text(FUNCTIONS)
    yield tmp_path
    sys.modules.pop("toy_functions", None)


def test_the_first_page_names_every_command_and_how_to_start():
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    assert all(command in shown for command in COMMANDS)
    assert "abm models" in shown
    assert "abm study" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    assert f"Example:  abm {command}" in shown.output


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom abm.cli.errors import guarded\nguarded(['--help'])\n"
    code += "print([m for m in ('polars', 'pydantic', 'mesa', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_study_tells_its_progress_and_its_end_and_is_not_repeated(here, capsys):
    assert guarded(["study", "town.toml"]) == 0
    first = capsys.readouterr().out
    assert "4/4 runs" in first
    assert "4 of 4 runs finished (4 executed now" in first
    assert "flag: outcome nothing is nan (all runs)" in first
    assert "next: abm report runs/town\n" in first
    assert guarded(["study", "town.toml", "--no-report"]) == 0
    assert "4 of 4 runs finished (0 executed now" in capsys.readouterr().out
    assert abm.load("runs/town").frame("series").height == 20


def test_a_study_tells_what_was_asked_saved_and_failed(here, capsys):
    (here / "town.toml").write_text(STUDY + SCRIPTED)
    assert guarded(["study", "town.toml", "--out", "results"]) == 0
    shown = capsys.readouterr().out
    counts = abm.load("results/town").manifest["execution"]["answers"]["policy 0"]
    assert counts["asked"] > counts["inferred"] > 0
    assert f"{counts['asked']} requests asked, {counts['inferred']} inferred" in shown
    assert "0.0 %" in shown


def test_a_models_own_report_is_called_with_the_study_folder(here, capsys):
    (here / "reporting.py").write_text(
        f"import sys\nsys.path.insert(0, {str(TOY.parent)!r})\nimport toy_model\n"
        "class Told(toy_model.TownModel):\n"
        "    @classmethod\n"
        "    def report(cls, folder):\n"
        "        print('the report of', folder)\n"
    )
    text = STUDY.replace(f"{TOY}:TownModel", "reporting.py:Told")
    (here / "town.toml").write_text(text)
    assert guarded(["study", "town.toml"]) == 0
    assert "the report of runs/town" in capsys.readouterr().out


def test_failed_runs_give_exit_code_one_and_their_causes(here, capsys):
    (here / "town.toml").write_text(STUDY.replace('tone = "shrill"', "fail_at = 1.5"))
    assert guarded(["study", "town.toml"]) == 1
    shown = capsys.readouterr()
    assert "failed: open/rule/r001: ZeroDivisionError: the town burns" in shown.out
    assert "2 of 4 runs finished, 2 failed" in shown.out
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "twon.toml"], "no study file twon.toml; there are town.toml"),
        (["study", "town.toml", "--model", "big.gguf"], "expected an existing GGUF file"),
        (["study", "nowhere/study"], "no study file nowhere/study"),
        (["run", "nonsense"], "neither a study file nor a model"),
        (["run", "town.toml", "--set", "bond=1"], "did you mean 'bound'?"),
        (["run", "town.toml", "--set", "bound"], "expected NAME=VALUE"),
        (["run", "town.toml", "--arm", "opne"], "did you mean 'open'?"),
        (["run", "town.toml", "--answerer", "trth"], "'trth', expected 'rule', 'truth'"),
        (["replay", "runs"], "no run or study folder"),
        (["fork", "runs", "--at", "1"], "no run or study folder"),
        (["prompts", "town.toml", "--agent", "99"], "6 agents have the keys 0, 1, 2"),
        (["prompts", "town.toml", "--agent", "1", "--at", "9"], "expected at most 4"),
        (["prompts", "town.toml", "--agent", "1", "--question", "bam"], "did you mean 'ban'?"),
        (["models", "opinion_netwrk"], "did you mean 'opinion_network'?"),
        (["studdy"], "No such command"),
        (["study"], "Missing argument"),
        (["study", "town.toml", "--workers", "0"], "--workers"),
        (["study", "town.toml", "--model", "fake.gguf"], "asks no language model that it could"),
        (["run", "town.toml", "--model", "fake.gguf"], "asks no language model that it could"),
        (["run", "opinion_network", "--model", "fake.gguf"], "fake.gguf is not a GGUF file"),
        (["study", "town.toml", "--out", "fake.gguf"], "fake.gguf"),
        (["calibrate", "twon.toml"], "there is no calibration file twon.toml"),
        (["calibrate", "town.toml"], "town.toml:2: this file is a study and no calibration"),
        (["bench", "llm", "--model", "twon.gguf"], "model file twon.gguf does not exist"),
        (["report", "nowhere"], "no run or study folder"),
        (["report", "town.toml"], "town.toml is a file, expected a run or study folder"),
    ],
)
def test_bad_input_is_one_message_with_exit_code_two(here, capsys, arguments, message):
    (here / "fake.gguf").write_bytes(b"no model at all, " * 9)
    _refused(arguments, message, capsys)


def _refused(arguments, message, capsys):
    assert guarded(arguments) == 2
    shown = capsys.readouterr()
    assert message in " ".join(shown.err.split())
    assert "Traceback" not in shown.err
    assert "not expected" not in shown.err


def test_what_cannot_be_made_of_results_is_refused_by_name(here, capsys):
    guarded(["study", "town.toml"])
    shutil.copytree("runs/town/runs/base/rule/r000", "half")
    Path("half/manifest.json").write_text('{"kind": "run"}')
    shutil.copytree("runs/town/runs/base/rule/r000", "cut")
    for path in Path("cut").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:99])
    pair = ["compare", "runs/town:base", "runs/town:open"]
    capsys.readouterr()
    for arguments, message in [
        (["replay", "half"], "half/manifest.json is damaged: it does not say status, study, arm"),
        (["fork", "half", "--at", "1", "--set", "tone=shrill"], "manifest.json is damaged"),
        (["report", "half"], "manifest.json is damaged"),
        (["audit", "half", "--twin"], "manifest.json is damaged"),
        (["replay", "cut"], "series.parquet is damaged"),
        (["report", "cut"], ".parquet is damaged"),
        (["report", "runs/town:opne"], "its arms are ['base', 'open']"),
        (["report", "runs/town", "--level", "2"], "expected 0 < level < 1"),
        (["report", "runs/town", "--control", "opne"], "expected one of the arms"),
        (["figures", "runs/town", "--out", "town.toml"], "town.toml: File exists; give another"),
        (["compare", "runs/town", "runs/town"], "have runs in common"),
        ([*pair, "--out", "differences.pdf"], "ends in .csv, .md or .tex"),
        ([*pair, "--correction", "homl"], "correction = 'homl', expected holm"),
        ([*pair, "--margin", "small"], "--margin 'small', expected a number"),
    ]:
        _refused(arguments, message, capsys)


def test_debug_shows_where_an_error_came_from(here, capsys):
    assert guarded(["run", "nonsense", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_one_run_of_a_model_and_of_a_study(here, capsys):
    assert guarded(["run", f"{TOY}:TownModel", "-s", "duration=2", "-s", "n_citizens=4"]) == 0
    assert "yes" in capsys.readouterr().out
    (folder,) = here.glob("runs/TownModel.single/base-rule-r000-*")
    assert abm.load(folder).manifest["definition"]["scenario"]["n_citizens"] == 4
    arguments = ["run", "town.toml", "--arm", "open", "--replication", "1", "--set", "bound=0.7"]
    assert guarded(arguments) == 0
    (folder,) = here.glob("runs/town.single/open-rule-r001-*")
    stored = abm.load(folder)
    assert stored.manifest["definition"]["scenario"]["bound"] == 0.7
    assert stored.manifest["definition"]["scenario"]["tone"] == "shrill"
    assert guarded(["study", "town.toml"]) == 0
    seeds = abm.load("runs/town").run("base", "rule", 1).manifest["definition"]["seeds"]
    assert stored.manifest["definition"]["seeds"] == seeds


def test_a_failed_single_run_says_where_its_story_is(here, capsys):
    assert guarded(["run", "town.toml", "--set", "fail_at=1.5"]) == 1
    shown = capsys.readouterr().err
    assert "the town burns" in shown
    assert "manifest.json" in shown


def test_replay_and_fork_from_the_terminal(here, capsys):
    (here / "town.toml").write_text(STUDY + SCRIPTED)
    guarded(["study", "town.toml"])
    run = "runs/town/runs/base/model/r001"
    shutil.copytree(run, "copy")
    capsys.readouterr()
    assert guarded(["replay", "copy"]) == 0
    assert "identical to the bit: series (5 rows), 2 outcomes" in capsys.readouterr().out
    assert guarded(["fork", run, "--at", "2", "--set", "tone=shrill"]) == 0
    assert "equal to the bit before time 2" in capsys.readouterr().out
    assert guarded(["fork", run, "--at", "7", "--set", "tone=shrill"]) == 2
    assert "expected 0 <= at <= 4" in capsys.readouterr().err


def test_a_replay_that_differs_has_exit_code_one(here, capsys):
    guarded(["study", "town.toml"])
    path = Path("runs/town/runs/base/rule/r000/manifest.json")
    path.write_text(path.read_text().replace('"yes": ', '"yes": 1'))
    assert guarded(["replay", str(path.parent)]) == 1
    assert "outcome yes" in capsys.readouterr().err


def test_prompts_show_text_tokens_and_distribution_as_sent(here, capsys):
    (here / "town.toml").write_text(STUDY + SCRIPTED)
    arguments = ["prompts", "town.toml", "--agent", "3", "--at", "2", "--answerer", "model"]
    assert guarded([*arguments, "--arm", "open"]) == 0
    shown = capsys.readouterr().out
    assert "| The paper is shrill." in shown
    assert "asked of agent 3 at time 2, answered by 'citizen'" in shown
    assert "tokens" in shown
    assert "yes  0.7500" in shown
    assert "post (version 1)" in shown
    assert not Path("runs").exists()


@pytest.mark.llama
def test_any_study_runs_with_a_model_file_in_place_of_its_language_models(here, capsys):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    shutil.copy(str(files("abm.llm.embedded") / "data" / "embedded.gguf"), here / "tiny.gguf")
    answerer = "[answerers.embedded]\n"
    answerer += 'citizen = { backend = "embedded", coverage_floor = 0, n_threads = 1 }\n'
    short = STUDY.replace("duration = 4.0", "duration = 1.0")
    (here / "town.toml").write_text(short + answerer)
    arguments = ["study", "town.toml", "--model", "tiny.gguf", "--replications", "1"]
    assert guarded(arguments) == 0
    done = abm.load("runs/town-tiny")
    assert list(done.manifest["answerers"]) == ["rule", "tiny"]
    assert done.manifest["labels"] == []
    used = done.run("base", "tiny").manifest["answers"]["citizen"]
    assert used["asked"] > 0
    assert used["model"]["mode"] == "strict"
    assert "tiny" in capsys.readouterr().out


def test_models_are_listed_and_described(here, capsys):
    assert guarded(["models"]) == 0
    assert "opinion_network" in capsys.readouterr().out
    assert guarded(["models", f"{TOY}:TownModel"]) == 0
    shown = capsys.readouterr().out
    assert "0 <= bound <= 1" in shown
    assert "opinions live in [0, 1]" in shown
    assert "yes / no" in shown


def test_the_version_is_told(capsys):
    assert guarded(["--version"]) == 0
    assert capsys.readouterr().out == f"abm {abm.__version__}\n"


@pytest.mark.slow
def test_the_installed_command_works_in_any_folder_and_stops_on_ctrl_c(here):
    command = [sys.executable, "-c", "from abm.cli import main; main()"]
    listed = subprocess.run([*command, "models"], capture_output=True, text=True, check=True)
    assert "opinion_network" in listed.stdout
    slow = STUDY.replace("replications = 2", "replications = 400")
    (here / "town.toml").write_text(slow)
    with subprocess.Popen(
        [*command, "study", "town.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:
        while not list(here.glob("runs/town/runs/*/*/r001")):
            assert running.poll() is None
        running.send_signal(2)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command again to go on" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("3", "3")])
def test_commands_do_linear_algebra_with_one_thread_unless_told(monkeypatch, given, used):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")  # so that it is put back afterwards
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    with pytest.raises(SystemExit):
        abm.cli.main(["--version"])
    assert os.environ["OPENBLAS_NUM_THREADS"] == used
