"""Texts of `fast`: every draw is from the distribution of its own prompt and words."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from abm.llm import LlamaCpp
from abm.llm.llamacpp import fast_texts
from abm.llm.llamacpp.layout import Layout
from abm.questions import Prompt, Status, TextConstraint

pytestmark = pytest.mark.llama

WORDS = ["you", "are", "the", "friends", "read", "your", "post", "and", "park", "age", "topic"]
BAD = TextConstraint(5, grammar="root ::= [")


def loaded(gguf_files, n_rows: int, n_tokens: int = 64, **options) -> LlamaCpp:
    model = LlamaCpp(gguf_files["F16"], n_threads=1, mode="fast", **options)
    model._layout = Layout(False, n_tokens, n_rows, "given")
    return model


def crowd() -> tuple[list[Prompt], list[TextConstraint]]:
    """28 prompts: deep and shallow sharing, equal ones, beginnings of others, one of many tokens.

    Some cannot begin, among them the first and the last of their order.
    """
    draw = random.Random(5)
    firsts = ["", "topic: parks\n", "topic: parks\nyou read\n", " ".join(draw.choices(WORDS, k=40))]
    prompts = [
        Prompt.plain(draw.choice(firsts), " ".join(draw.choices(WORDS, k=draw.randint(1, 12))))
        for _ in range(18)
    ]
    long = " ".join(draw.choices(WORDS, k=150))
    prompts += [prompts[3], prompts[3], prompts[7], Prompt.plain(long), Prompt.plain(long + " age")]
    prompts += [Prompt.plain("\n"), Prompt.plain("your your your"), Prompt.plain("topic: parks\n")]
    prompts += [Prompt.plain("post park post"), Prompt.plain("post park post park age")]
    bounds = [TextConstraint(draw.randint(1, 7)) for _ in prompts]
    for bad in (5, 18, 23, 24, 26):  # the last is the beginning of the prompt after it
        bounds[bad] = BAD
    return prompts, bounds


def after(model: LlamaCpp, tokens: list[int]) -> np.ndarray:
    """The distribution after some tokens, evaluated by themselves."""
    context = model._context("strict")
    context.go_to((), 1)
    for start in range(0, len(tokens), context.n_batch):
        if context.filled:
            context.run()
        context.put(tuple(tokens[start : start + context.n_batch]), start, 0, 1)
    context.outputs[context.filled - 1] = 1
    context.run()
    found = shares(context.logits(1)[0])
    context.clear()
    return found


def shares(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(float) - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize(("n_rows", "cells"), [(1, 4096), (3, 512), (16, 4096), (16, 512)])
def test_every_draw_is_from_the_distribution_of_its_own_words(
    gguf_files, monkeypatch, n_rows, cells
):
    """Total variation to each prompt and its words so far, evaluated alone; F16 rounding only."""
    drawn = []
    original = fast_texts.draw

    def spy(drafts, logits, stops):
        for draft, row in zip(drafts, logits, strict=True):
            words = [token for block in draft.job.path for token in block] + draft.tokens
            drawn.append((words, shares(row)))
        original(drafts, logits, stops)

    monkeypatch.setattr(fast_texts, "draw", spy)
    prompts, bounds = crowd()
    with loaded(gguf_files, n_rows) as model:
        model.text_bytes = cells * model._model.cell_bytes
        made = model.generate(prompts, bounds, range(len(prompts)))
        assert model._contexts["text"].n_cells <= cells
        counted = model.statistics()
        assert all(np.abs(after(model, words) - p).sum() / 2 < 2e-3 for words, p in drawn)
    assert len(drawn) == sum(text.tokens_out for text in made)
    assert [text.status is Status.INVALID for text in made] == [bound is BAD for bound in bounds]
    assert counted.tokens_evaluated <= counted.tree_nodes
    assert counted.most_sequences <= n_rows


def test_the_cells_that_are_counted_are_those_of_the_distinct_beginnings(gguf_files, monkeypatch):
    """`link` is what a prompt shares with the one before it in the cache, after any departures."""
    checked = []
    original = fast_texts._Batch._round

    def spy(self, entering):
        beginnings = {one.tokens[:k] for one in self.going for k in range(1, one.length + 1)}
        checked.append(sum(one.length - one.link for one in self.going) == len(beginnings))
        original(self, entering)

    monkeypatch.setattr(fast_texts._Batch, "_round", spy)
    prompts, bounds = crowd()
    with loaded(gguf_files, 5) as model:
        model.generate(prompts, bounds, range(len(prompts)))
    assert len(checked) > 10
    assert all(checked)


def test_a_batch_gives_the_same_texts_again(gguf_files):
    """In a cache of the same size; with others asked before, and with its beginning resident."""
    prompts, bounds = crowd()
    seeds = range(len(prompts))
    with loaded(gguf_files, 4) as model, loaded(gguf_files, 4) as other:
        first = model.generate(prompts, bounds, seeds)
        assert other.generate(prompts[9:12], bounds[9:12], [7, 8, 9])
        assert other.generate(prompts, bounds, seeds) == first
        assert other.generate(prompts, bounds, seeds) == first
        lone = model.generate(prompts[12:13], bounds[12:13], [3])
        hits = other.statistics().prefix_hits
        for _ in range(3):
            assert other.generate(prompts[12:13], bounds[12:13], [3]) == lone
        assert other.statistics().prefix_hits > hits


@pytest.mark.parametrize("n_threads", [1, 2])
def test_texts_in_streams_of_their_own_are_those_written_alone_but_for_rounding(
    gguf_files, n_threads
):
    """Draws differ only where rounding crosses one; at most one text in eight (seed 16)."""
    draw = random.Random(16)
    prompts = [Prompt.plain("topic: parks\n", " ".join(draw.choices(WORDS, k=9)))] * 3
    prompts += [
        Prompt.plain("topic: parks\n", " ".join(draw.choices(WORDS, k=9))) for _ in "ab" * 9
    ]
    bounds = [TextConstraint(1 + k % 12) for k in range(21)]
    bounds[5] = BAD
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        lone = [model.generate([prompts[k]], [bounds[k]], [k])[0] for k in range(21)]
    with LlamaCpp(gguf_files["F16"], n_threads=n_threads, mode="fast") as model:
        model._layout = Layout(False, 128, 8, "given", apart=True)
        found = model.generate(prompts, bounds, range(21))
        assert model.generate(prompts, bounds, range(21)) == found
        assert model._contexts.keys() == {"apart", *["apart 1"] * (n_threads - 1)}
        assert model.statistics().most_sequences == 8
    assert sum(a.text == b.text for a, b in zip(lone, found, strict=True)) >= 18
    assert found[5].status is Status.INVALID


def test_texts_share_one_cache_where_streams_do_not_fit_or_prompts_are_mostly_shared(gguf_files):
    few, many = "topic: parks\n", " ".join(WORDS * 20) + "\n"
    bounds = [TextConstraint(4)] * 12
    with loaded(gguf_files, 8) as model:
        model._layout = Layout(False, 128, 8, "given", apart=True)
        for beginning, kind in ((few, "apart"), (many, "text"), (few, "apart")):
            model.generate(
                [Prompt.plain(beginning, f"age {k}") for k in range(12)], bounds, range(12)
            )
            assert model._contexts.keys() == {kind}
        model.text_bytes = 7 * 256 * model._model.cell_bytes
        model.generate([Prompt.plain(few, f"age {k}") for k in range(12)], bounds, range(12))
        assert model._contexts.keys() == {"text"}
        assert model.memory()["cells"] <= model.text_bytes


def test_prompts_enter_together(gguf_files):
    """64 prompts of about 30 own tokens after a shared beginning: about 512 tokens a call."""
    draw = random.Random(6)
    shared = " ".join(draw.choices(WORDS, k=40)) + "\n"
    prompts = [Prompt.plain(shared, " ".join(draw.choices(WORDS, k=15))) for _ in range(64)]
    with loaded(gguf_files, 64, 448) as model:
        made = model.generate(
            prompts, [TextConstraint(2, grammar="root ::= [a-z]+")] * 64, range(64)
        )
        counted = model.statistics()
    assert all(1 <= text.tokens_out <= 2 for text in made)
    assert counted.tokens_evaluated == counted.tree_nodes < counted.tokens_asked / 2
    assert counted.calls <= 3 + counted.tree_nodes / 448 * 1.2


def test_texts_wait_for_cells_that_others_may_still_need(gguf_files):
    """12 rows, but 256 cells: never more texts than fit with all their words."""
    prompts = [Prompt.plain(f"{k} " + "park " * 20) for k in range(12)]
    with loaded(gguf_files, 12) as model:
        model.text_bytes = 256 * model._model.cell_bytes
        made = model.generate(prompts, [TextConstraint(40)] * 12, range(12))
        counted = model.statistics()
    each = counted.tokens_asked / 12 + 40
    assert all(text.tokens_out for text in made)
    assert 1 < counted.most_sequences <= 256 / each < 12


def test_texts_that_end_with_their_first_token_make_room_for_others(gguf_files):
    prompts, _ = crowd()
    n = len(prompts)
    with loaded(gguf_files, 2) as model:
        every = np.arange(model._model.n_vocabulary)
        made = model._written(prompts, [TextConstraint(9)] * n, range(n), every)
    assert [(text.status, text.tokens_out, text.text) for text in made] == [(Status.OK, 1, "")] * n


def test_schemas_hold_in_parallel(gguf_files):
    schema = {"type": "object", "properties": {"say": {"enum": ["yes", "no"]}}, "required": ["say"]}
    bounds = [TextConstraint(40, json_schema=json.dumps(schema)), TextConstraint(6)] * 10
    prompts = [Prompt.plain("topic: parks\n", f"{k} answer:") for k in range(20)]
    with loaded(gguf_files, 6) as model:
        made = model.generate(prompts, bounds, range(20))
    assert {json.loads(text.text)["say"] for text in made[::2]} == {"yes", "no"}
    assert all(text.tokens_out <= 6 for text in made[1::2])


def test_the_largest_number_of_texts_leaves_a_sequence_for_the_trunk(gguf_files):
    prompts = [Prompt.plain(f"{k} answer:") for k in range(300)]
    with loaded(gguf_files, 1, n_parallel=256) as model:
        made = model.generate(prompts, [TextConstraint(1)] * 300, range(300))
        assert model.statistics().most_sequences <= 255
    assert all(text.tokens_out == 1 for text in made)
