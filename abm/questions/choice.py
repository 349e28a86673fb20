"""From scores to a choice: declared transforms, then the agent's own uniform, by inverse CDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import QuestionError, require

__all__ = ["Transform", "distribution", "pick"]


@dataclass(frozen=True)
class Transform:
    """What happens to raw scores after the ledger, outside its key.

    Parameters
    ----------
    temperature
        Scores are divided by it; > 0. 1 leaves the model's own distribution.
    option_bias
        Subtracted from the scores, one value per option; empty for none.

    Examples
    --------
    >>> Transform(temperature=1.0).apply([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    temperature: float = 1.0
    option_bias: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(
            self.temperature > 0,
            QuestionError,
            f"temperature = {self.temperature}, expected > 0",
        )

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, shape (n, n_options), from raw scores of the same shape."""
        raw = np.asarray(scores, dtype=np.float64)
        if self.option_bias:
            raw = raw - np.asarray(self.option_bias)
        return distribution(raw / self.temperature)


def distribution(scores: ArrayLike) -> NDArray[np.float64]:
    """Normalise log-scores along the last axis. Minus infinity is probability zero.

    Examples
    --------
    >>> distribution([0.0, float("-inf")]).tolist()
    [1.0, 0.0]
    """
    raw = np.asarray(scores, dtype=np.float64)
    weights = np.exp(raw - raw.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return result


def pick(probabilities: ArrayLike, uniforms: Sequence[float] | ArrayLike) -> NDArray[np.int64]:
    """Index of the chosen option for each uniform, by inverse CDF in the declared order.

    Parameters
    ----------
    probabilities
        Shape (n, n_options), or (n_options,) for all.
    uniforms
        Shape (n,), in [0, 1).

    Returns
    -------
    Shape (n,): the first option whose cumulative probability exceeds the uniform. An option of
    probability zero is never chosen.

    Examples
    --------
    >>> pick([0.25, 0.75], [0.0, 0.2499, 0.25, 0.99]).tolist()
    [0, 0, 1, 1]
    """
    u = np.asarray(uniforms, dtype=np.float64)
    p = np.asarray(probabilities, dtype=np.float64)
    cumulative = np.cumsum(np.broadcast_to(p, (u.shape[0], p.shape[-1])), axis=-1)
    chosen = (cumulative <= u[:, None]).sum(axis=-1)
    last = p.shape[-1] - 1 - np.argmax(np.broadcast_to(p, cumulative.shape)[:, ::-1] > 0, axis=-1)
    return np.minimum(chosen, last).astype(np.int64)
