"""Study files: what is wrong is told with file, line, key, value and remedy, before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from abm.errors import ScenarioError
from abm.studies import Study
from abm.studies.toml import to_toml

TOY = Path(__file__).parent / "toy_model.py"

GOOD = f"""
[study]
name = "town"
model = "{TOY}:TownModel"
seed = 3
replications = 2

[scenario]
duration = 4.0

[arms.base]

[arms.open]
bound = 0.9

[answerers.rule]

[answerers.mixed]
citizen = "rule"

[failures]
default = "abort"

[[interventions]]
at = 2.0
change = {{ tone = "shrill" }}
arms = ["open"]
"""

WRONG = [
    ('name = "town"', 'name = "my town"', 3, "study.name = 'my town': expected a name of letters"),
    ('name = "town"\n', "\n", 2, "study.name = (nothing): expected a text; it is required"),
    ("seed = 3", "seed = -1", 5, "study.seed = -1: expected a whole number >= 0"),
    ("seed = 3", "sed = 3", 5, "study.sed = 3: unknown key; did you mean 'seed'?"),
    ("replications = 2", "replications = 0", 6, "study.replications = 0: expected a whole number"),
    ("replications = 2", 'replications = "2"', 6, "study.replications = '2': expected a whole"),
    ("seed = 3", 'varies = ["weather"]', 5, "'weather': expected one of 'chance', 'network'"),
    ("seed = 3", 'varies = "chance"', 5, "study.varies = 'chance': expected a list of texts"),
    ("seed = 3", 'executor = "pol"', 5, "did you mean 'pool'?"),
    ("seed = 3", "workers = 0", 5, "study.workers = 0: expected a whole number >= 1"),
    ("seed = 3", 'agents = "yes"', 5, "study.agents = 'yes': expected true or false"),
    ("[scenario]", "[calibration]", 8, "this file is a calibration and no study; run it with `abm"),
    ("[scenario]", "[scenaro]", 8, "unknown table; did you mean 'scenario'?"),
    ("duration = 4.0", "duration = 0", 9, "scenario.duration: duration = 0, expected > 0 [day]"),
    ("duration = 4.0", 'duration = "4"', 9, "duration = '4', expected > 0"),
    ("duration = 4.0", "duratoin = 4.0", 9, "no parameter 'duratoin'; did you mean 'duration'?"),
    ("bound = 0.9", "bound = 1.4", 14, "bound = 1.4, expected 0 <= bound <= 1 (opinions live"),
    ("bound = 0.9", "bond = 0.9", 14, "Town has no parameter 'bond'; did you mean 'bound'?"),
    ("[arms.base]\n", "[arms]\nbase = 1\n", 12, "arms.base = 1: expected a table"),
    ('citizen = "rule"', 'citzen = "rule"', 19, "no role 'citzen'; did you mean 'citizen'?"),
    ('citizen = "rule"', 'citizen = "rul"', 19, "answerers.mixed.citizen: 'rul', expected 'rule'"),
    ('citizen = "rule"', 'citizen = "x.gguf"', 19, "there is none at"),
    ('citizen = "rule"', "citizen = 3", 19, "answerers.mixed.citizen: 3, expected 'rule'"),
    (
        'citizen = "rule"',
        'citizen = { backend = "embedded", coverage_floor = 2 }',
        19,
        "coverage_floor = 2, expected 0 <= coverage_floor <= 1",
    ),
    (
        'citizen = "rule"',
        'citizen = { backend = "embedded", temperature = 0 }',
        19,
        "temperature = 0.0, expected a finite number > 0",
    ),
    ('default = "abort"', 'default = "stop"', 22, "handling 'stop', expected 'abort', 'skip'"),
    ('default = "abort"', 'timeot = "skip"', 22, "unknown status 'timeot'"),
    ('default = "abort"', 'default = "rule mayor"', 21, "'rule mayor': expected one of 'citizen'"),
    ("at = 2.0", "at = 9.0", 25, "at = 9.0: expected 0 <= at <= 4, the duration of arm 'open'"),
    ("at = 2.0", 'at = "noon"', 25, "at = 'noon': expected a simulated time"),
    ("at = 2.0\n", "\n", 24, "interventions[0].at: at = None: expected a simulated time"),
    ('tone = "shrill"', 'tune = "shrill"', 26, "TownModel has no such parameter; did you mean"),
    ('tone = "shrill"', "bound = 7", 26, "bound = 7, expected 0 <= bound <= 1"),
    ('tone = "shrill"', "duration = 7", 26, "duration sets up a run and cannot change during it"),
    ('change = { tone = "shrill" }', "", 24, "changes nothing"),
    ('change = { tone = "shrill" }', 'chance = { tone = "x" }', 26, "did you mean 'change'?"),
    ('change = { tone = "shrill" }', 'inject = { a = "x" }', 26, "no method inject"),
    ('change = { tone = "shrill" }', 'assign = { citizen = "x" }', 26, "expected one of 'citizen'"),
    ('arms = ["open"]', 'arms = ["opne"]', 27, "no such arm; did you mean 'open'?"),
    ('arms = ["open"]', 'arms = "open"', 27, "expected a list of arm names"),
    (":TownModel", ":TwonModel", 4, "the module has no 'TwonModel'; did you mean 'TownModel'?"),
    (f"{TOY}:TownModel", "town.py:Town", 4, "there is no file"),
    (f"{TOY}:TownModel", "no_such_module_x:Town", 4, "there is no module 'no_such_module_x'"),
    (f"{TOY}:TownModel", "opinion_netwrk", 4, "did you mean 'opinion_network'?"),
    (f"{TOY}:TownModel", f"{TOY}:Town", 4, "it is no abm.Model"),
    (f"{TOY}:TownModel", f"{TOY}:Bare", 4, "it names no scenario"),
    ("seed = 3", "seed = ", 5, "this is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), WRONG)
def test_a_mistake_is_told_with_file_line_key_and_value(tmp_path, old, new, line, message):
    assert old in GOOD
    file = tmp_path / "town.toml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ScenarioError) as caught:
        Study.from_toml(file)
    text = str(caught.value)
    assert message in text
    assert text.startswith(str(file))
    assert f"{file}:{line}:" in text or f"line {line}" in text


def test_the_file_itself_is_right(tmp_path):
    file = tmp_path / "town.toml"
    file.write_text(GOOD)
    study = Study.from_toml(file)
    assert [run.label for run in study.runs()][:4] == [
        "base/rule/r000",
        "base/mixed/r000",
        "open/rule/r000",
        "open/mixed/r000",
    ]
    assert study.scenarios["open"].bound == 0.9
    assert len(study.run_of("open", "rule").interventions) == 1
    assert len(study.run_of("base", "rule").interventions) == 0


def test_a_missing_file_is_told_with_its_neighbours(tmp_path):
    (tmp_path / "town.toml").write_text(GOOD)
    with pytest.raises(ScenarioError, match=r"no study file .*twon\.toml; there are town\.toml"):
        Study.from_toml(tmp_path / "twon.toml")


def test_a_study_without_arms_and_answerers_has_one_of_each(tmp_path):
    file = tmp_path / "town.toml"
    file.write_text(f'[study]\nname = "town"\nmodel = "{TOY}:TownModel"\n')
    assert [run.label for run in Study.from_toml(file).runs()] == ["base/rule/r000"]


def test_one_spec_can_stand_for_all_roles(tmp_path):
    file = tmp_path / "town.toml"
    head = f'[study]\nname = "town"\nmodel = "{TOY}:TownModel"\n'
    file.write_text(head + '[answerers]\nembedded = "embedded"\n')
    study = Study.from_toml(file)
    assert {r: s.described() for r, s in study.specs["embedded"].items()} == {
        "citizen": "embedded",
        "writer": "embedded",
    }
    assert all(
        "no evidence about people" in label for label in study.run_of("base", "embedded").labels
    )


def test_a_model_file_replaces_every_language_model_and_names_the_study(tmp_path):
    (tmp_path / "big.Q4.gguf").write_bytes(b"GGUF")
    file = tmp_path / "town.toml"
    roles = '[answerers.embedded]\ncitizen = "embedded"\n[answerers.rule]\n'
    roles += "[answerers.hot]\nciti" + 'zen = { backend = "embedded", temperature = 2 }\n'
    file.write_text(f'[study]\nname = "town"\nmodel = "{TOY}:TownModel"\n' + roles)
    study = Study.from_toml(file).with_model(tmp_path / "big.Q4.gguf")
    assert study.name == "town-big.Q4"
    assert list(study.specs) == ["big.Q4", "rule", "hot"]
    assert study.specs["big.Q4"]["citizen"].backend_name.endswith("big.Q4.gguf")
    assert study.specs["big.Q4"]["writer"].described() == "rule"
    assert study.specs["hot"]["citizen"].transform.temperature == 2
    assert study.run_of("base", "big.Q4").labels == []


def test_a_study_written_in_python_is_kept_as_a_file_that_reads_back_equal(tmp_path):
    (tmp_path / "town.toml").write_text(GOOD)
    study = Study.from_toml(tmp_path / "town.toml")
    (tmp_path / "again.toml").write_text(to_toml(study.to_dict()))
    again = Study.from_toml(tmp_path / "again.toml")
    assert [run.digest for run in again.runs()] == [run.digest for run in study.runs()]


def test_a_model_whose_import_fails_says_why(tmp_path):
    (tmp_path / "sick.py").write_text("import abm\nx = 1 / 0\n")
    (tmp_path / "s.toml").write_text('[study]\nname = "s"\nmodel = "sick.py:Town"\n')
    with pytest.raises(ScenarioError, match=r"s\.toml:3: .*importing it failed with ZeroDivision"):
        Study.from_toml(tmp_path / "s.toml")
