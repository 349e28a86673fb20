"""Training of the embedded model. Needs the extra `train`, which users of the model do not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("tokenizers", reason="the extra `train` is not installed")
pytest.importorskip("gguf", reason="the extra `train` is not installed")

import itertools

import torch
from tokenizers import Tokenizer

from abm.llm.embedded import language as lang
from abm.llm.embedded.evaluate import held_out_situations, prompt_of
from abm.llm.embedded.language.sampling import held_out, post_held_out
from abm.llm.embedded.rule_policy import log_probabilities
from abm.llm.embedded.training import vocabulary
from abm.llm.embedded.training.examples import Examples
from abm.llm.embedded.training.loop import Plan, Training
from abm.llm.embedded.training.optimiser import orthogonal, rate

PLAN = Plan(
    seed=3,
    steps=8,
    tokens=600,
    vocabulary=1536,
    width=32,
    layers=2,
    heads=2,
    key_heads=1,
    hidden=48,
    checkpoint_every=4,
    export_every=100,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("training")
    vocabulary.train(PLAN.seed, PLAN.vocabulary, n_texts=3000).save(str(made / "tokenizer.json"))
    torch.set_num_threads(1)
    return made


def start(folder: Path, name: str) -> Training:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    return Training(PLAN, folder / name, folder / name / "model.gguf")


@pytest.mark.slow
def test_a_resumed_run_ends_in_the_same_weights_to_the_bit(folder: Path) -> None:
    whole = start(folder, "whole")
    whole.run()
    start(folder, "parts").run(until=4)
    resumed = start(folder, "parts")
    assert resumed.step == 4
    resumed.run()
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_training_lowers_the_distance_to_the_truth(folder: Path) -> None:
    training = start(folder, "falling")
    training.plan = replace(PLAN, steps=60)
    distances = [float(training.advance()[2].mean()) for _ in range(50)]
    # Seeded; from almost 1 (no mass on the menu) to clearly below.
    assert sum(distances[-5:]) < 0.95 * sum(distances[:5])


@pytest.mark.slow
@pytest.mark.llama
def test_the_exported_gguf_gives_the_probabilities_and_tokens_of_pytorch(folder: Path) -> None:
    pytest.importorskip("llama_cpp", reason="the extra `llama` is not installed")
    from abm.llm.llamacpp import LlamaCpp

    training = start(folder, "whole")
    if training.step == 0:
        training.run()
    rng = Random(5)
    situations = [
        s for kind in lang.KINDS.values() if kind.menus for s in held_out_situations(rng, kind, 2)
    ]
    with LlamaCpp(training.output, n_ctx=512, n_threads=1) as backend:
        scored = backend.score(
            [prompt_of(s) for s in situations], [s.options or () for s in situations]
        )
        for situation, one in zip(situations, scored, strict=True):
            ids = training.tokenizer.encode(lang.render(situation)).ids
            assert list(backend.as_sent(prompt_of(situation))[1]) == ids
            for option, score in zip(situation.options or (), one.scores or (), strict=True):
                # F16 weights and llama.cpp's kernels: some 1e-3 in log-probability.
                assert score == pytest.approx(expected(training, ids, option), abs=0.02)


def expected(training: Training, ids: list[int], option: str) -> float:
    token = training.tokenizer.encode(f" {option}").ids[0]
    with torch.no_grad():
        states = training.model(torch.tensor([[*ids, token]]))[0, -2:]
        logs = training.model.logits(states).log_softmax(-1)
    return float(logs[0, token] + logs[1, 0])


def test_no_batch_shows_what_is_held_out(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    examples = Examples(tokenizer, seed=11, tokens=1500, pool=4)
    seen = 0
    for number in range(8):
        for row in examples.batch(number).tokens.tolist():
            text = tokenizer.decode(row, skip_special_tokens=True)
            prompt = text[: text.rindex(":") + 1] if "ost:" not in text else text
            prompt = prompt.split("ost:")[0] + "ost:" if "ost:" in prompt else prompt
            situation = lang.parse(prompt)
            assert situation is not None, text
            assert not held_out(situation)
            seen += 1
    assert seen > 50


def test_the_target_at_an_answer_is_the_true_distribution(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    batch = Examples(tokenizer, seed=12, tokens=1500, pool=4).batch(0)
    for place, row in enumerate(batch.choice_rows.tolist()):
        answer = int(batch.answers[place])
        prompt = tokenizer.decode(batch.tokens[row, : answer + 1].tolist())
        situation = lang.parse(prompt)
        assert situation is not None
        for option, log in log_probabilities(situation).items():
            token = tokenizer.encode(f" {option}").ids[0]
            assert float(batch.truth[place, token]) == pytest.approx(
                float(torch.tensor(log).exp()), abs=1e-6
            )


def test_every_option_is_one_token(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert all(len(tokenizer.encode(f" {o}").ids) == 1 for o in vocabulary.all_options())


def test_muon_makes_updates_nearly_orthogonal() -> None:
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.4


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    rates = [rate(step, 1000) for step in range(1001)]
    assert rates[0] == 0.01
    assert set(rates[99:200]) == {1.0}
    assert rates[1000] == 0.0
    assert all(a > b for a, b in itertools.pairwise(rates[200:]))


def test_held_out_posts_are_about_one_in_ten() -> None:
    texts = [lang.post_text("free buses", stance, v) for stance in (-2, 2) for v in range(500)]
    share = sum(map(post_held_out, texts)) / len(texts)
    assert 0.07 < share < 0.13  # binomial, three standard errors


@pytest.mark.slow
def test_the_command_trains_exports_and_resumes(folder: Path) -> None:
    run = folder / "command"
    run.mkdir()
    (run / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    command = [
        *(sys.executable, "-m", "abm.llm.embedded.training"),
        *("--folder", str(run), "--output", str(run / "model.gguf"), "--processes", "2"),
        *("--tokens", "400", "--width", "32", "--layers", "1", "--heads", "2"),
        *("--key-heads", "1", "--hidden", "48"),
    ]
    first = subprocess.run([*command, "--steps", "2"], capture_output=True, text=True, check=True)
    assert "step 2/2" in first.stdout
    assert (run / "model.gguf").read_bytes()[:4] == b"GGUF"
    again = subprocess.run([*command, "--steps", "3"], capture_output=True, text=True, check=True)
    assert "resuming at step 2" in again.stdout
    assert "step 3/3" in again.stdout
