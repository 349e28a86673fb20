"""Does the model's answer carry the fit, or does the fit carry the answer key?

A flexible calibration can reproduce answers without the model: by its biases alone. Two controls
show it. `no model` fits the same calibration to constant scores; `shuffled` fits it to scores that
belong to other questions. If the calibrated model does not beat both on held-out questions, what it
"predicts" is the survey itself. A third warning concerns answers that the model may know by heart:
raw shares that agree with the survey within sampling error on more questions than not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from abm.calibration.choice.data import ChoiceData, SurveyQuestion
from abm.calibration.choice.fit import ChoiceFit, fit_choice
from abm.calibration.choice.scores import refuse_seen, score_table
from abm.calibration.choice.slopes import log_probabilities
from abm.errors import CalibrationError

__all__ = ["KeyGuard", "guard_answer_key", "known_by_heart"]


@dataclass(frozen=True)
class KeyGuard:
    """What the controls say.

    Attributes
    ----------
    table
        Scores of `calibrated`, `no model` and `shuffled` on held-out answers, as `score_table`.
    by_heart
        Share of questions whose raw shares fit the survey within sampling error.
    passes
        The calibrated model beats both controls: the 90 % intervals of the differences in
        logarithmic score, over questions, lie above zero.
    """

    table: pl.DataFrame
    by_heart: float
    passes: bool

    @property
    def words(self) -> list[str]:
        """What it means, in sentences."""
        said = []
        for row in self.table.filter(score="log").iter_rows(named=True):
            if row["forecast"] == "calibrated":
                continue
            wins = row["low"] > 0
            said.append(
                f"against {row['forecast']!r}: held-out log score better by "
                f"{row['difference']:.4f} [{row['low']:.4f}, {row['high']:.4f}]: "
                + ("the model's answers carry information" if wins else "NO PROOF that the model's")
                + ("" if wins else " answers carry it; the calibration alone does as well")
            )
        if self.by_heart > 0.5:
            said.append(
                f"the uncalibrated model agrees with the survey within sampling error on "
                f"{100 * self.by_heart:.0f} % of the questions: it may know the survey by heart. "
                "Ask questions that were fielded after its training"
            )
        return said


def guard_answer_key(
    training: ChoiceData, held_out: ChoiceData, *, rng: np.random.Generator, **settings: Any
) -> KeyGuard:
    """Fit the calibration to the model, to no model, and to a shuffled model, and score all three.

    Parameters
    ----------
    training, held_out
        The two parts of a split by questions.
    settings
        Passed to `fit_choice`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> def make(i):
    ...     p = rng.dirichlet([1, 1, 1])
    ...     return SurveyQuestion(f"q{i}", 2 * np.log(p)[None], rng.multinomial(400, p)[None])
    >>> data = ChoiceData(tuple(make(i) for i in range(30)), ("p",), ("g",))
    >>> training, held_out = data.split(questions=[f"q{i}" for i in range(20, 30)])
    >>> guard_answer_key(training, held_out, rng=rng).passes
    True
    """
    fit = fit_choice(training, **settings)
    refuse_seen(fit, held_out)
    blank_fit = fit_choice(_blank(training), **{**settings, "slope": False, "weights": "fixed"})
    deranged = _shuffled(training.questions, rng)
    mixed_fit = _fit_or_flat(replace(training, questions=deranged), settings)
    swapped = {
        q.id: s for q, s in zip(held_out.questions, _shuffled(held_out.questions, rng), strict=True)
    }
    table = score_table(
        {
            "calibrated": fit.predict,
            "no model": lambda q: blank_fit.predict(_blanked(q)),
            "shuffled": lambda q: mixed_fit.predict(swapped[q.id]),
        },
        held_out,
        against="calibrated",
    )
    controls = table.filter((pl.col("score") == "log") & (pl.col("forecast") != "calibrated"))
    return KeyGuard(table, known_by_heart(held_out), bool((controls["low"] > 0).all()))


def known_by_heart(data: ChoiceData, *, level: float = 0.05) -> float:
    """Share of questions where the raw model is not rejected by a likelihood-ratio test.

    A model that predicts well is off by more than sampling error in a survey of some size; one that
    remembers the published shares is not. Equal persona weights; questions with fewer than 100
    people are left out, and the share is nan if none is left.

    Examples
    --------
    >>> q = SurveyQuestion("q", np.log([[0.3, 0.7]]), np.array([[302, 698]]))
    >>> known_by_heart(ChoiceData((q,), ("p",), ("g",)))
    1.0
    """
    agree = []
    for q in data.questions:
        counts = q.counts.sum(axis=0)
        if counts.sum() < 100:
            continue
        p = np.exp(log_probabilities(q.scores, 1.0, np.zeros(1))).mean(axis=0)
        seen = counts > 0
        with np.errstate(divide="ignore"):
            g = 2 * (counts[seen] * np.log(counts[seen] / counts.sum() / p[seen])).sum()
        agree.append(g <= stats.chi2.ppf(1 - level, q.n_options - 1))
    return float(np.mean(agree)) if agree else float("nan")


def _blanked(q: SurveyQuestion) -> SurveyQuestion:
    return replace(q, scores=np.zeros_like(q.scores))


def _blank(data: ChoiceData) -> ChoiceData:
    return replace(data, questions=tuple(_blanked(q) for q in data.questions))


def _shuffled(
    questions: Sequence[SurveyQuestion], rng: np.random.Generator
) -> tuple[SurveyQuestion, ...]:
    """Each question with the scores of another with as many options; alone it keeps no scores."""
    scores = {q.id: np.zeros_like(q.scores) for q in questions}
    for size in sorted({q.n_options for q in questions}):
        same = [q for q in questions if q.n_options == size]
        if len(same) > 1:
            order = rng.permutation(len(same))
            for place, row in enumerate(order):
                scores[same[row].id] = same[order[place - 1]].scores
    return tuple(replace(q, scores=scores[q.id]) for q in questions)


def _fit_or_flat(data: ChoiceData, settings: dict[str, Any]) -> ChoiceFit:
    """A slope on scores of other questions may run to zero; the control is then without a slope."""
    try:
        return fit_choice(data, **settings)
    except CalibrationError:
        return fit_choice(_blank(data), **{**settings, "slope": False, "weights": "fixed"})
