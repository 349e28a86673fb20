"""Strict choice answers beside the model's own one-batch prompt speed.

One process measures both in turns: prompt tokens per second when 512 tokens of one sequence are
evaluated in one call, and the tokens per second at which `strict` answers choice questions (after a
shared prefix of about 85 tokens, about 60 own tokens and a 7-point menu, tokenising and scoring
included). The figure to look at is the ratio, its median over repeats. The goal is 0.8 or more.

Counted are the tokens that must be evaluated: those of prompts after what is shared with the prompt
before, and in a second figure also the tokens of the options. With the embedded model its own
questions are measured as well, each cut into the blocks of its template.

    python benchmarks/llm_strict.py
    python benchmarks/llm_strict.py model.gguf --threads 1 --clock cpu --json out.json

`--clock cpu` takes the processor's clock, which means something on a busy machine too, for one
thread only.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from abm.llm import LlamaCpp
from abm.llm.llamacpp.backend import MAX_LEAVES, MAX_NODES, N_BATCH
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.tokens import Path as Blocks
from abm.llm.llamacpp.tree import common_blocks, depth_first, rounds
from abm.questions import Prompt

GOAL = 0.8
WORDS = (
    "you are years old and live in the city with friends who read about parks taxes schools and "
    "said that buses should be free because it helps people while others strongly disagree"
)
SCALE = ("1", "2", "3", "4", "5", "6", "7")

Workload = tuple[list[Prompt], list[tuple[str, ...]]]


def text_of(model: LlamaCpp, draw: random.Random, n_tokens: int) -> str:
    """Random words that make about so many tokens."""
    text = ""
    while len(model.as_sent(Prompt.plain(text))[1]) < n_tokens:
        text += " " + draw.choice(WORDS.split())
    return text


def prefixes_and_suffixes(model: LlamaCpp, n: int) -> Workload:
    """Four prefixes of about 85 tokens, n suffixes of about 60."""
    draw = random.Random(1)
    prefixes = [text_of(model, draw, 85) + "\n" for _ in range(4)]
    prompts = [Prompt.plain(prefixes[k % 4], text_of(model, draw, 60)) for k in range(n)]
    return prompts, [SCALE] * n


def own_questions(n: int) -> Workload:
    """Situations of the embedded model's choice questions, all with posts just read."""
    from abm.llm.embedded.language.grammar import blocks, field_texts
    from abm.llm.embedded.language.kinds import KINDS
    from abm.llm.embedded.language.sampling import sample
    from abm.questions import Template

    draw = random.Random(2)
    kinds = [kind for kind in KINDS.values() if kind.menus and "posts" in kind.parts]
    prompts: list[Prompt] = []
    menus: list[tuple[str, ...]] = []
    for k in range(n):
        situation = sample(draw, kinds[k % len(kinds)])
        template = Template(blocks(KINDS[situation.kind], situation.options, situation.paraphrase))
        prompts.append(template.render(field_texts(situation)))
        menus.append(situation.options or ())
    return prompts, menus


def evaluated(model: LlamaCpp, workload: Workload) -> tuple[int, int]:
    """(prompt tokens after what is shared with the prompt before, tokens of the options)."""
    tokenizer = model._tokenizer
    found = [tokenizer.prompt(prompt) for prompt in workload[0]]
    paths = [one.path for one in found]
    n_prompt = 0
    before: Blocks = ()
    for k in depth_first(paths):
        shared = min(common_blocks(before, paths[k]), len(paths[k]) - 1)
        n_prompt += sum(map(len, paths[k][shared:]))
        before = paths[k][:-1]
    n_options = 0
    for one, menu in zip(found, workload[1], strict=True):
        options = [tokenizer.option(option, one.closed) for option in menu]
        n_options += sum(r.branches.size for r in rounds(options, MAX_LEAVES, MAX_NODES))
    return n_prompt, n_options


def one_batch_speed(model: LlamaCpp, clock: Callable[[], float], n_calls: int) -> float:
    """Prompt tokens per second: 512 tokens of one sequence in one call, one output."""
    draw = random.Random(3)
    tokens = tuple(draw.randrange(model._model.n_vocabulary) for _ in range(N_BATCH))
    context = Context(
        model._model,
        n_cells=N_BATCH,
        n_sequences=1,
        n_batch=N_BATCH,
        n_threads=model.n_threads,
    )
    spent = 0.0
    for call in range(n_calls + 2):
        context.clear()
        context.put(tokens, 0, 0, 1)
        context.outputs[N_BATCH - 1] = 1
        begun = clock()
        context.run()
        context.logits(1)
        spent += clock() - begun if call >= 2 else 0.0
    context.free()
    return N_BATCH * n_calls / spent


def answering(model: LlamaCpp, workload: Workload, clock: Callable[[], float]) -> dict[str, float]:
    """Tokens and answers per second of a batch that is asked with nothing resident."""
    n_prompt, n_options = evaluated(model, workload)
    model._store.clear()
    model._context("strict").clear()
    model._tokenizer._blocks.clear()
    begun = clock()
    model.score(*workload)
    spent = clock() - begun
    return {
        "answers_per_second": len(workload[0]) / spent,
        "prompt_tokens_per_second": n_prompt / spent,
        "all_tokens_per_second": (n_prompt + n_options) / spent,
    }


def measure(
    model: LlamaCpp, workload: Workload, clock: Callable[[], float], repeats: int
) -> dict[str, Any]:
    """Speeds and ratios, in turns."""
    model.score(workload[0][:8], workload[1][:8])
    rows = []
    for _ in range(repeats):
        alone = one_batch_speed(model, clock, 10)
        found = answering(model, workload, clock)
        rows.append(
            {
                "one_batch_tokens_per_second": alone,
                **found,
                "ratio": found["prompt_tokens_per_second"] / alone,
                "ratio_with_options": found["all_tokens_per_second"] / alone,
            }
        )
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {"median": middle, "ratios": [row["ratio"] for row in rows]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, help="a GGUF; default: the embedded model")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    clock = time.perf_counter if given.clock == "wall" else time.process_time
    path = given.model
    if path is None:
        from abm.llm import embedded

        path = embedded.model_path()
    with LlamaCpp(path, n_ctx=1024, n_threads=given.threads) as model:
        if given.clock == "cpu" and model.n_threads != 1:
            parser.error("--clock cpu needs --threads 1")
        workloads = {"prefix 85, own 60": prefixes_and_suffixes(model, given.prompts)}
        if given.model is None:
            workloads["the embedded model's own questions"] = own_questions(given.prompts)
        found = {
            name: measure(model, workload, clock, given.repeats)
            for name, workload in workloads.items()
        }
        result = {"model": model.info, "clock": given.clock, "machine": platform.processor()}
    for name, one in found.items():
        middle = one["median"]
        print(
            f"{name}: {middle['answers_per_second']:.0f} answers/s; "
            f"{middle['prompt_tokens_per_second']:.0f} prompt tokens/s against "
            f"{middle['one_batch_tokens_per_second']:.0f} in one batch: ratio "
            f"{middle['ratio']:.2f} (goal {GOAL}; of the repeats "
            f"{min(one['ratios']):.2f} to {max(one['ratios']):.2f}); "
            f"{middle['ratio_with_options']:.2f} with the tokens of the options"
        )
    if given.json:
        given.json.write_text(json.dumps({**result, "workloads": found}, indent=2))


if __name__ == "__main__":
    main()
