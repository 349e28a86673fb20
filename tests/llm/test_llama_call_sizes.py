"""Calls of few texts in `strict`: taken only where they give the bits of a full call."""

from __future__ import annotations

import numpy as np
import pytest

from abm.llm import LlamaCpp
from abm.llm.llamacpp.slots import Slots, _block, exact_sizes
from abm.questions import Prompt, TextConstraint

pytestmark = pytest.mark.llama

PROMPTS = [
    Prompt.plain("topic: parks\n", "park " * (k % 5) + f"{k % 7} answer:") for k in range(19)
]
LENGTHS = [1 + 5 * (k % 6) for k in range(19)]


@pytest.mark.parametrize(
    ("slots", "block"),
    [([0], (0, 2)), ([3], (2, 4)), ([1, 2], (0, 4)), ([4, 7], (4, 8)), ([3, 4], (0, 8))],
)
def test_a_call_has_the_smallest_block_of_slots_that_holds_its_texts(slots, block):
    assert _block(slots, (2, 4, 8)) == block
    assert _block(slots, (8,)) == (0, 8)
    assert _block(slots, ()) == (slots[0], slots[-1] + 1)


@pytest.fixture(scope="module", params=["F16", "embedded"])
def full_calls(request, model_file):
    """A file, and 19 texts of 1 to 26 tokens from calls of eight rows alone."""
    file = model_file(request.param)
    with LlamaCpp(file, n_threads=1, n_parallel=8) as model:
        model._sizes = (8,)
        return file, written(model, range(19))


def written(model: LlamaCpp, which):
    bounds = [TextConstraint(LENGTHS[k]) for k in which]
    return list(model.generate([PROMPTS[k] for k in which], bounds, list(which)))


def test_few_texts_in_small_calls_are_those_of_full_calls(full_calls, monkeypatch):
    file, texts = full_calls
    blocks = []
    step = Slots.step

    def spied(self, slots, tokens, positions):
        blocks.append(_block(slots, self.sizes))
        return step(self, slots, tokens, positions)

    with LlamaCpp(file, n_threads=1, n_parallel=8) as model:
        assert written(model, [5]) == [texts[5]]  # the sizes are tried now
        assert model.statistics().tokens_evaluated == model.statistics().tree_nodes
        monkeypatch.setattr(Slots, "step", spied)
        for which in ([11], [0, 5, 17], range(4), range(19)):
            assert written(model, which) == [texts[k] for k in which]
        sizes = model._sizes
    assert sizes[-1] == 8
    assert {last - first for first, last in blocks} == set(sizes)


def test_a_size_that_moves_a_single_bit_is_not_taken(full_calls, monkeypatch):
    file, _ = full_calls
    step = Slots.step

    def moved(self, slots, tokens, positions):
        rows = step(self, slots, tokens, positions)
        if self.sizes == (4,) and positions[-1] > 8:
            rows[-1, 7] = np.nextafter(rows[-1, 7], np.float32(0))
        return rows

    with LlamaCpp(file, n_threads=1, n_parallel=8) as model:
        slots = Slots(model._model, n_slots=8, n_cells=256, n_batch=64, n_threads=1)
        expected = tuple(size for size in exact_sizes(slots, (2, 4)) if size != 4)
        monkeypatch.setattr(Slots, "step", moved)
        assert exact_sizes(slots, (2, 4)) == expected
        slots.free()


def test_weights_of_eight_bits_take_full_calls(gguf_files):
    with LlamaCpp(gguf_files["Q8_0"], n_threads=1, n_parallel=8) as model:
        written(model, [3])
        assert model._sizes == (8,)
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:  # a small model has two rows
        written(model, [3])
        assert model._sizes == (2,)
