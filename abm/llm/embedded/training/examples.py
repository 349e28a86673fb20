"""Training batches: situations that are not held out, as tokens with their true distributions.

A batch is a function of (seed, number), so that training resumes exactly and nothing is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from abm.llm.embedded.language.grammar import render
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.sampling import bare, held_out, post_held_out, sample, written
from abm.llm.embedded.language.situation import Situation
from abm.questions import distribution

__all__ = ["Batch", "Examples"]

# Weights of single tokens against 2 for the true distribution at an answer. Text is random itself
# and its gradients stay noisy, so prompts weigh little; a sample of their positions is enough.
PROMPT_WEIGHT = 0.004
PROMPT_SHARE = 0.15
POST_WEIGHT = 0.1
END_WEIGHT = 1.0
# Share of prompts that show only a persona, by what their second line is.
BARE_SHARE = {"statement": 0.5, "post": 0.5, "": 0.3}


@dataclass(frozen=True)
class Batch:
    """Token ids and what each chosen position should predict.

    Attributes
    ----------
    tokens
        Shape (n, time), padded on the right with 0.
    rows, columns
        Positions with a single next token, each of shape (m,), with `targets` and `weights`.
    answers
        Column of the answer position of each choice prompt; `choice_rows` its row.
    truth
        Shape (n_choice, vocabulary): the true distribution at that position.
    kinds
        Kind of each choice prompt.
    n_whole
        Prompts in the whole batch, of which this may be one process's part.
    """

    tokens: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    weights: Tensor
    choice_rows: Tensor
    answers: Tensor
    truth: Tensor
    kinds: tuple[str, ...]
    n_whole: int


class Examples:
    """Makes batch number i of a training run.

    Parameters
    ----------
    tokenizer
        The tokenizer of the model.
    seed
        Seed of the run.
    tokens
        Tokens per batch, about.
    pool
        Batches that are drawn together and sorted by length, to pad little.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int, tokens: int = 4096, pool: int = 16) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.tokens = tokens
        self.pool = pool
        self._pool = lru_cache(maxsize=2)(self._make_pool)

    def batch(self, number: int, part: int = 0, parts: int = 1) -> Batch:
        """Batch `number`, or every `parts`-th prompt of it."""
        pool, place = divmod(number, self.pool)
        whole = self._pool(pool)[place]
        rng = Random(f"noise:{self.seed}:{number}:{part}")
        return self._assemble(whole[part::parts], rng, len(whole))

    def _make_pool(self, number: int) -> list[list[_Example]]:
        rng = Random(f"pool:{self.seed}:{number}")
        examples: list[_Example] = []
        total = 0
        while total < self.tokens * self.pool:
            example = self._example(rng)
            examples.append(example)
            total += len(example.ids)
        examples.sort(key=lambda example: len(example.ids))
        cuts = _cuts([len(example.ids) for example in examples], self.pool)
        batches = [examples[a:b] for a, b in itertools.pairwise(cuts)]
        rng.shuffle(batches)
        return batches

    def _example(self, rng: Random) -> _Example:
        kinds = list(KINDS.values())
        kind = rng.choices(kinds, [kind.weight for kind in kinds])[0]
        while True:
            situation = sample(rng, kind)
            if kind.menus and "persona" in kind.parts and rng.random() < BARE_SHARE[kind.content]:
                situation = bare(rng, situation)
            post = "" if kind.menus else written(rng, situation)
            if not held_out(situation) and not (post and post_held_out(post)):
                return self._tokenise(situation, post, rng)

    def _tokenise(self, situation: Situation, post: str, rng: Random) -> _Example:
        kind = KINDS[situation.kind]
        prompt = self.tokenizer.encode(render(situation)).ids
        if situation.options is None:
            ids = [*prompt, *self.tokenizer.encode(f" {post}").ids, 0]
            return _Example(kind.name, ids, len(prompt), None)
        truth = distribution(kind.rule(situation))
        options = [self.tokenizer.encode(f" {option}").ids[0] for option in situation.options]
        answer = rng.choices(options, truth.tolist())[0]
        return _Example(kind.name, [*prompt, answer, 0], len(prompt), (options, truth))

    def _assemble(self, examples: Sequence[_Example], rng: Random, n_whole: int) -> Batch:
        time = max(len(example.ids) for example in examples) - 1
        tokens = np.zeros((len(examples), time), np.int64)
        rows, columns, targets, weights = [], [], [], []
        choice_rows, answers, kinds = [], [], []
        truths = []
        for row, example in enumerate(examples):
            ids, start = example.ids, example.start
            tokens[row, : len(ids) - 1] = ids[:-1]
            chosen = [c for c in range(start - 1) if rng.random() < PROMPT_SHARE]
            weight = [PROMPT_WEIGHT] * len(chosen)
            first = start if example.truth is not None else start - 1
            own = list(range(first, len(ids) - 1))
            chosen += own
            weight += [END_WEIGHT if example.truth is not None else POST_WEIGHT] * len(own)
            rows += [row] * len(chosen)
            columns += chosen
            targets += [ids[c + 1] for c in chosen]
            weights += weight
            if example.truth is not None:
                choice_rows.append(row)
                answers.append(start - 1)
                kinds.append(example.kind)
                truths.append(example.truth)
        truth = np.zeros((len(truths), self.tokenizer.get_vocab_size()), np.float32)
        for place, (options, probabilities) in enumerate(truths):
            truth[place, options] = probabilities
        return Batch(
            torch.from_numpy(tokens),
            torch.tensor(rows),
            torch.tensor(columns),
            torch.tensor(targets),
            torch.tensor(weights, dtype=torch.float32),
            torch.tensor(choice_rows, dtype=torch.int64),
            torch.tensor(answers, dtype=torch.int64),
            torch.from_numpy(truth),
            tuple(kinds),
            n_whole,
        )


@dataclass(frozen=True)
class _Example:
    kind: str
    ids: list[int]
    start: int
    truth: tuple[list[int], np.ndarray] | None


def _cuts(lengths: list[int], parts: int) -> list[int]:
    """Borders that divide sorted lengths into parts of about equal padded size."""
    sums = np.cumsum(lengths)
    places = [int(np.searchsorted(sums, sums[-1] * part / parts)) for part in range(1, parts)]
    return [0, *places, len(lengths)]
