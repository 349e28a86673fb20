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

    Corrections are applied in the order length, bias, temperature. All of them are the identity by
    default: the model's own distribution is used as it is.

    Parameters
    ----------
    temperature
        Scores are divided by it; > 0. Below 1 sharpens, above 1 flattens.
    option_bias
        Subtracted from the scores, one value per option; empty for none. Usually the scores that
        the model gives to the options when the prompt says nothing.
    option_lengths
        Tokens per option, > 0; empty for no length correction.
    length_exponent
        Scores are divided by `option_lengths ** length_exponent`. 1 gives the mean log-probability
        per token, 0 no correction.

    Raises
    ------
    QuestionError
        A value outside its range, or corrections for another number of options.

    References
    ----------
    Zhao et al. (2021), Calibrate before use, ICML (option bias); Brown et al. (2020), Language
    models are few-shot learners, section 2.4 (length).

    Examples
    --------
    >>> Transform().apply([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    >>> Transform(option_lengths=(1, 3)).apply([[-1.0, -3.0]]).tolist()
    [[0.5, 0.5]]
    """

    temperature: float = 1.0
    option_bias: tuple[float, ...] = ()
    option_lengths: tuple[float, ...] = ()
    length_exponent: float = 1.0

    def __post_init__(self) -> None:
        for name in ("option_bias", "option_lengths"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        require(
            0 < self.temperature < float("inf"),
            QuestionError,
            f"temperature = {self.temperature}, expected a finite number > 0",
        )
        require(
            bool(np.isfinite(self.option_bias).all()),
            QuestionError,
            f"option_bias = {self.option_bias}, expected finite numbers",
        )
        require(
            all(0 < length < float("inf") for length in self.option_lengths),
            QuestionError,
            f"option_lengths = {self.option_lengths}, expected finite numbers > 0",
        )
        require(
            0 <= self.length_exponent < float("inf"),
            QuestionError,
            f"length_exponent = {self.length_exponent}, expected a finite number >= 0",
        )

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, shape (n, n_options), from raw scores of the same shape."""
        raw = np.asarray(scores, dtype=np.float64)
        for name in ("option_bias", "option_lengths"):
            given = len(getattr(self, name))
            require(
                given in (0, raw.shape[-1]),
                QuestionError,
                f"Transform {name} has {given} values, and the question has {raw.shape[-1]} "
                "options; give one value per option",
            )
        if self.option_lengths:
            raw = raw / np.asarray(self.option_lengths) ** self.length_exponent
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
    result: NDArray[np.int64] = np.minimum(chosen, last).astype(np.int64)
    return result
