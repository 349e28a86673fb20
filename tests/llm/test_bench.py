"""The benchmark's rows can be run, say what they compare, and judge themselves by their floors."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from abm.cli import main
from abm.llm.bench import Figure, Setting, rows, society
from abm.llm.bench.command import _layouts, measure, settings
from abm.llm.bench.main_job import lanes_filled
from abm.llm.bench.random_model import SHAPES, Shape, write_random_model
from abm.llm.llamacpp.layout import Layout


def test_a_figure_is_reached_on_its_side_of_the_floor():
    ratio = Figure("a", 1.1, "ratio", 1.2, "b", "c")
    assert ratio.reached is False
    assert Figure("a", 1.1, "ratio", 1.2, "b", "c", at_most=True).reached is True
    assert Figure("a", None, "ratio", 1.2, "b", "c").reached is None
    assert json.loads(json.dumps(ratio.as_dict()))["reached"] is False


def test_rows_have_names_of_their_own():
    assert {"tree", "choices", "reasoning", "prompt_speed", "texts", "strict_price"} <= set(rows())


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_have_whole_heads_and_the_size_of_their_name(name):
    shape = SHAPES[name]
    assert shape.width % shape.n_heads == shape.n_heads % shape.n_heads_kv == 0
    named = {"45M": 45e6, "0.5B": 0.5e9, "7B": 7e9}.get(name)
    if named:
        assert shape.n_parameters == pytest.approx(named, rel=0.1)


@pytest.mark.llama
def test_every_row_of_a_model_can_be_measured(tmp_path, monkeypatch):
    """With a tiny model and few prompts; the counts hold at any size, speeds are not judged."""
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("gguf", reason="writes a GGUF with the package gguf")
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    monkeypatch.setattr("abm.llm.llamacpp.turns._LONG", 0.0)  # two turns of a trial are enough
    file = write_random_model(tmp_path / "tiny.gguf", Shape(n_vocabulary=600), scale=0.7)
    setting = Setting("tiny", file, False, 1, tmp_path, 0.001, 1)
    found = {
        figure.name: figure
        for name in ("tree", "choices", "reasoning", "prompt_speed", "texts", "strict_price")
        for figure in measure(setting, name)
    }
    assert len(found) == 14
    for figure in found.values():
        assert figure.value is not None, figure.how
        assert figure.value > 0
        assert figure.alternative
        json.dumps(figure.as_dict())
    assert all(f.reached for f in found.values() if f.at_most)
    [layout, variation] = _layouts(list(found.values()))
    assert layout.startswith("layout of fast, tiny: measured on a ")
    assert "total variation of fast to strict, tiny: mean " in variation


def test_a_layout_from_a_busy_machine_is_told_with_the_remedy():
    layout = Layout(source="measured", spread=0.4, others=0.5, busy=True).as_dict()
    figure = Figure("a", 1.0, "ratio", None, "b", "c", model="m", detail={"layout": layout})
    [line] = _layouts([figure])
    assert line == (
        "layout of fast, m: measured on a busy machine (best turns within 40%, others used 50% of "
        "the CPUs); --remeasure measures it anew"
    )


def test_lanes_are_filled_by_what_an_instant_asks_for_the_first_time():
    """One, none and three new prompts: 4 prompts in 2 + 4 places of two lanes, 4 + 4 of four."""

    def ask(name):
        return SimpleNamespace(prompt=name, question=SimpleNamespace(options=("yes", "no")))

    batches = [[ask("a"), ask("a")], [ask("a")], [ask("b"), ask("c"), ask("d")]]
    assert [lanes_filled(batches, n) for n in (1, 2, 4)] == [1, 4 / 6, 4 / 8]


def test_memory_is_told_by_shares_of_the_questions(tmp_path):
    setting = Setting("none", tmp_path / "none.gguf", False, 1, tmp_path, 0.001, 1)
    with society._recorded(setting, society._flat()) as policy:
        figure = society._growth("ledger", policy, 800)
        assert policy.counts.distinct == 1000
    assert list(figure.detail["MB further on"]) == ["10 %", "50 %", "100 %"]
    assert figure.detail["questions"] == 800
    assert figure.unit == "B"


def test_the_embedded_model_can_be_measured_alone():
    with settings(Path("embedded"), 2, 1.0, 1) as chosen:
        [setting] = chosen
        assert (setting.model, setting.embedded, setting.path.exists()) == ("embedded", True, True)


@pytest.mark.llama
def test_without_a_number_of_threads_a_model_has_what_it_takes_by_itself():
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    from abm.llm import embedded

    with settings(Path("embedded"), None, 1.0, 1) as [setting], embedded.backend() as model:
        assert setting.n_threads == model.info["n_threads"]


def test_the_command_refuses_an_unknown_row(capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "llm", "--only", "choises"])
    assert left.value.code == 2
    assert "choises" in capsys.readouterr().err
