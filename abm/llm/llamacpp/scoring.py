"""Jobs of scoring, and from logits to the log-probability of a menu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Scored
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.tree import Round

__all__ = ["ScoreJob", "log_sums", "round_scores", "scored"]


@dataclass
class ScoreJob:
    """One prompt with its menu, in tokens."""

    index: int
    path: Path
    options: tuple[Tokens, ...]
    rounds: list[Round]

    @property
    def n_prompt(self) -> int:
        return sum(map(len, self.path))

    @property
    def n_options(self) -> int:
        """Tokens of all options, the end of the turn of each included."""
        return sum(len(option) + 1 for option in self.options)


def log_sums(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """log of the sum of exponentials of each row, shape (n_rows,)."""
    top = logits.max(axis=1)
    sums = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    result: NDArray[np.float64] = top.astype(np.float64) + np.log(sums)
    return result


def round_scores(
    round_: Round, logits: NDArray[np.float32], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """log P(tokens and end of turn) of the members of a round, shape (n_members,).

    Parameters
    ----------
    logits
        Row 0 after the prompt, then one row per node of the round.
    ends
        Tokens that end a turn; their probabilities are added.
    """
    norms = log_sums(logits)
    steps = logits[round_.row, round_.token] - norms[round_.row]
    total = np.bincount(round_.owner, weights=steps, minlength=len(round_.members))
    after = logits[round_.end[:, None], ends[None, :]].astype(np.float64)
    top = after.max(axis=1)
    stop = top + np.log(np.exp(after - top[:, None]).sum(axis=1))
    result: NDArray[np.float64] = total + stop - norms[round_.end]
    return result


def scored(job: ScoreJob, scores: Sequence[float]) -> Scored:
    """The result of a job; options with equal tokens count once in the coverage."""
    distinct = dict(zip(job.options, scores, strict=True))
    coverage = min(1.0, math.fsum(math.exp(score) for score in distinct.values()))
    return Scored(tuple(float(score) for score in scores), coverage, job.n_prompt, job.n_options)
