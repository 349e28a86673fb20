"""Temperature and option bias: a multinomial logit of people's answers on a model's scores.

p(option | question, persona) is proportional to exp(slope * score + bias[position]). The slope is
1 / temperature; bias belongs to a position among the options, is shared by all questions with as
many options, and sums to zero. Parameters are one vector: log slope first, then an orthonormal
contrast per number of options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.calibration.choice.data import SurveyQuestion

__all__ = ["Layout", "contrast", "log_probabilities", "log_slopes"]

Array = NDArray[np.float64]


def contrast(n_options: int) -> Array:
    """Orthonormal basis of the vectors that sum to zero, shape (n_options, n_options - 1).

    Examples
    --------
    >>> contrast(3).sum(axis=0).round(12).tolist()
    [0.0, 0.0]
    """
    basis = np.zeros((n_options, n_options - 1))
    for j in range(n_options - 1):
        basis[: j + 1, j] = 1.0
        basis[j + 1, j] = -(j + 1.0)
        basis[:, j] /= np.sqrt((j + 1.0) * (j + 2.0))
    return basis


@dataclass(frozen=True)
class Layout:
    """Where each parameter stands in the vector.

    Examples
    --------
    >>> layout = Layout(sizes=(2, 3), slope=True, bias=True)
    >>> layout.size, layout.names
    (4, ['log slope', 'bias of 2 options 1', 'bias of 3 options 1', 'bias of 3 options 2'])
    """

    sizes: tuple[int, ...]
    slope: bool = True
    bias: bool = True

    @classmethod
    def of(cls, questions: Sequence[SurveyQuestion], *, slope: bool, bias: bool) -> Layout:
        return cls(tuple(sorted({q.n_options for q in questions})), slope, bias)

    @property
    def names(self) -> list[str]:
        names = ["log slope"] if self.slope else []
        if self.bias:
            names += [f"bias of {k} options {j + 1}" for k in self.sizes for j in range(k - 1)]
        return names

    @property
    def size(self) -> int:
        return len(self.names)

    def places(self, n_options: int) -> NDArray[np.int64]:
        """Entries of the vector that touch a question with so many options."""
        start = int(self.slope)
        found = list(range(start))
        if self.bias and n_options in self.sizes:
            before = sum(k - 1 for k in self.sizes if k < n_options)
            found += list(range(start + before, start + before + n_options - 1))
        return np.array(found, dtype=np.int64)

    def read(self, vector: Array, n_options: int) -> tuple[float, Array]:
        """(slope, bias per position). A number of options that no fit has seen has bias 0."""
        slope = float(np.exp(vector[0])) if self.slope else 1.0
        places = self.places(n_options)[int(self.slope) :]
        bias = contrast(n_options) @ vector[places] if len(places) else np.zeros(n_options)
        return slope, bias


def log_probabilities(scores: Array, slope: float, bias: Array) -> Array:
    """Shape as `scores` (n_personas, n_options); minus infinity where the score is."""
    with np.errstate(invalid="ignore"):
        raw = slope * scores + bias
    top = raw.max(axis=-1, keepdims=True)
    result: Array = raw - top - np.log(np.exp(raw - top).sum(axis=-1, keepdims=True))
    return result


def log_slopes(
    question: SurveyQuestion, vector: Array, weights: Array, layout: Layout
) -> tuple[float, Array]:
    """Log-likelihood of a question's counts, and its gradient (layout.size,).

    Parameters
    ----------
    weights
        Shape (n_groups, n_personas), rows sum to 1.
    """
    slope, bias = layout.read(vector, question.n_options)
    p = np.exp(log_probabilities(question.scores, slope, bias))
    mixed = np.maximum(weights @ p, 1e-300)  # (n_groups, n_options); far from any fit
    counts = question.counts
    seen = counts > 0
    with np.errstate(divide="ignore"):
        value = float((counts[seen] * np.log(mixed[seen])).sum())
    ratio = np.divide(counts, mixed, out=np.zeros_like(counts), where=seen & (mixed > 0))
    pull = (weights.T @ ratio) * p  # (n_personas, n_options): d value / d log p
    drift = pull - pull.sum(axis=1, keepdims=True) * p
    gradient = np.zeros(layout.size)
    if layout.slope:
        finite = np.where(np.isfinite(question.scores), question.scores, 0.0)
        gradient[0] = slope * float((drift * finite).sum())
    places = layout.places(question.n_options)[int(layout.slope) :]
    if len(places):
        gradient[places] = drift.sum(axis=0) @ contrast(question.n_options)
    return value, gradient
