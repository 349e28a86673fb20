"""In `strict` mode an answer depends on its request and the fingerprint alone, to the bit."""

from __future__ import annotations

import random

import numpy as np
import pytest

from abm.llm import LlamaCpp
from abm.llm.llamacpp import contexts as contexts_module
from abm.questions import Prompt, TextConstraint

pytestmark = pytest.mark.llama

WORDS = ["yes", "no", "agree", "age", "you", "are", "the", "friends", "park", "10", "zebra", "-"]
MENUS = (
    ("yes", "no"),
    tuple(str(k) for k in range(1, 8)),
    ("1", "10", "12", "agree strongly", "agree"),
    tuple(f"{k}" for k in range(10, 46)),
)
GRAMMAR = 'root ::= ("yes" | "no") " " [a-z]+'


def text(draw: random.Random, n_words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(n_words))


def questions(draw: random.Random, n: int) -> list[Prompt]:
    """Prompts of two to four blocks that share first blocks; some blocks are empty or one token."""
    scenarios = [text(draw, 30) + "\n" for _ in range(2)]
    asked = [text(draw, 12) + "\n" for _ in range(3)]
    found = []
    for _ in range(n):
        end = draw.choice([" answer:", "\n", "a"])
        blocks = [
            draw.choice(scenarios),
            draw.choice(asked),
            text(draw, draw.choice([0, 1, 5, 40])),
            draw.choice(["", text(draw, draw.choice([1, 20, 60]))]) + end,
        ]
        found.append(Prompt.plain(*blocks[: draw.choice([2, 3, 4, 4, 4])]))
    return found


@pytest.fixture(scope="module", params=["F16", "Q8_0"])
def reference(request, gguf_files):
    """24 prompts, each asked of a fresh cache, one by one, on one thread (seed 5)."""
    draw = random.Random(5)
    prompts = questions(draw, 24)
    menus = [draw.choice(MENUS) for _ in prompts]
    seeds = [draw.randrange(2**32) for _ in prompts]
    binds = [draw.choice([TextConstraint(8), TextConstraint(8, grammar=GRAMMAR)]) for _ in prompts]
    with LlamaCpp(gguf_files[request.param], n_threads=1, resident_bytes=0) as model:
        scores, texts = [], []
        for k, prompt in enumerate(prompts):
            for context in model._contexts.values():
                context.clear()
            scores += model.score([prompt], [menus[k]])
            texts += model.generate([prompt], [binds[k]], [seeds[k]])
    return gguf_files[request.param], prompts, menus, seeds, binds, scores, texts


@pytest.mark.parametrize(
    ("n_threads", "resident_bytes"), [(1, 0), (1, 300_000), (2, 1 << 28), (3, 300_000)]
)
def test_batch_order_residents_and_threads_leave_every_bit(reference, n_threads, resident_bytes):
    file, prompts, menus, seeds, binds, scores, texts = reference
    draw = random.Random(n_threads * 1000 + resident_bytes)
    with LlamaCpp(file, n_threads=n_threads, resident_bytes=resident_bytes) as model:
        for size in (1, 2, 7, 20) if n_threads == 1 else (1, 5):
            asked = [draw.randrange(24) for _ in range(size)]
            found = model.score([prompts[k] for k in asked], [menus[k] for k in asked])
            assert found == [scores[k] for k in asked]
            made = model.generate(
                [prompts[k] for k in asked], [binds[k] for k in asked], [seeds[k] for k in asked]
            )
            assert made == [texts[k] for k in asked]
        assert (len(model._store) > 0) == (resident_bytes > 0)
        assert model._store.used <= resident_bytes


def test_an_answer_does_not_depend_on_which_others_were_cached(reference):
    """The ledger answers some requests of a batch, so that the backend sees the rest only."""
    file, prompts, menus, _, _, scores, _ = reference
    with LlamaCpp(file, n_threads=1) as model:
        for known in (0.3, 0.8):
            draw = random.Random(known)
            rest = [k for k in range(24) if draw.random() > known]
            found = model.score([prompts[k] for k in rest], [menus[k] for k in rest])
            assert found == [scores[k] for k in rest]


