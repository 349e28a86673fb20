"""Texts: bound by grammars and schemas, drawn from the model's distribution by their own seed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from abm.llm import LlamaCpp
from abm.llm.llamacpp.layout import Layout
from abm.questions import Prompt, Status, TextConstraint

pytestmark = pytest.mark.llama

PROMPT = Prompt.plain("topic: parks\n", "answer:")
SCHEMA = {
    "type": "object",
    "properties": {
        "stance": {"enum": ["agree", "disagree"]},
        "reason": {"type": "string", "maxLength": 12},
        "minimum": {"type": "boolean"},
    },
    "required": ["stance", "reason", "minimum"],
}


@pytest.fixture(scope="module")
def model(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1, n_parallel=8) as model:
        yield model


def write(model, n, **options):
    return model.generate([PROMPT] * n, [TextConstraint(**options)] * n, range(n))


def test_a_schema_holds_whatever_the_model_would_say(model):
    for made in write(model, 20, max_tokens=120, json_schema=json.dumps(SCHEMA)):
        assert made.status is Status.OK
        found = json.loads(made.text)
        assert found["stance"] in ("agree", "disagree")
        letters = found["reason"].replace("\N{REPLACEMENT CHARACTER}", "")  # a byte of a letter
        assert len(letters) <= 12
        assert isinstance(found["minimum"], bool)


def test_a_grammar_holds_whatever_the_model_would_say(model):
    made = write(model, 20, max_tokens=60, grammar='root ::= ("yes" | "no") " " [0-9]{2}')
    assert all(re.fullmatch(r"(yes|no) \d\d", text.text) for text in made)
    assert len({text.text for text in made}) > 10


def probabilities(model, prompt: Prompt) -> np.ndarray:
    _, tokens = model.as_sent(prompt)
    context = model._context("strict")
    context.go_to((), 1)
    context.put(tokens, 0, 0, 1)
    context.outputs[len(tokens) - 1] = 1
    context.run()
    row = context.logits(1)[0].astype(float)
    context.clear()
    return np.exp(row - np.logaddexp.reduce(row))


def first_letters(model, n: int, **options) -> dict[str, float]:
    texts = [made.text for made in write(model, n, max_tokens=1, **options)]
    return {letter: texts.count(letter) / n for letter in set(texts)}


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_first_tokens_come_with_the_models_probabilities(model, temperature):
    """600 seeds; each frequency within 4.5 standard errors (fails once in 1,000 new seeds)."""
    n = 600
    logits = np.log(probabilities(model, PROMPT)) / temperature
    p = np.exp(logits - np.logaddexp.reduce(logits))
    found = first_letters(model, n, temperature=temperature)
    for token in np.argsort(-p)[:20]:
        text = model._model.piece(int(token)).decode("utf-8", "replace")
        if text.strip() == text and len(text) == 1 and text.isascii():
            error = np.sqrt(p[token] * (1 - p[token]) / n)
            assert abs(found.get(text, 0) - p[token]) < 4.5 * error + 1 / n


def test_a_grammar_restricts_the_distribution_and_does_not_bend_it(model):
    """[a-e]: frequencies over 600 seeds against the restricted probabilities, 4.5 errors."""
    n = 600
    p = probabilities(model, PROMPT)
    letters = {letter: model._tokenizer._encode(letter, True)[0] for letter in "abcde"}
    mass = sum(p[token] for token in letters.values())
    found = first_letters(model, n, grammar="root ::= [a-e] [0-9]")
    assert set(found) <= set(letters)
    for letter, token in letters.items():
        share = p[token] / mass
        assert abs(found.get(letter, 0) - share) < 4.5 * np.sqrt(share * (1 - share) / n) + 1 / n


def test_temperature_zero_takes_the_most_probable_token(model):
    best = int(probabilities(model, PROMPT).argmax())
    for seed in range(3):
        [made] = model.generate([PROMPT], [TextConstraint(1, temperature=0)], [seed])
        assert made.text == model._model.piece(best).decode("utf-8", "replace").strip()


def test_a_text_without_end_is_truncated_and_keeps_its_words(model):
    [made] = write(model, 1, max_tokens=7, grammar='root ::= "park " root')
    assert made.status is Status.TRUNCATED
    assert made.text.startswith("park")
    assert made.tokens_out == 7


@pytest.mark.parametrize(
    "bad",
    [
        {"grammar": "root ::= ["},
        {"grammar": 'root ::= root "a"'},
        {"grammar": "root ::= missing"},
        {"json_schema": "{"},
        {"json_schema": json.dumps({"type": "integer", "minimum": 3})},
        {"json_schema": json.dumps({"items": {"type": "string", "not": {"const": "a"}}})},
    ],
)
def test_a_constraint_that_cannot_be_kept_is_invalid_and_hurts_no_other(model, bad):
    good = TextConstraint(5)
    made = model.generate([PROMPT] * 3, [good, TextConstraint(5, **bad), good], [1, 2, 3])
    assert made[1].status is Status.INVALID
    assert made[1].text is None
    assert "cannot be read" in made[1].detail
    assert [made[0], made[2]] == [
        model.generate([PROMPT], [good], [1])[0],
        model.generate([PROMPT], [good], [3])[0],
    ]


def test_prompt_and_answer_must_fit_the_context_together(model):
    [made] = model.generate([PROMPT], [TextConstraint(model.n_ctx)], [1])
    assert made.status is Status.CONTEXT_OVERFLOW
    assert str(model.n_ctx) in made.detail


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_texts_enter_as_others_end(gguf_files, mode):
    """30 texts of 1 to 24 tokens in at most 8 slots: fewer calls than one round after another."""
    lengths = [1 + 23 * (k % 5 == 0) for k in range(30)]
    bounds = [TextConstraint(n, grammar='root ::= "park " root') for n in lengths]
    prompts = [Prompt.plain("topic: parks\n", f"{k % 7} answer:") for k in range(30)]
    with LlamaCpp(gguf_files["F16"], n_threads=1, mode=mode, n_parallel=8) as model:
        model._layout = Layout(False, 512, 8, "given")
        made = model.generate(prompts, bounds, range(30))
        counted = model.statistics()
    assert [text.tokens_out for text in made] == lengths
    assert counted.tokens_written == sum(lengths)
    assert 1 < counted.most_sequences <= 8
    assert counted.tokens_evaluated <= 1.02 * counted.tree_nodes  # equal prompts once
    rounds_one_after_another = 6 * 23
    assert counted.calls < rounds_one_after_another


def test_a_text_that_ends_with_its_first_token_leaves_no_trace(model):
    """One of three: the others go on in a call in which its slot is free again."""
    bounds = [TextConstraint(n) for n in (9, 9, 1)]
    together = model.generate([PROMPT] * 3, bounds, [1, 2, 3])
    assert together[2].tokens_out == 1
    for k in range(3):
        assert model.generate([PROMPT], [bounds[k]], [k + 1])[0] == together[k]


def test_equal_prompts_get_texts_of_their_own_seeds(model):
    bound = TextConstraint(10)
    together = model.generate([PROMPT] * 12, [bound] * 12, [*range(6), *range(6)])
    assert together[:6] == together[6:]
    assert len({made.text for made in together}) > 3
    assert together[3] == model.generate([PROMPT], [bound], [3])[0]


def test_the_memory_for_texts_decides_how_many_are_written_at_once(gguf_files):
    """The bound is part of what `strict` promises to be equal for: it is in the fingerprint."""
    with LlamaCpp(gguf_files["F16"], n_threads=1) as single:
        assert "rows=2" in single.fingerprint  # a small model on a CPU
    options = {"n_threads": 1, "n_parallel": 8}
    with LlamaCpp(gguf_files["F16"], **options) as wide:
        cell = wide._model.cell_bytes
        assert "rows=8" in wide.fingerprint
    with LlamaCpp(gguf_files["F16"], **options, text_bytes=2 * 1024 * cell) as narrow:
        assert "rows=2" in narrow.fingerprint
        assert narrow.generate([PROMPT] * 5, [TextConstraint(4)] * 5, range(5))[4].tokens_out > 0
        assert narrow.memory()["cells"] <= 2 * 1024 * cell


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_memory_stays_flat_over_many_questions_and_texts(gguf_files):
    """Resident memory after 6,000 further questions and 600 texts grows by less than 8 MB."""
    prompts = [Prompt.plain("topic: parks\n", f"{k} you are\n", "answer:") for k in range(6000)]
    with LlamaCpp(gguf_files["F16"], n_threads=1, resident_bytes=1 << 20) as model:

        def ask(a: int, b: int) -> None:
            model.score(prompts[a:b], [["yes", "no"]] * (b - a))
            few = prompts[a:b:10]
            model.generate(few, [TextConstraint(3)] * len(few), range(len(few)))

        for a in range(0, 6000, 500):
            ask(a, a + 500)
        before = resident()
        for a in range(0, 6000, 500):
            ask(a, a + 500)
        assert resident() - before < 8e6
