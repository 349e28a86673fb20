"""Rows about the model itself: counts of the tree, choices, texts and prompt speed beside peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from abm.llm.bench.figures import Figure, Mode, Setting
from abm.llm.bench.peer import Peer
from abm.llm.bench.prompts import Asked, own_language, personas
from abm.llm.llamacpp import LlamaCpp
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.trials import random_tokens
from abm.questions import TextConstraint

__all__ = [
    "ROWS",
    "beside",
    "ceiling",
    "choices",
    "prompt_speed",
    "reasoning",
    "strict_price",
    "texts",
    "tree",
]

N_CTX = 1024
REASONING = 40
_CHOICES: tuple[tuple[Mode, float], ...] = (("strict", 1.2), ("fast", 1.35))
_SPEED: tuple[tuple[Mode, float | None], ...] = (("fast", 0.8), ("strict", None))
_TEXTS: tuple[tuple[Mode, float | None], ...] = (("fast", 3.0), ("strict", None))
HIGH_LEVEL = "llama-cpp-python's high-level API, one call per agent, own prefix reuse"


def backend(setting: Setting, mode: Mode, **options: Any) -> LlamaCpp:
    """The setting's model; its chat template off, so that both sides see the same prompt."""
    chosen = {"n_ctx": N_CTX, "n_threads": setting.n_threads, "chat": False, **options}
    return LlamaCpp(setting.path, mode=mode, **chosen)


def fresh(model: LlamaCpp) -> None:
    """Forget everything that stays resident, prompts' tokens included."""
    model._store.clear()
    model._tokenizer._blocks.clear()
    for context in model._contexts.values():
        context.clear()


def beside(
    ours: Callable[[], int], theirs: Callable[[], int], repeats: int
) -> tuple[float, dict[str, Any]]:
    """Both speeds in turns: the median ratio, and what it comes from."""
    rows = [(_speed(theirs), _speed(ours)) for _ in range(repeats)]
    ratios = [b / a for a, b in rows]
    return median(ratios), {
        "ours_per_second": median(b for _, b in rows),
        "alternative_per_second": median(a for a, _ in rows),
        "turns": [round(ratio, 3) for ratio in ratios],
    }


def _speed(act: Callable[[], int]) -> float:
    begun = time.perf_counter()
    n = act()
    return n / (time.perf_counter() - begun)


def _scored(model: LlamaCpp, asked: Asked) -> Callable[[], int]:
    def act() -> int:
        fresh(model)
        found = model.score(asked.prompts, asked.menus)
        assert all(one.status == "ok" for one in found)
        return len(found)

    model.score(asked.prompts[:2], asked.menus[:2])  # contexts are made, the layout is measured
    return act


def laid_out(model: LlamaCpp) -> dict[str, Any]:
    """What `fast` does and how it came to it; nothing of a backend that is `strict`."""
    return {"layout": model.layout.as_dict()} if model.mode == "fast" else {}


