"""The draft of the ODD: everything that the code knows, and marks for what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from abm.cli.app import app
from abm.errors import ScenarioError
from abm.studies.odd import TO_WRITE, draft_odd
from abm.studies.odd_simulator import draft_simulators
from abm.studies.odd_source import draws, modules
from abm.studies.registry import resolve

VILLAGE = f"{Path(__file__).parent / 'village.py'}:VillageModel"


@pytest.mark.parametrize("model", ["opinion_network", VILLAGE])
def test_the_draft_has_every_parameter_question_and_prompt(model):
    text, cls = draft_odd(model), resolve(model)
    assert [p.name for p in cls.Scenario.parameters() if f"`{p.name}`" not in text] == []
    for question in cls.questions:
        assert f"### {question.id}, version {question.version}" in text
        assert all(block.strip() in text for block in question.template.blocks)
        assert f"decide:{question.id}" in text


def test_the_seven_headings_and_the_section_on_decisions_are_there():
    text = draft_odd(VILLAGE)
    assert [f"## {n}." in text for n in range(1, 9)] == [True] * 8


def test_what_a_users_own_model_draws_and_does_is_read_from_its_file():
    text = draft_odd(VILLAGE)
    assert "| incomes | seeds.population | village.py:" in text
    assert "for ever:\n  self.wait(1.0)\n  self.decide(VOTE)" in text
    assert "**Villager** (12 at the start). Somebody who votes every day." in text
    assert "`vote.yes`" in text
    assert "what the agent knows: What a villager knows" in text


def test_of_a_package_with_several_models_only_what_this_one_imports_is_read(tmp_path, monkeypatch):
    package = tmp_path / "two_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text(
        "import abm\nfrom .wind import blow\nclass One(abm.Model): ...\n"
    )
    (package / "wind.py").write_text('def blow(rng):\n    return rng.chance("gusts", 0)\n')
    (package / "other.py").write_text('def sink(rng):\n    return rng.chance("waves", 0)\n')
    monkeypatch.syspath_prepend(tmp_path)
    from two_models.one import One

    assert [path.name for path in modules(One)] == ["one.py", "wind.py"]
    assert [draw.purpose for draw in draws(One)] == ["gusts"]


def test_the_columns_and_the_network_of_a_population_are_described():
    text = draft_odd("opinion_network")
    assert "| `opinion` | float64 |" in text
    assert "**Network**" in text


def test_cohorts_and_processes_are_among_the_processes():
    text = draft_odd("opinion_network")
    overview = text[text.index("## 3. ") : text.index("## 4. ")]
    assert "**ReadingCohort**, " in overview
    assert "Moves the opinions and public stances of rule citizens" in overview
    assert "in a loop:\n  self.process(run_campaign(self, campaign))" in overview


def test_a_cohort_of_the_library_is_told_with_its_rule(tmp_path):
    file = tmp_path / "clicks.py"
    file.write_text(
        "import numpy as np\nimport abm\nfrom abm import Scenario, parameter\n"
        "from abm.kernels import PoissonCohort\nfrom abm.population import Population\n\n\n"
        "def click(i, now, state, p):\n    state[0][i] += 1\n\n\n"
        "class Quiet(Scenario):\n    duration: float = parameter(1.0, gt=0)\n\n\n"
        "class Clicks(abm.Model):\n    Scenario = Quiet\n"
        "    def __init__(self, scenario, *, seeds, policies=None):\n"
        "        super().__init__(seed=seeds.chance)\n"
        "        self.people = Population(self, clicks=np.zeros(5, np.int64))\n"
        "        cohort = PoissonCohort(click, (self.people['clicks'],), rate=1.0, seed=1)\n"
        "        self.people.attach(cohort)\n"
    )
    text = draft_odd(f"{file}:Clicks")
    assert "**PoissonCohort** acts in columns, on the same clock: the rule `click` (" in text
    assert "self.people.attach(cohort)" in text


def test_what_only_a_person_can_say_is_marked():
    text = draft_odd(VILLAGE)
    assert text.count(TO_WRITE) > 10
    assert f"| `tax` | 0.2 | — | 0 <= tax <= 0.5 | share of income | {TO_WRITE} |" in text


def test_a_model_that_cannot_be_built_is_still_drafted(tmp_path):
    file = tmp_path / "needy.py"
    file.write_text(
        "import abm\nfrom abm import Scenario, parameter\n\n\n"
        "class Needs(Scenario):\n    duration: float = parameter(1.0, gt=0)\n"
        "    size: int = parameter(ge=1, doc='must be given')\n\n\n"
        "class Needy(abm.Model):\n    Scenario = Needs\n"
        "    def __init__(self, scenario, *, seeds, policies=None):\n"
        "        super().__init__(seed=seeds.chance)\n"
    )
    text = draft_odd(f"{file}:Needy")
    assert "could not be built" in text
    assert "`size`" in text


def test_the_command_never_replaces_what_somebody_wrote(tmp_path):
    out = tmp_path / "ODD.md"
    first = CliRunner().invoke(app, ["odd", VILLAGE, "--out", str(out)])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(app, ["odd", VILLAGE, "--out", str(out)])
    assert isinstance(again.exception, ScenarioError)
    assert "never replaces" in str(again.exception)


def test_a_folder_of_simulators_is_described_from_its_calibrations():
    done = CliRunner().invoke(app, ["odd", "textbook"])
    assert done.exit_code == 0, done.output
    assert done.output.count("# ODD: textbook.") == 2
    assert done.output.count("## 8. Decisions (ODD+D)") == 2
    assert "| `infection` | log_uniform = [0.2, 5.0] | per day |" in done.output
    assert "| epidemic | seed | sir.py:" in done.output
    assert "| `n_people` | 500 |" in done.output
    one = CliRunner().invoke(app, ["odd", "textbook/sir_planted"])
    assert one.output.count("# ODD: ") == 1
    assert "school" not in one.output.split("## 5.")[1].split("## 7.")[0]


def test_a_study_of_a_family_is_named_as_elsewhere():
    done = CliRunner().invoke(app, ["odd", "opinion_network/preset_small"])
    assert done.exit_code == 0, done.output
    assert "# ODD: OpinionNetwork" in done.output


def test_a_simulator_that_is_not_there_is_named(tmp_path):
    file = tmp_path / "lost.toml"
    file.write_text('[calibration]\nname = "x"\n[simulator]\nfunction = "gone.py:run"\n')
    with pytest.raises(ScenarioError, match=r"gone\.py"):
        draft_simulators([file])
