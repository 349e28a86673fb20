"""The layout of `fast`: chosen by the best of several turns, never slower than `strict`'s."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.llm import LlamaCpp
from abm.llm.llamacpp import loaded, trials
from abm.llm.llamacpp.layout import KINDS, TRIES, Layout, chosen, forget_layouts
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.trials import Kind, Machine, Wave
from abm.llm.llamacpp.turns import Turns, in_turns
from abm.questions import Prompt

WAVES = [
    Wave(flash, size, kind) for flash in (False, True) for kind in KINDS for size in KINDS[kind]
]
TEXTS = Turns({("together", 4): 5.0, ("apart", 2): 4.0}, 0.0, 3)


def timed(costs):
    """Acts of scripted seconds per turn, the clock that they move, and what was done."""
    now, turn = [0.0], dict.fromkeys(costs, 0)

    def act(name):
        def run():
            script = costs[name]
            now[0] += script[min(turn[name], len(script) - 1)]
            turn[name] += 1
            return 60

        return run

    return {name: act(name) for name in costs}, lambda: now[0], turn


def test_the_faster_candidate_wins_although_others_compute_in_most_turns():
    """`b` needs 2 seconds and `a` 3; each is disturbed, `b` in its first three turns."""
    acts, clock, turns = timed({"a": [3, 6, 3], "b": [6, 5, 4, 2, 2]})
    found = in_turns(acts, clock, elapsed=lambda: 0.0)
    assert found.per_second == {"a": 20, "b": 30}
    assert found.spread == 0
    assert turns == {"a": 5, "b": 5} == dict.fromkeys("ab", found.n_turns)


def test_turns_take_turns_and_are_not_taken_for_ever():
    """Where no two turns agree there are six, and the spread says so; two if they take long."""
    seen = []
    acts, clock, _ = timed({"a": [2**k for k in range(9, 0, -1)], "b": [1]})
    found = in_turns(acts, clock, seen.append, elapsed=lambda: 0.0)
    assert seen == ["a", "b"] * 6
    assert found.spread == 1.0
    acts, clock, _ = timed({"a": [20, 10], "b": [1]})
    assert in_turns(acts, clock, elapsed=clock).n_turns == 2


@given(st.lists(st.floats(1, 1e5), min_size=len(WAVES) + len(KINDS), max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_kind_of_prompts_that_was_tried_is_slower_than_in_strict(numbers):
    """Speeds are scripted. Waves are chosen where they gain a twentieth over one at a time."""
    speeds = dict(zip([*WAVES, *KINDS], numbers, strict=False))
    layout = chosen(Turns(speeds, 0.0, 3), TEXTS)
    for kind in KINDS:
        size = layout.wave(kind.own, kind.shared)
        best = max(speeds[wave] for wave in WAVES if wave[::2] == (layout.flash, kind))
        if size:
            assert speeds[layout.flash, size, kind] == best > 1.05 * speeds[kind]
        else:
            assert best <= 1.05 * speeds[kind]
    assert (layout.n_rows, layout.apart) == (4, False)


def test_kinds_are_told_apart_by_what_prompts_share_and_what_is_their_own():
    waves = {str(kind): k for k, kind in enumerate(KINDS)}
    layout = Layout(waves=waves)
    for kind in KINDS:
        assert layout.wave(kind.own, kind.shared) == waves[str(kind)]
    assert layout.wave(12, 1000) == waves["8 after 320"]
    assert layout.wave(400, 0) == waves["200 after 96"]


@pytest.mark.llama
def test_a_trial_evaluates_its_prompts_as_they_will_be(gguf_files):
    """After the beginning, all of a wave in one call; or a call for each prompt."""
    model = Model(gguf_files["F16"], 0)
    machine = Machine(model, 1, 1024)
    try:
        for kind, size, n_prompts in ((Kind(8, 96), 141, 9), (Kind(8, 320), 141, 9)):
            jobs = machine._jobs(kind, size)
            assert len(jobs) == n_prompts
            options = {"n_cells": 2048, "n_sequences": 256, "n_batch": 2048}
            with machine._made(trials.TreeContext, **options) as tree:
                trials.begin(tree, machine._shared(kind))
                before = tree.counts.statistics()
                machine._wave(tree, jobs)()
                done = tree.counts.statistics() - before
            assert (done.calls, done.waves) == (1, 1)
            assert done.tokens_evaluated == n_prompts * (8 + trials.OPTIONS)
            options = {"n_cells": 1024, "n_sequences": 32, "n_batch": 512}
            with machine._made(trials.PathContext, **options) as path:
                path.go_to(machine._shared(kind), 1)
                before = path.counts.statistics()
                machine._single(path, jobs)()
                done = path.counts.statistics() - before
            assert done.calls == n_prompts
            assert done.tokens_evaluated == n_prompts * (8 + trials.OPTIONS)
    finally:
        model.free()


@pytest.mark.llama
@pytest.mark.parametrize("quiet_at", [1, 2, 9])
def test_a_layout_from_a_busy_machine_is_measured_again_by_later_processes(
    gguf_files, tmp_path, monkeypatch, quiet_at
):
    """Until it is quiet, three times at most; the quieter measurement counts."""
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    spreads, measured = [0.5, 0.3, 0.4], []

    def measure(*_):
        k = len(measured)
        measured.append(k)
        busy = len(measured) < quiet_at
        return Layout(n_tokens=100 + k, source="measured", spread=spreads[k] * busy, busy=busy)

    monkeypatch.setattr(loaded, "measure_layout", measure)
    for _ in range(5):
        monkeypatch.setattr(loaded, "_MEASURED", set())  # as in another process
        for _ in range(2):
            with LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast") as model:
                layout = model.layout
    assert len(measured) == layout.tries == min(quiet_at, TRIES)
    assert (layout.busy, layout.n_tokens) == (
        (True, 101) if quiet_at == 9 else (False, 99 + quiet_at)
    )
    with LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast") as model:
        assert model.info["layout"]["busy"] is layout.busy


@pytest.mark.llama
def test_forgotten_layouts_are_measured_anew_and_strict_does_not_notice(
    gguf_files, tmp_path, monkeypatch
):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    measured = []
    monkeypatch.setattr(
        loaded, "measure_layout", lambda *_: measured.append(1) or Layout(source="measured")
    )
    draw = random.Random(3)
    prompts = [Prompt.plain("post\n", "park " * draw.randint(1, 9)) for _ in range(6)]
    answers = []
    for forget in (False, False, True):
        assert forget_layouts() == 1 if forget else True
        for mode in ("strict", "fast"):
            with LlamaCpp(gguf_files["F16"], n_threads=1, mode=mode) as model:
                if mode == "fast":
                    assert model.layout.source == "measured"
                else:
                    answers.append(model.score(prompts, [["yes", "no"]] * 6))
    assert len(measured) == 2
    assert answers[0] == answers[1] == answers[2]
