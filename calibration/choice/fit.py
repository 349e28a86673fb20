"""Fit temperature, option bias and persona weights to survey answers by maximum likelihood.

Given the persona weights, slope and bias are one smooth problem; given slope and bias, the weights
are a concave one. The fit alternates between the two, and the likelihood never falls. With
`hierarchical`, each question has its own slope and biases, normal around common values; the common
values and their spread are estimated by expectation-maximisation with Laplace's approximation
(Gelman et al. 2013, Bayesian Data Analysis, section 13.6), and a new question is predicted with
the spread integrated out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import check_options, floats
from abm.calibration.choice.data import ChoiceData, SurveyQuestion
from abm.calibration.choice.levels import Levels, fit_levels
from abm.calibration.choice.mixture import mixture_weights
from abm.calibration.choice.slopes import Layout, log_probabilities, log_slopes
from abm.errors import CalibrationError, require
from abm.linear_algebra import one_thread
from abm.questions import Transform
from abm.rng import chance

__all__ = ["ChoiceFit", "fit_choice", "question_bootstrap"]

Array = NDArray[np.float64]
Weighting = Literal["fixed", "pooled", "by group"]
N_DRAWS = 256


@dataclass(frozen=True, eq=False)
class ChoiceFit:
    """What maps a model's answers to survey answers.

    Attributes
    ----------
    layout, vector
        Names and values of log slope and bias contrasts (population values if hierarchical).
    spread
        Standard deviation over questions of each entry of `vector`; zeros if not hierarchical.
    effects
        Question id -> its own vector, if hierarchical.
    weights
        Shape (n_groups, n_personas), rows sum to 1.
    log_likelihood
        Of the training answers; with the questions' own vectors if hierarchical.
    n_parameters, n_answers
        Free parameters, and independent shares of answers (cells minus one per question and group
        in which people are).
    weights_unique
        Whether the persona weights are determined, and not only their mixture.
    seen, groups_seen
        What the fit was trained on; `score` refuses to count it as held out.
    """

    layout: Layout
    vector: Array
    spread: Array
    effects: Mapping[str, Array]
    weights: Array
    log_likelihood: float
    n_parameters: int
    n_answers: int
    weights_unique: bool
    seen: frozenset[str]
    groups_seen: frozenset[str]
    personas: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def temperature(self) -> float:
        """1 / slope: above 1 the model is surer than people."""
        return float(np.exp(-self.vector[0])) if self.layout.slope else 1.0

    def bias(self, n_options: int) -> Array:
        """Added to slope x score, per position; sums to 0; zeros where no fit has seen it."""
        return self.layout.read(self.vector, n_options)[1]

    def transform(self, n_options: int) -> Transform:
        """The fit as the declared transform of a choice: (score - option_bias) / temperature."""
        slope, bias = self.layout.read(self.vector, n_options)
        return Transform(temperature=1 / slope, option_bias=tuple(-bias / slope))

    def predict(self, question: SurveyQuestion) -> Array:
        """Probabilities of the options by group, shape (n_groups, n_options)."""
        if question.id in self.effects:
            return self._with(self.effects[question.id], question)
        if not self.spread.any():
            return self._with(self.vector, question)
        normal = chance(0, "choice prediction").standard_normal((N_DRAWS // 2, self.layout.size))
        draws = self.vector + np.concatenate([normal, -normal]) * self.spread
        return np.asarray(np.mean([self._with(draw, question) for draw in draws], axis=0))

    def _with(self, vector: Array, question: SurveyQuestion) -> Array:
        slope, bias = self.layout.read(vector, question.n_options)
        mixed: Array = self.weights @ np.exp(log_probabilities(question.scores, slope, bias))
        return mixed

    def table(self) -> pl.DataFrame:
        """Parameters and weights: `quantity`, `of`, `value`, `spread` (over questions)."""
        rows: list[dict[str, Any]] = [
            {"quantity": "temperature", "of": "", "value": self.temperature, "spread": None}
        ]
        for k in self.layout.sizes if self.layout.bias else ():
            rows += [
                {"quantity": "bias", "of": f"option {i + 1} of {k}", "value": v, "spread": None}
                for i, v in enumerate(self.bias(k).tolist())
            ]
        if self.spread.any():
            rows += [
                {"quantity": "vector", "of": name, "value": value, "spread": spread}
                for name, value, spread in zip(
                    self.layout.names, self.vector.tolist(), self.spread.tolist(), strict=True
                )
            ]
        for g, group in enumerate(self.groups):
            rows += [
                {"quantity": "weight", "of": f"{group}: {p}", "value": w, "spread": None}
                for p, w in zip(self.personas, self.weights[g].tolist(), strict=True)
            ]
        schema = {"quantity": pl.String, "of": pl.String, "value": pl.Float64, "spread": pl.Float64}
        return pl.DataFrame(rows, schema=schema)


@one_thread()
def fit_choice(
    data: ChoiceData,
    *,
    slope: bool = True,
    bias: bool = True,
    weights: Weighting = "fixed",
    persona_weights: ArrayLike | None = None,
    hierarchical: bool = False,
    ridge: float = 0.0,
    pseudocounts: float = 0.0,
    tolerance: float = 1e-6,
    max_rounds: int = 200,
) -> ChoiceFit:
    """Fit slope, bias and persona weights.

    Parameters
    ----------
    data
        All questions, or the training part of a split.
    slope, bias
        Which of the two to fit; a slope that is not fitted is 1.
    weights
        `"fixed"`: as given; `"pooled"`: one mixture for all groups; `"by group"`: one for each
        group in which people answered, the pooled one for the others.
    persona_weights
        Start, or the fixed weights: shape (n_personas,) or (n_groups, n_personas); equal by
        default.
    hierarchical
        Slopes and biases vary between questions around common values.
    ridge
        Penalty ridge / 2 x squared bias contrasts, in units of log-likelihood; >= 0.
    pseudocounts
        As in `mixture_weights`.
    tolerance
        The alternation ends when a round adds less than this to the log-likelihood.

    Raises
    ------
    CalibrationError
        The held-out part of a split; as many parameters as shares of answers; no convergence.

    Examples
    --------
    >>> scores = np.log([[0.9, 0.1]])
    >>> questions = [SurveyQuestion(name, scores, np.array([[750, 250]])) for name in "ab"]
    >>> data = ChoiceData(tuple(questions), ("p",), ("g",))
    >>> fit = fit_choice(data, bias=False)
    >>> round(fit.temperature, 6)  # log(0.9 / 0.1) / log(0.75 / 0.25)
    2.0
    """
    check_options(fit_choice, locals())
    _check(data, weights, ridge)
    layout = Layout.of(data.questions, slope=slope, bias=bias)
    free = _refuse_answer_key(data, layout, weights, hierarchical)
    climb = _Climb(data, layout, weights, hierarchical, ridge, pseudocounts)
    found = climb.run(_start(persona_weights, data), tolerance, max_rounds)
    return ChoiceFit(
        layout,
        found.levels.centre,
        found.levels.spread,
        found.levels.effects if hierarchical else {},
        found.mixing,
        found.value,
        *free,
        found.unique,
        frozenset().union(*(q.marks() for q in data.questions)),
        _answering(data),
        data.personas,
        data.groups,
    )


@dataclass(frozen=True)
class _Climb:
    """The alternation between slope and bias, and weights; the likelihood never falls."""

    data: ChoiceData
    layout: Layout
    weights: Weighting
    hierarchical: bool
    ridge: float
    pseudocounts: float

    def run(self, mixing: Array, tolerance: float, max_rounds: int) -> _Top:
        """Rounds until one adds less than the tolerance.

        Raises
        ------
        CalibrationError
            Still climbing after `max_rounds`.
        """
        questions, fixed = self.data.questions, self.weights == "fixed"
        levels = Levels.start(self.layout, questions)
        value, unique = -np.inf, True
        for _ in range(max_rounds):
            levels = fit_levels(
                questions, mixing, self.layout, levels, self.hierarchical, self.ridge
            )
            if not fixed:
                mixing, unique = _weights(
                    self.data, self.layout, levels, self.weights, self.pseudocounts
                )
            grown = _likelihood(self.data, self.layout, levels, mixing)
            least = tolerance * max(1.0, abs(grown) * 1e-3)
            if fixed or abs(grown - value) <= least:
                return _Top(levels, mixing, unique, grown)
            value = grown
        raise CalibrationError(
            f"slope, bias and weights still change after {max_rounds} rounds: raise max_rounds, "
            "or fix the weights"
        )


@dataclass(frozen=True)
class _Top:
    """Where a climb ended."""

    levels: Levels
    mixing: Array
    unique: bool
    value: float


def _refuse_answer_key(
    data: ChoiceData, layout: Layout, weights: Weighting, hierarchical: bool
) -> tuple[int, int]:
    """(free parameters, independent shares of answers); refused where the one reaches the other."""
    n_parameters = _free(data, layout, weights)
    n_answers = sum(
        int((q.counts.sum(axis=1) > 0).sum()) * (q.n_options - 1) for q in data.questions
    )
    require(
        hierarchical or n_parameters < n_answers,
        CalibrationError,
        f"{n_parameters} free parameters for {n_answers} independent shares of answers: the fit "
        "would be the answer key itself. Add questions, or fit fewer of slope, bias and weights",
        n_parameters=n_parameters,
        n_answers=n_answers,
    )
    return n_parameters, n_answers


def _answering(data: ChoiceData) -> frozenset[str]:
    """Groups in which somebody answered."""
    people = sum(q.counts.sum(axis=1) for q in data.questions)
    return frozenset(group for group, n in zip(data.groups, people, strict=True) if n > 0)


def question_bootstrap(
    data: ChoiceData, *, n: int = 200, level: float = 0.9, rng: np.random.Generator, **settings: Any
) -> pl.DataFrame:
    """Intervals of a fit when questions are drawn anew: the questions are the sample, not people.

    Parameters
    ----------
    n
        Resamples of the questions, >= 20.
    settings
        Passed to `fit_choice`.

    Returns
    -------
    The table of the fit with `low`, `high`, `level` and `n` (percentile bootstrap).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> make = lambda i: SurveyQuestion(f"q{i}", np.log([[0.9, 0.1]]),
    ...                                 rng.multinomial(500, [0.75, 0.25])[None])
    >>> data = ChoiceData(tuple(make(i) for i in range(6)), ("p",), ("g",))
    >>> table = question_bootstrap(data, n=20, rng=rng, bias=False)
    >>> bool(table["low"][0] < 2.0 < table["high"][0])
    True
    """
    require(n >= 20, CalibrationError, f"n = {n} resamples, expected >= 20")
    whole = fit_choice(data, **settings).table()
    values = []
    for _ in range(n):
        rows = rng.integers(0, len(data.questions), len(data.questions))
        drawn = tuple(_renamed(data.questions[r], i) for i, r in enumerate(rows))
        again = ChoiceData(drawn, data.personas, data.groups, data.role)
        found = fit_choice(again, **settings).table()
        joined = whole.select("quantity", "of").join(
            found, on=["quantity", "of"], how="left", maintain_order="left"
        )
        values.append(joined["value"].to_numpy())
    low, high = np.nanquantile(np.array(values), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return whole.with_columns(
        low=pl.Series(low), high=pl.Series(high), level=pl.lit(level), n=pl.lit(n)
    )


def _renamed(q: SurveyQuestion, i: int) -> SurveyQuestion:
    return SurveyQuestion(f"{q.id} ({i})", q.scores, q.counts, "", q.ordered)


def _check(data: ChoiceData, weights: str, ridge: float) -> None:
    require(
        data.role != "held out",
        CalibrationError,
        "this is the held-out part of a split: a fit may not see it. Fit the training part",
    )
    require(
        weights in ("fixed", "pooled", "by group"),
        CalibrationError,
        f"weights = {weights!r}, expected 'fixed', 'pooled' or 'by group'",
    )
    require(ridge >= 0, CalibrationError, f"ridge = {ridge}, expected >= 0")
    require(data.people > 0, CalibrationError, "nobody answered: all counts are 0")


def _start(given: ArrayLike | None, data: ChoiceData) -> Array:
    shape = (len(data.groups), len(data.personas))
    if given is None:
        return np.full(shape, 1 / shape[1])
    w = floats(given, "persona_weights", argument="persona_weights")
    require(
        w.shape in (shape, shape[1:]) and bool((w >= 0).all() and np.allclose(w.sum(axis=-1), 1)),
        CalibrationError,
        f"persona_weights = {w.tolist()}, expected numbers >= 0 that sum to 1 for each group, of "
        f"shape {shape[1:]} or {shape}",
        argument="persona_weights",
    )
    return np.array(np.broadcast_to(w, shape))


def _free(data: ChoiceData, layout: Layout, weights: str) -> int:
    answered = len(_answering(data))
    mixtures = {"fixed": 0, "pooled": 1, "by group": answered}[weights]
    return layout.size + mixtures * (len(data.personas) - 1)


def _weights(
    data: ChoiceData, layout: Layout, levels: Levels, weights: str, pseudocounts: float
) -> tuple[Array, bool]:
    blocks = []
    for q in data.questions:
        slope, bias = layout.read(levels.of(q), q.n_options)
        blocks.append(np.exp(log_probabilities(q.scores, slope, bias)))
    cells = np.concatenate(blocks, axis=1)
    counts = np.concatenate([q.counts for q in data.questions], axis=1)
    pooled = mixture_weights(cells, counts.sum(axis=0), pseudocounts=pseudocounts)
    result = np.tile(pooled.weights, (len(data.groups), 1))
    unique = pooled.unique
    if weights == "by group":
        for g in range(len(data.groups)):
            if counts[g].sum() > 0:
                own = mixture_weights(cells, counts[g], pseudocounts=pseudocounts)
                result[g], unique = own.weights, unique and own.unique
    return result, unique


def _likelihood(data: ChoiceData, layout: Layout, levels: Levels, mixing: Array) -> float:
    return sum(log_slopes(q, levels.of(q), mixing, layout)[0] for q in data.questions)
