"""How far an answer moves when prompts are evaluated together: total variation to a single one.

The kernels differ with the shape of a call, and with weights of 8 bits and fewer that can be
visible. It is measured for the loaded model, on prompts of random tokens: the distributions of the
next token over the whole vocabulary, batched as `fast` does and alone as `strict` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.tokens import Tokens
from abm.llm.llamacpp.trials import random_tokens

__all__ = ["Variation", "measure_variation"]

PREFIX, OWN = 64, 40


@dataclass(frozen=True)
class Variation:
    """Total variation of the next token between batched and single evaluation, in [0, 1].

    Attributes
    ----------
    mean, highest
        Over the prompts.
    n_prompts
        Prompts of random tokens that were evaluated both ways.
    """

    mean: float
    highest: float
    n_prompts: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return asdict(self)


def measure_variation(
    model: Model, alone: Context, batched: Context, n_tokens: int, n_prompts: int
) -> Variation:
    """Evaluate prompts one by one and together.

    Parameters
    ----------
    alone, batched
        Contexts of `strict` and of `fast`; both are emptied.
    n_tokens
        Size of a call of `fast`.
    n_prompts
        How many prompts; >= 1.
    """
    rng = np.random.default_rng(3)
    prefix = random_tokens(model, PREFIX, rng)
    own = [random_tokens(model, OWN, rng) for _ in range(n_prompts)]
    single = np.concatenate([_call(alone, prefix, [tokens]) for tokens in own])
    together = max(2, min(n_tokens // OWN, batched.n_sequences, batched.n_cells // OWN - 2))
    parts = [own[k : k + together] for k in range(0, n_prompts, together)]
    several = np.concatenate([_call(batched, prefix, part) for part in parts])
    distances = np.abs(_shares(single) - _shares(several)).sum(axis=1) / 2
    return Variation(float(distances.mean()), float(distances.max()), n_prompts)


def _call(context: Context, prefix: Tokens, own: Sequence[Tokens]) -> NDArray[np.float32]:
    """Logits after each prompt, shape (n_prompts, n_vocabulary)."""
    context.clear()
    context.put(prefix, 0, 0, len(own))
    context.run(n_counted=0)
    for sequence, tokens in enumerate(own):
        context.put(tokens, len(prefix), sequence, 1)
        context.outputs[context.filled - 1] = 1
    context.run(n_counted=0)
    found = context.logits(len(own)).copy()
    context.clear()
    return found


def _shares(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares
