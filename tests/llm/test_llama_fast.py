"""`fast` answers differ from `strict` ones by rounding only."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from backend_contract import total_variation

from abm.llm import LlamaCpp
from abm.llm.llamacpp import turns
from abm.llm.llamacpp.fast import waves
from abm.llm.llamacpp.layout import Layout
from abm.questions import Prompt, TextConstraint

pytestmark = pytest.mark.llama

WORDS = ["you", "are", "the", "friends", "read", "your", "post", "and", "park", "age", "topic"]


def test_total_variation_to_strict_is_a_matter_of_rounding(gguf_files):
    """99th percentile over 1,000 prompts of an F16 model with random weights (seed 11).

    In the layout that `fast` chooses by itself, and in the smallest and largest that it can.
    """
    draw = random.Random(11)
    shared = [" ".join(draw.choices(WORDS, k=60)) + "\n" for _ in range(3)]
    prompts = [
        Prompt.plain(draw.choice(shared), " ".join(draw.choices(WORDS, k=draw.randint(5, 50))))
        for _ in range(1000)
    ]
    menus = [[*"1234567"] if k % 2 else ["yes", "no"] for k in range(1000)]
    with (
        LlamaCpp(gguf_files["F16"], n_threads=1) as strict,
        LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast") as fast,
    ):
        exact = strict.score(prompts, menus)
        for layout in (fast.layout, Layout(False, 64, 8, "given"), Layout(False, 1024, 8, "given")):
            fast._layout = layout
            found = fast.score(prompts, menus)
            distances = [_within_menu(a, b) for a, b in zip(exact, found, strict=True)]
            assert np.quantile(distances, 0.99) < 2e-3, layout
            assert max(distances) > 0 or 0 in layout.waves.values(), layout


def test_flash_attention_is_tried_with_quantised_weights_only(gguf_files, tmp_path, monkeypatch):
    """Its sums in half precision would break the bound of F16 weights."""
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    monkeypatch.setattr(turns, "_LONG", 0.0)  # two turns are enough to see what is tried
    tried = {}
    for weights in ("F16", "Q8_0"):
        with LlamaCpp(gguf_files[weights], n_threads=1, mode="fast") as model:
            assert model.layout.source == "measured"
            layout = model.layout
            tried[weights] = {name.split()[0].strip(",") for name in layout.tokens_per_second}
            assert {name.split()[0] for name in layout.rows_per_second} == {"together", "apart"}
            best = max(layout.rows_per_second, key=lambda name: layout.rows_per_second[name])
            assert best == f"{'apart' if layout.apart else 'together'} {layout.n_rows}"
    assert tried == {"F16": {"plain", "alone"}, "Q8_0": {"plain", "flash", "alone"}}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_prompts_go_one_at_a_time_where_that_is_as_fast(gguf_files, n_threads):
    """Then their scores are those of `strict`; short ones and undeclared beginnings go together."""
    draw = random.Random(15)
    first, own = (" ".join(draw.choices(WORDS, k=60)) + "\n" for _ in range(2))
    owns = [" ".join(draw.choices(WORDS, k=30)) for _ in range(12)]
    cases = {
        "alone": [Prompt.plain(first, text) for text in owns],
        "short": [Prompt.plain(first, text[:12]) for text in owns],
        "undeclared": [Prompt.plain(first, own + text) for text in owns],
        "without blocks": [Prompt.plain(first + text) for text in owns],
        "one": [Prompt.plain(first, owns[0])],
    }
    for name, prompts in cases.items():
        menus = [[*"1234567"]] * len(prompts)
        with (
            LlamaCpp(gguf_files["F16"], n_threads=1) as strict,
            LlamaCpp(gguf_files["F16"], n_threads=n_threads, mode="fast") as fast,
        ):
            waves = {"8 after 96": 128, "40 after 96": 0}
            fast._layout = Layout(False, 128, 8, "given", waves=waves)
            exact, found = strict.score(prompts, menus), fast.score(prompts, menus)
            assert {kind.split()[0] for kind in fast._contexts} == {
                "strict" if name == "alone" else "fast"
            }, name
        assert found == exact or name != "alone"
        assert max(_within_menu(a, b) for a, b in zip(exact, found, strict=True)) < 2e-3


@pytest.mark.parametrize(("n_live", "n_prompts"), [(85, 3), (150, 2), (220, 3), (300, 3)])
def test_a_wave_ends_before_the_cells_that_every_token_attends_to(n_live, n_prompts):
    """Prompts of 47 tokens: 85 + 3 x 47 <= 256 cells, 150 + 2 x 47, 300 + 3 x 47 <= 512.

    A wave that is less than half full goes on: 220 + 47 tokens are beyond 256 anyhow.
    """
    context = SimpleNamespace(n_sequences=256, n_batch=2048, n_cells=4096)
    units = [SimpleNamespace(n_new=47, n_leaves=7, shared=n_live)] * 12
    sizes = {b - a for a, b in waves(units, 141, 256, context)}
    assert sizes == {n_prompts}


def _within_menu(a, b) -> float:
    """Total variation of the normalised distributions; the menus of a random model have no mass."""
    p, q = (np.exp(np.array(x.scores) - np.logaddexp.reduce(x.scores)) for x in (a, b))
    return float(np.abs(p - q).sum() / 2)


@pytest.mark.slow
def test_total_variation_of_the_embedded_model_over_a_thousand_prompts():
    """Situations of all its kinds (seed 12); within the menu and with the rest of the mass."""
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    from abm.llm import embedded
    from abm.llm.embedded.language.kinds import KINDS
    from abm.llm.embedded.language.sampling import sample

    draw = random.Random(12)
    kinds = [kind for kind in KINDS.values() if kind.menus]
    prompts, menus = [], []
    for k in range(1000):
        situation = sample(draw, kinds[k % len(kinds)])
        prompts.append(_prompt(situation))
        menus.append(situation.options)
    with (
        embedded.backend(n_threads=1) as strict,
        embedded.backend(n_threads=1, mode="fast") as fast,
    ):
        exact, free = strict.score(prompts, menus), fast.score(prompts, menus)
    assert all(a.status == b.status == "ok" for a, b in zip(exact, free, strict=True))
    for distance in (_within_menu, total_variation):
        found = [distance(a, b) for a, b in zip(exact, free, strict=True)]
        assert np.quantile(found, 0.99) < 2e-3


def _prompt(situation) -> Prompt:
    from abm.llm.embedded.language.grammar import blocks, field_texts
    from abm.llm.embedded.language.kinds import KINDS
    from abm.questions import Template

    kind = KINDS[situation.kind]
    template = Template(blocks(kind, situation.options, situation.paraphrase))
    return template.render(field_texts(situation))


def test_windows_of_any_size_give_the_same_answers_up_to_rounding(gguf_files):
    draw = random.Random(13)
    prompts = [
        Prompt.plain(*("park " * draw.randint(1, 9) for _ in range(draw.randint(1, 4))), "answer:")
        for _ in range(24)
    ]
    menus = [["yes", "no"], [*"1234567"], [f"{k} park" for k in range(50)]] * 8
    found = []
    for n_parallel in (1, 3, 32):
        with LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast", n_parallel=n_parallel) as model:
            model._layout = Layout(False, 512, 8, "given")
            found.append(model.score(prompts, menus))
    for one, other in zip(found[0] * 2, found[1] + found[2], strict=True):
        assert _within_menu(one, other) < 2e-3


def test_texts_written_together_are_those_written_alone_but_for_rounding(gguf_files):
    """Draws differ only where rounding crosses one; at most one text in eight (seed 14)."""
    prompts = [Prompt.plain("topic: parks\n", f"you are {k} ") for k in range(24)]
    bound = [TextConstraint(12)] * 24
    found = []
    for n_parallel in (1, 8):
        with LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast", n_parallel=n_parallel) as model:
            found.append(model.generate(prompts, bound, range(24)))
    same = sum(a.text == b.text for a, b in zip(*found, strict=True))
    assert same >= 21
