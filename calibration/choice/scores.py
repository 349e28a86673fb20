"""Proper scores of predicted answer shares, on questions and groups that no fit has seen.

Scores are means over people, then compared question by question: the question is the unit of every
interval, because people who answer the same question share its peculiarities. Gneiting and Raftery
(2007), Journal of the American Statistical Association 102, 359: logarithmic, quadratic (Brier)
and ranked probability score. Lower is better for all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis.intervals import mean_interval
from abm.calibration.checks import floats
from abm.calibration.choice.data import ChoiceData, SurveyQuestion
from abm.calibration.choice.fit import ChoiceFit
from abm.calibration.choice.slopes import log_probabilities
from abm.errors import CalibrationError, require

__all__ = ["brier_score", "log_score", "ranked_probability_score", "score", "score_table"]

Array = NDArray[np.float64]
Predictor = Callable[[SurveyQuestion], Array]


def log_score(probabilities: ArrayLike, counts: ArrayLike) -> float:
    """Mean of -log p(chosen option) over people, in nats; infinite for an option called impossible.

    Examples
    --------
    >>> round(log_score([0.5, 0.5], [3, 1]), 6)
    0.693147
    """
    p, n = _pair(probabilities, counts)
    seen = n > 0
    with np.errstate(divide="ignore"):
        return float(-(n[seen] * np.log(p[seen])).sum() / n.sum())


def brier_score(probabilities: ArrayLike, counts: ArrayLike) -> float:
    """Mean over people of the squared distance between the forecast and the chosen option, 0 to 2.

    Examples
    --------
    >>> brier_score([1.0, 0.0], [1, 1])
    1.0
    """
    p, n = _pair(probabilities, counts)
    share = n / n.sum()
    return float((p**2).sum() - 2 * p @ share + 1.0)


def ranked_probability_score(probabilities: ArrayLike, counts: ArrayLike) -> float:
    """Mean squared distance of cumulative probabilities, divided by n_options - 1; 0 to 1.

    Examples
    --------
    >>> ranked_probability_score([1.0, 0.0, 0.0], [0, 0, 1])
    1.0
    >>> ranked_probability_score([1.0, 0.0, 0.0], [0, 1, 0])
    0.5
    """
    p, n = _pair(probabilities, counts)
    share, k = n / n.sum(), len(p)
    ladder = np.cumsum(p)
    steps = np.tril(np.ones((k, k))).T  # row i: cumulative distribution of a person at option i
    return float(share @ ((ladder - steps) ** 2).sum(axis=1) / (k - 1))


def score(fit: ChoiceFit, data: ChoiceData) -> pl.DataFrame:
    """Scores of a fit on answers that it has not seen, beside those of three simpler forecasts.

    Parameters
    ----------
    data
        The held-out part of a split.

    Returns
    -------
    One row per forecast and score: `forecast` (`calibrated`; `as answered`, the model without
    calibration; `uniform`; `the answers`, the observed shares themselves, which nothing can beat),
    `score`, `value` (mean over questions and groups), `difference` (to `calibrated`; > 0 where
    calibration is better) with `low`, `high`, `level`, `n` (questions).

    Raises
    ------
    CalibrationError
        A question and group on which the fit was trained.

    Examples
    --------
    >>> from abm.calibration.choice.fit import fit_choice
    >>> make = lambda i: SurveyQuestion(f"q{i}", np.log([[0.9, 0.1]]), np.array([[70 + i, 30 - i]]))
    >>> data = ChoiceData(tuple(make(i) for i in range(6)), ("p",), ("g",))
    >>> training, held_out = data.split(questions=["q3", "q4", "q5"])
    >>> table = score(fit_choice(training, bias=False), held_out)
    >>> bool(table.filter(forecast="as answered", score="log")["low"][0] > 0)
    True
    """
    refuse_seen(fit, data)
    plain = np.full((len(data.groups), len(data.personas)), 1 / len(data.personas))
    forecasts: dict[str, Predictor] = {
        "calibrated": fit.predict,
        "as answered": lambda q: plain @ np.exp(log_probabilities(q.scores, 1.0, np.zeros(1))),
        "uniform": lambda q: np.full(q.counts.shape, 1 / q.n_options),
        "the answers": _shares,
    }
    return score_table(forecasts, data, against="calibrated")


def score_table(
    forecasts: Mapping[str, Predictor], data: ChoiceData, *, against: str, level: float = 0.9
) -> pl.DataFrame:
    """Scores of forecasts on the same answers, and paired differences to one of them by question.

    Examples
    --------
    >>> q = SurveyQuestion("q", np.zeros((1, 2)), np.array([[1, 1]]))
    >>> data = ChoiceData((q,), ("p",), ("g",))
    >>> half = lambda q: np.array([[0.5, 0.5]])
    >>> score_table({"half": half}, data, against="half")["value"].round(3).to_list()
    [0.693, 0.5]
    """
    kinds: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
        "log": log_score,
        "brier": brier_score,
    }
    if all(q.ordered for q in data.questions):
        kinds["ranked"] = ranked_probability_score
    answered = [q for q in data.questions if q.people > 0]
    require(bool(answered), CalibrationError, "nobody answered the held-out questions")
    rows: list[dict[str, Any]] = []
    for kind, rule in kinds.items():
        values = {
            name: np.array([_of_question(rule, predict, q) for q in answered])
            for name, predict in forecasts.items()
        }
        for name, found in values.items():
            with np.errstate(invalid="ignore"):
                gap = mean_interval(found - values[against], level=level)
            rows.append(
                {
                    "forecast": name,
                    "score": kind,
                    "value": float(found.mean()),
                    "difference": gap.estimate,
                    "low": gap.low,
                    "high": gap.high,
                    "level": level,
                    "n": len(answered),
                }
            )
    return pl.DataFrame(rows)


def refuse_seen(fit: ChoiceFit, data: ChoiceData) -> None:
    """Refuse to score a fit on answers it was trained on."""
    for q in data.questions:
        known = sorted(q.marks() & fit.seen)
        groups = [
            g for i, g in enumerate(data.groups) if q.counts[i].sum() > 0 and g in fit.groups_seen
        ]
        require(
            not (known and groups),
            CalibrationError,
            f"question {q.id!r} was part of the training ({known}) with the groups {groups}: a "
            "score on it says how well the fit remembers, not how well it predicts. Score the "
            "held-out part of a split",
        )


def _of_question(
    rule: Callable[[ArrayLike, ArrayLike], float], predict: Predictor, q: SurveyQuestion
) -> float:
    """Mean over people of all groups."""
    shares, people = predict(q), q.counts.sum(axis=1)
    parts = [n * rule(p, c) for p, c, n in zip(shares, q.counts, people, strict=True) if n > 0]
    return float(np.sum(parts) / people.sum())


def _shares(q: SurveyQuestion) -> Array:
    people = q.counts.sum(axis=1, keepdims=True)
    result: Array = q.counts / np.maximum(people, 1e-300)
    return result


def _pair(probabilities: ArrayLike, counts: ArrayLike) -> tuple[Array, Array]:
    p, n = floats(probabilities, "probabilities"), floats(counts, "counts")
    alike = p.shape == n.shape and p.ndim == 1 and p.size >= 2
    require(
        alike
        and bool((p >= 0).all() and (n >= 0).all() and 0 < n.sum() < np.inf)
        and bool(np.isclose(p.sum(), 1, atol=1e-6)),
        CalibrationError,
        f"probabilities {p.round(4).tolist()} and counts {n.tolist()}: expected as many of both, "
        "at least two, probabilities >= 0 that sum to 1, counts >= 0 and at least one person",
    )
    return p, n