def tree(setting: Setting) -> Iterable[Figure]:
    """Tokens evaluated over nodes of the tree, and over a whole run of several batches."""
    for mode in ("fast", "strict"):
        with backend(setting, mode) as model:
            asked = personas(model, setting.n(1000, 20))
            model.score(asked.prompts[:1], asked.menus[:1])
            fresh(model)
            before = model.statistics()
            model.score(asked.prompts, asked.menus)
            batch = model.statistics() - before
            size = max(1, len(asked.prompts) // 20)
            fresh(model)
            start = model.statistics()
            for k in range(0, len(asked.prompts), size):
                model.score(asked.prompts[k : k + size], asked.menus[k : k + size])
            run = model.statistics() - start
            detail = laid_out(model)
        yield Figure(
            f"tokens evaluated per node of the prefix tree, {mode}",
            batch.evaluated_per_node,
            "ratio",
            1.02,
            "each distinct token of the batch evaluated once",
            f"counted over one batch of {len(asked.prompts)} personas with 7 options",
            at_most=True,
            detail={
                "tokens_evaluated": batch.tokens_evaluated,
                "tree_nodes": batch.tree_nodes,
                "tokens_asked": batch.tokens_asked,
                "waves": batch.waves,
                **detail,
            },
        )
        yield Figure(
            f"tokens evaluated per node of the tree of a run of 20 batches, {mode}",
            run.tokens_evaluated / batch.tree_nodes,
            "ratio",
            None,
            "each distinct token of the run evaluated once",
            "the same personas in 20 batches, one after another",
            detail={"tokens_evaluated": run.tokens_evaluated, "prefix_hits": run.prefix_hits},
        )


def choices(setting: Setting) -> Iterable[Figure]:
    """Choices per second over the high-level API, personas that share nothing at their end."""
    peer = Peer(setting.path, setting.n_threads)
    try:
        for mode, floor in _CHOICES:
            with backend(setting, mode) as model:
                asked = personas(model, setting.n(1000, 20))
                few = asked.head(setting.n(300, 20))
                value, detail = beside(
                    _scored(model, asked),
                    partial(peer.choose, few.texts(), few.menus),
                    setting.repeats,
                )
                outputs = 1 + len(asked.menus[0])
                detail |= ceiling(model, _scored(model, asked), detail, outputs) | laid_out(model)
            yield Figure(
                f"choices per second, unshared personas, {mode}",
                value,
                "ratio",
                floor,
                f"{HIGH_LEVEL}, grammar, one token",
                f"{len(asked.prompts)} personas of 40 own tokens after 85 shared, 7 options; "
                f"the alternative on the first {len(few.prompts)}",
                detail=detail,
            )
    finally:
        peer.close()


def ceiling(
    model: LlamaCpp, act: Callable[[], int], detail: dict[str, Any], n_outputs: int = 0
) -> dict[str, float]:
    """The ratio if every token cost what it costs in llama.cpp's own batches of 512 tokens.

    The batches run in one context with all threads or in a context per thread side by side,
    whichever is faster: what the processor gives. In choices the alternative evaluates a persona's
    own tokens, and we one more for each option, because an option is scored together with the end
    of its turn. A token of a text counts as one of a prompt.

    With `n_outputs`, also the ratio if it cost what it does in bare calls of as many tokens as ours
    have on average, of so many outputs: what lies between the two is the price of short calls, and
    what is below is our own.
    """
    before = model.statistics()
    n = act()
    done = model.statistics() - before
    n_tokens = done.tokens_evaluated + done.tokens_written
    scale = n_tokens / n * detail["alternative_per_second"]
    found = {
        "tokens_evaluated_each": n_tokens / n,
        "ratio_at_the_speed_of_one_batch": _bare_speed(model, 512, 1) / scale,
    }
    if n_outputs:
        per_call = max(n_outputs, round(n_tokens / done.calls))
        found["tokens_per_call"] = n_tokens / done.calls
        found["ratio_at_the_speed_of_calls_like_ours"] = (
            _bare_speed(model, min(per_call, 512), n_outputs) / scale
        )
    return found


def _bare_speed(model: LlamaCpp, n_tokens: int, n_outputs: int) -> float:
    """Tokens per second of llama.cpp's calls, in one context or several: the best of three."""
    speed = 0.0
    for n_contexts in {1, model.n_threads}:
        with _bare(model, n_contexts, n_tokens, n_outputs) as alone:
            speed = max(speed, *(_speed(alone) for _ in range(3)))
    return speed


def reasoning(setting: Setting) -> Iterable[Figure]:
    """Choices per second over JSON with a short reasoning field."""
    peer = Peer(setting.path, setting.n_threads)
    try:
        with backend(setting, "strict") as model:
            asked = personas(model, setting.n(300, 20))
            few = asked.head(setting.n(30, 3))
            value, detail = beside(
                _scored(model, asked),
                lambda: peer.reason(few.texts(), few.menus, REASONING),
                setting.repeats,
            )
            detail |= ceiling(model, _scored(model, asked), detail)
    finally:
        peer.close()
    yield Figure(
        "choices per second over JSON with reasoning, strict",
        value,
        "ratio",
        10.0,
        f"{HIGH_LEVEL}, JSON grammar, {REASONING} tokens",
        f"{len(asked.prompts)} unshared personas; the alternative on the first {len(few.prompts)}",
        detail=detail,
    )


def prompt_speed(setting: Setting) -> Iterable[Figure]:
    """Prompt tokens per second over one batch of 512 tokens of one sequence."""
    for mode, floor in _SPEED:
        with backend(setting, mode) as model:
            asked = personas(model, setting.n(200, 20), own=60)
            score = _scored(model, asked)

            def tokens(model: LlamaCpp = model, score: Callable[[], int] = score) -> int:
                before = model.statistics()
                score()
                return (model.statistics() - before).tokens_evaluated

            with _bare(model) as alone:
                value, detail = beside(tokens, alone, setting.repeats)
            detail |= laid_out(model)
            options = {}
            if setting.embedded:
                own = own_language(setting.n(200, 20))
                options["answers_per_second_on_its_own_questions"] = _speed(_scored(model, own))
        yield Figure(
            f"prompt tokens per second, {mode}",
            value,
            "ratio",
            floor,
            "llama.cpp's own evaluation of one 512-token batch",
            f"{len(asked.prompts)} personas of 60 own tokens, tokens of options counted, "
            "tokenising and scoring included",
            detail={**detail, **options},
        )


@contextmanager
def _bare(
    model: LlamaCpp, n_contexts: int = 1, n_tokens: int = 512, n_outputs: int = 1
) -> Iterator[Callable[[], int]]:
    """So many tokens of one sequence in a call, 3,072 tokens or so in every context."""
    tokens = random_tokens(model._model, n_tokens, np.random.default_rng(3))
    n_threads, n_calls = max(1, model.n_threads // n_contexts), max(1, 3072 // n_tokens)
    contexts = [
        Context(model._model, n_cells=512, n_sequences=1, n_batch=512, n_threads=n_threads)
        for _ in range(n_contexts)
    ]

    def evaluate(context: Context) -> None:
        for _ in range(n_calls):
            context.clear()
            context.put(tokens, 0, 0, 1)
            context.outputs[n_tokens - n_outputs : n_tokens] = 1
            context.run()
            context.logits(n_outputs)

    def act() -> int:
        list(pool.map(evaluate, contexts))
        return n_calls * n_tokens * n_contexts

    try:
        with ThreadPoolExecutor(n_contexts) as pool:
            act()
            yield act
    finally:
        for context in contexts:
            context.free()


def texts(setting: Setting) -> Iterable[Figure]:
    """64 texts of 40 tokens over one at a time; on both sides no end of a turn ends a text."""
    n = min(64, setting.n(640, 8))  # how many are written together is what the ratio comes from
    peer = Peer(setting.path, setting.n_threads)
    try:
        for mode, floor in _TEXTS:
            with backend(setting, mode) as model:
                asked = personas(model, n)
                few = asked.head(setting.n(16, 4))
                write = _written(model, asked, _FREE)
                value, detail = beside(write, partial(_tokens, peer, few), setting.repeats)
                detail |= ceiling(model, write, detail) | laid_out(model)
                single = _one_at_a_time(setting, few)
                detail["over_our_own_one_at_a_time"] = detail["ours_per_second"] / single
                detail["ours_per_second_under_a_grammar"] = _speed(_written(model, asked, _BOUND))
                detail["texts_at_once"] = model.statistics().most_sequences
            yield Figure(
                f"texts, {n} agents of {WRITTEN} tokens, {mode}",
                value,
                "ratio",
                floor,
                f"{HIGH_LEVEL}, one text at a time",
                f"tokens per second, prompts (85 shared and 40 own tokens) included; exactly "
                f"{WRITTEN} tokens each, drawn from the whole vocabulary at temperature 1; "
                f"the alternative on {len(few.prompts)} texts",
                detail=detail,
            )
    finally:
        peer.close()


WRITTEN = 40
_FREE = TextConstraint(WRITTEN)
_BOUND = TextConstraint(WRITTEN, grammar="root ::= [a-z ]+")
_ENDLESS = np.zeros(0, dtype=np.int64)  # tokens that end a turn: none


def _tokens(peer: Peer, asked: Asked) -> int:
    return WRITTEN * peer.write(asked.texts(), WRITTEN)


def _written(model: LlamaCpp, asked: Asked, bound: TextConstraint) -> Callable[[], int]:
    def act() -> int:
        fresh(model)
        made = model._written(asked.prompts, [bound] * n, range(n), _ENDLESS)
        assert all(one.tokens_out == WRITTEN for one in made)
        return WRITTEN * n

    n = len(asked.prompts)
    act()  # contexts are made, the layout is measured
    return act


def _one_at_a_time(setting: Setting, asked: Asked) -> float:
    """Tokens per second of our own texts, one after another."""
    with backend(setting, "fast", n_parallel=1) as model:
        return _speed(_written(model, asked, _FREE))


def strict_price(setting: Setting) -> Iterable[Figure]:
    """`fast` over `strict`, for short and long suffixes."""
    for own, prefix in ((8, 300), (40, 85), (200, 85)):
        with backend(setting, "strict") as exact, backend(setting, "fast") as free:
            asked = personas(exact, setting.n(200, 20), own=own, prefix=prefix)
            value, detail = beside(_scored(exact, asked), _scored(free, asked), setting.repeats)
            detail |= laid_out(free) | {"variation": free.variation.as_dict()}
        yield Figure(
            f"strict over fast, {own} own tokens after {prefix} shared",
            value,
            "ratio",
            None,
            "`fast` on the same prompts",
            f"{len(asked.prompts)} personas, 7 options",
            detail=detail,
        )


ROWS = (tree, choices, reasoning, prompt_speed, texts, strict_price)
