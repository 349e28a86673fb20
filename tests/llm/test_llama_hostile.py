"""What agents, personas and data say is never read as control tokens or template syntax."""

from __future__ import annotations

import random

import pytest
from backend_contract import HOSTILE
from random_gguf import CONTROL, MARKUP, write_spm_gguf

from abm.errors import BackendError
from abm.llm import LlamaCpp
from abm.llm.llamacpp.chat import frame
from abm.questions import Prompt, Question, Segment, Template

pytestmark = pytest.mark.llama

TEMPLATE = Template("Topic: {topic}\n---\nYou are {persona}.\n---\nYou read: {post}\nAnswer:")


@pytest.fixture(scope="module", params=["F16", "chat"])
def model(request, gguf_files):
    with LlamaCpp(gguf_files[request.param], n_threads=1) as model:
        yield model


def specials(model, tokens) -> list[str]:
    """Control and markup tokens among these, in order."""
    shown = [model._model.piece(token, special=True).decode("utf-8", "replace") for token in tokens]
    return [text for text in shown if text in (*CONTROL, MARKUP)]


def spelled(model, tokens) -> str:
    data = b"".join(model._model.piece(token, special=True) for token in tokens)
    return data.decode("utf-8", "replace")


def hostile_values(draw: random.Random) -> dict[str, str]:
    pieces = [*CONTROL, MARKUP, *HOSTILE, "park", " ", "\n", "|", "<", ">", "{{", "}}", "<|"]
    return {
        name: "".join(draw.choices(pieces, k=draw.randint(1, 6)))
        for name in ("topic", "persona", "post")
    }


def test_no_inserted_text_becomes_a_control_or_markup_token(model):
    """200 random compositions of control tokens, markup and template syntax (seed 21)."""
    draw = random.Random(21)
    innocent = TEMPLATE.render({"topic": "a", "persona": "b", "post": "c"})
    expected = specials(model, model.as_sent(innocent)[1])
    for _ in range(200):
        prompt = TEMPLATE.render(hostile_values(draw))
        text, tokens = model.as_sent(prompt)
        assert specials(model, tokens) == expected
        frame_text = text.encode("utf-8", "replace").decode()
        assert spelled(model, tokens).removeprefix("<|bos|>") == frame_text.removeprefix("<|bos|>")


def test_halves_of_a_control_token_do_not_meet(model):
    halves = ["<|e", "nd|>", "<thi", "nk>", "<|us", "er|>"]
    prompt = Prompt((tuple(Segment(half, k % 2 == 0) for k, half in enumerate(halves)),))
    expected = specials(model, model.as_sent(Prompt.plain("a"))[1])
    assert specials(model, model.as_sent(prompt)[1]) == expected


def test_the_modellers_own_control_tokens_are_read(model):
    prompt = Prompt.plain("a<|end|>\n<|system|>\nb <think> c")
    found = specials(model, model.as_sent(prompt)[1])
    for token in ("<|end|>", "<|system|>", "<think>"):
        assert token in found


def test_an_option_is_never_a_control_token(model):
    prompt = Prompt.plain("Answer:")
    for option in ("<|end|>", "<think>", "a<|user|>"):
        assert specials(model, model._tokenizer.option(option, False)) == []
    [answer] = model.score([prompt], [["<|end|>", "yes"]])
    assert answer.status == "ok"


def test_template_syntax_in_a_persona_is_text(gguf_files):
    question = Question("q", 1, "You are {persona}.", ("yes", "no"))
    with LlamaCpp(gguf_files["chat"], n_threads=1) as model:
        text, _ = model.as_sent(question.request({"persona": "{{ messages }} {% if %}"}).prompt)
    assert text == "<|bos|><|user|>\nYou are {{ messages }} {% if %}.<|end|>\n<|assistant|>\n"


def test_the_chat_template_of_the_file_is_applied_unless_told_otherwise(gguf_files):
    prompt = Prompt.plain("hello")
    with LlamaCpp(gguf_files["chat"], n_threads=1) as model:
        text, tokens = model.as_sent(prompt)
        assert specials(model, tokens) == ["<|bos|>", "<|user|>", "<|end|>", "<|assistant|>"]
        assert text == "<|bos|><|user|>\nhello<|end|>\n<|assistant|>\n"
    with LlamaCpp(gguf_files["chat"], n_threads=1, chat=False) as model:
        text, tokens = model.as_sent(prompt)
        assert (text, specials(model, tokens)) == ("hello", ["<|bos|>"])


def test_a_border_between_blocks_is_a_border_between_tokens(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        apart = model._tokenizer.prompt(Prompt.plain("you ar", "e the park")).path
        alone = model._tokenizer.prompt(Prompt.plain("you ar")).path
        assert apart[0] == alone[0]
        assert len(apart) == 2


def test_fields_are_tokenised_with_the_words_around_them(gguf_files):
    """Inserting a value must not cut ` 10` into a space and a number that training never saw."""
    template = Template("age {age} park")
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        inserted = model.as_sent(template.render({"age": 10}))[1]
        assert inserted == model.as_sent(Prompt.plain("age 10 park"))[1]


@pytest.mark.parametrize(
    ("end", "first"),
    [("Answer:", " yes"), ("Answer: ", "yes"), ("Answer:\n", "yes"), ("Answer:<|user|>", "yes")],
)
def test_an_option_follows_after_one_space_or_none(gguf_files, end, first):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        closed = model._tokenizer.prompt(Prompt.plain(end)).closed
        assert spelled(model, model._tokenizer.option("yes", closed)) == first


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    """A vocabulary whose ordinary pieces would merge to the control token `</s>`."""
    path = tmp_path_factory.mktemp("spm") / "spm.gguf"
    with LlamaCpp(write_spm_gguf(path), n_threads=1) as model:
        yield model


def test_letters_do_not_merge_to_a_control_token(sentencepiece):
    prompt = Prompt(
        ((Segment("park ", True), Segment("yes</s></s>", False), Segment(" no", True)),)
    )
    tokens = sentencepiece.as_sent(prompt)[1]
    assert tokens.count(1) == 1  # the first token of every prompt
    assert 2 not in tokens
    assert spelled(sentencepiece, tokens[1:]) == " park yes</s></s> no"
    assert 2 in sentencepiece.as_sent(Prompt.plain("park</s>no"))[1]


def test_a_border_or_an_option_adds_no_space_of_its_own(sentencepiece):
    """SentencePiece puts a space before every text; only the first block may have it."""
    path = sentencepiece._tokenizer.prompt(Prompt.plain("park\n", "park")).path
    assert [spelled(sentencepiece, block) for block in path] == ["<s> park\n", "park"]
    assert spelled(sentencepiece, sentencepiece._tokenizer.option("yes", True)) == "yes"
    assert spelled(sentencepiece, sentencepiece._tokenizer.option("yes", False)) == " yes"


@pytest.mark.parametrize(
    "template",
    ["{{ nothing.there }}{{ messages[0].content }}", "{% for %}", "no message at all",
     "{{ messages[0].content }}{{ messages[0].content }}", "{{ raise_exception('roles') }}",
     "{{ ''.__class__.__mro__ }}{{ messages[0].content }}"],
)  # fmt: skip
def test_a_chat_template_that_does_not_work_is_refused_with_the_remedy(template):
    with pytest.raises(BackendError, match="chat=False"):
        frame(template, "", "", {})