def test_the_size_of_the_context_leaves_every_bit(reference):
    file, prompts, menus, _, _, scores, _ = reference
    with LlamaCpp(file, n_threads=1, n_ctx=600) as model:
        assert model.score(prompts[:9], menus[:9]) == scores[:9]


def test_the_check_has_teeth(reference, monkeypatch):
    """Flash attention with cuts wherever a prefix happens to be shared does change bits."""
    file, prompts, menus, _, _, scores, _ = reference

    class Flashy(contexts_module.PathContext):
        def __init__(self, model, **options):
            super().__init__(model, **{**options, "flash_attention": True})

    monkeypatch.setattr(contexts_module, "PathContext", Flashy)
    with LlamaCpp(file, n_threads=1) as model:
        assert model.score(prompts, menus) != scores


def test_scores_are_the_chain_rule_of_a_plain_evaluation(reference):
    """Reference: the high-level API, every option by itself and in one piece.

    Tolerance 0.02 in the log for F16, 0.6 for 8 bits (kernels differ with the shape of a call).
    """
    from llama_cpp import Llama

    file, prompts, menus, _, _, scores, _ = reference
    tolerance = 0.6 if "q8" in file.name else 0.02
    plain = Llama(
        str(file), n_ctx=1024, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False
    )
    with LlamaCpp(file, n_threads=1) as model:
        for k in (0, 3, 7):
            _, tokens = model.as_sent(prompts[k])
            closed = model._tokenizer.prompt(prompts[k]).closed
            for option, score in zip(menus[k][:6], scores[k].scores, strict=False):
                follow = model._tokenizer.option(option, closed)
                plain.reset()
                plain.eval([*tokens, *follow])
                rows = plain.scores[len(tokens) - 1 : len(tokens) + len(follow)].astype(float)
                logs = rows - np.log(np.exp(rows - rows.max(1)[:, None]).sum(1))[:, None]
                logs -= rows.max(1)[:, None]
                expected = logs[np.arange(len(follow) + 1), [*follow, plain.token_eos()]].sum()
                assert score == pytest.approx(expected, abs=tolerance)
    plain.close()


def test_one_and_ten_share_no_mass(gguf_files):
    """P("1") with its end plus P("1" going on) is the mass of its first token, so 10 is apart."""
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        prompt = Prompt.plain("your answer ")
        alone = model.score([prompt], [["1", "2"]])[0]
        beside = model.score([prompt], [["1", "10", "12"]])[0]
        assert beside.scores[0] == pytest.approx(alone.scores[0], abs=2e-3)
        assert beside.coverage == pytest.approx(np.exp(beside.scores).sum())


def test_a_menu_longer_than_a_round_is_scored_like_a_short_one(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        prompt = Prompt.plain("topic\n", "answer:")
        long = [f"{k} and {'park ' * (k % 5)}" for k in range(90)]
        [all_at_once] = model.score([prompt], [long])
        few = model.score([prompt] * 3, [long[:2], long[40:42], long[88:]])
        found = [all_at_once.scores[k] for k in (0, 1, 40, 41, 88, 89)]
        assert found == pytest.approx([score for part in few for score in part.scores], abs=0.02)


def test_a_prompt_of_many_batches_is_scored_and_a_longer_one_overflows(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        long = Prompt.plain("topic\n", "park " * 250)
        longer = Prompt.plain("topic\n", "park " * 2000)
        assert len(model.as_sent(long)[1]) > 512
        first, failed, again = model.score([long, longer, long], [MENUS[0]] * 3)
        assert first == again
        assert first.status == "ok"
        assert failed.status == "context_overflow"
        assert "1024" in failed.detail
