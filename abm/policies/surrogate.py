"""A statistical stand-in for a language model: a multinomial logit fitted to recorded answers.

The targets are whole distributions, so one recorded answer teaches as much as many draws. Features
come from the fields alone: numbers linearly and squared, texts and short lists by level. The fit
says how far it is from the answers that it was not shown.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import PolicyError, require
from abm.policies.features import Features
from abm.policies.logit import fit_weights, held_out, logit_scores
from abm.questions import Answer, Request, Status, distribution

__all__ = ["FitReport", "SurrogatePolicy"]

_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitReport:
    """How well a surrogate stands in for the answers to one question.

    Attributes
    ----------
    n_answers, n_skipped
        Distinct answers used, and failures left out.
    total_variation
        Mean distance to answers held out in cross-validation: half the sum of absolute
        differences, in [0, 1].
    worst
        The largest of these distances.
    baseline
        The same for a surrogate that always answers with the mean distribution.
    ridge
        Penalty, chosen by the same cross-validation, so `total_variation` is slightly optimistic.
    ignored
        Fields that were not used: constant, or texts with too many levels.
    """

    question: str
    n_answers: int
    n_skipped: int
    total_variation: float
    worst: float
    baseline: float
    ridge: float
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        ignored = f"; ignored {', '.join(self.ignored)}" if self.ignored else ""
        return (
            f"{self.question}: held-out total variation {self.total_variation:.3f} "
            f"(worst {self.worst:.3f}, mean distribution {self.baseline:.3f}) from "
            f"{self.n_answers} answers, {self.n_skipped} failures left out{ignored}"
        )


class SurrogatePolicy:
    """Answers like recorded answers, at the price of a rule. Make one with `SurrogatePolicy.fit`.

    A question that was not fitted, or lacks a fitted field, is the failure `out_of_language`.
    Numbers beyond those seen count as the nearest seen; a level never seen counts as the average.

    Attributes
    ----------
    reports
        Question id -> `FitReport`.

    Examples
    --------
    >>> from abm.questions import Question
    >>> ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    >>> recorded = [(ban.request({"age": age}), Answer(scores=(age / 50 - 1, 0.0)))
    ...             for age in range(20, 80)]
    >>> surrogate = SurrogatePolicy.fit(recorded)
    >>> surrogate.reports["ban"].total_variation < 0.01
    True
    """

    recorded = False

    def __init__(self, models: Iterable[_Logit], *, name: str = "surrogate") -> None:
        self.name = name
        self._models = {model.digest: model for model in models}
        self.reports = {model.report.question: model.report for model in self._models.values()}
        body = json.dumps(self._plain(), sort_keys=True).encode()
        self.fingerprint = f"surrogate:{sha256(body).hexdigest()}"

    def __repr__(self) -> str:
        return f"SurrogatePolicy({sorted(self.reports)})"

    @classmethod
    def fit(
        cls,
        recorded: Iterable[tuple[Request, Answer]],
        *,
        folds: int = 5,
        ridges: Sequence[float] = _RIDGES,
        interactions: bool = False,
        name: str = "surrogate",
    ) -> SurrogatePolicy:
        """Fit one logit per question.

        Parameters
        ----------
        recorded
            Requests with their answers, such as
            `((e.request, e.answer) for _, e in ledger.entries(fingerprint=...))`. Texts and
            failures are left out.
        folds
            Parts of the cross-validation, >= 2. Who is in which part depends on the request alone.
        ridges
            Penalties to choose from, > 0.
        interactions
            Whether products of features are features too.

        Raises
        ------
        PolicyError
            Fewer than two answers per part for some question, or nothing to fit.
        """
        require(folds >= 2, PolicyError, f"folds = {folds}, expected >= 2")
        good = bool(ridges) and min(ridges) > 0
        require(good, PolicyError, f"ridges = {tuple(ridges)}, expected numbers > 0")
        groups: dict[str, dict[Request, Answer]] = {}
        skipped: Counter[str] = Counter()
        for request, answer in recorded:
            if request.question.options is None:
                continue
            digest = request.question.digest
            groups.setdefault(digest, {})
            if answer.ok and answer.scores is not None:
                groups[digest][request] = answer
            else:
                skipped[digest] += 1
        require(
            bool(groups),
            PolicyError,
            "SurrogatePolicy.fit: no answers to choice questions; record some with a language "
            "model first",
        )
        models = [
            _fit(digest, group, skipped[digest], folds, ridges, interactions)
            for digest, group in groups.items()
        ]
        return cls(models, name=name)

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        answers: dict[int, Answer] = {}
        rows_of: dict[str, list[int]] = {}
        for row, request in enumerate(requests):
            model = self._models.get(request.question.digest)
            lacking = "" if model is None else model.features.lacking(request)
            if model is None or lacking:
                answers[row] = self._unknown(request, lacking)
            else:
                rows_of.setdefault(model.digest, []).append(row)
        for digest, rows in rows_of.items():
            scores = self._models[digest].scores([requests[row] for row in rows]).tolist()
            for row, values in zip(rows, scores, strict=True):
                answers[row] = Answer(scores=tuple(values), coverage=1.0, source=self.fingerprint)
        return [answers[row] for row in range(len(requests))]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the surrogate as JSON; `load` reads it back to the bit."""
        Path(path).write_text(json.dumps({"name": self.name, "models": self._plain()}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SurrogatePolicy:
        """Read what `save` wrote."""
        try:
            made = json.loads(Path(path).read_text())
            return cls([_Logit.from_plain(model) for model in made["models"]], name=made["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PolicyError(
                f"{path} is no surrogate written by SurrogatePolicy.save: {error}", path=path
            ) from error

    def _plain(self) -> list[dict[str, Any]]:
        return [model.plain() for _, model in sorted(self._models.items())]

    def _unknown(self, request: Request, lacking: str) -> Answer:
        question = request.question
        cause = f"needs {lacking}" if lacking else f"was fitted to {sorted(self.reports)}"
        return Answer.failed(
            Status.OUT_OF_LANGUAGE,
            f"the surrogate {cause}; question {question.id!r} version {question.version} has the "
            f"fields {[name for name, _ in request.fields]}",
            source=self.fingerprint,
        )


@dataclass(frozen=True)
class _Logit:
    """scores = weights[0] + features @ weights[1:], for one question."""

    digest: str
    features: Features
    weights: _Array
    report: FitReport

    def scores(self, requests: Sequence[Request]) -> _Array:
        return logit_scores(self.features.matrix(requests), self.weights)

    def plain(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "features": self.features.plain(),
            "weights": self.weights.tolist(),
            "report": asdict(self.report),
        }

    @classmethod
    def from_plain(cls, made: dict[str, Any]) -> _Logit:
        report = {**made["report"], "ignored": tuple(made["report"]["ignored"])}
        return cls(
            made["digest"],
            Features.from_plain(made["features"]),
            np.array(made["weights"], dtype=np.float64),
            FitReport(**report),
        )


def _fit(
    digest: str,
    group: dict[Request, Answer],
    n_skipped: int,
    folds: int,
    ridges: Sequence[float],
    interactions: bool,
) -> _Logit:
    requests = sorted(group, key=lambda request: request.key)
    require(
        len(requests) >= 2 * folds,
        PolicyError,
        f"SurrogatePolicy.fit: {len(requests)} answers, and {folds} parts need at least "
        f"{2 * folds}; record more, or use fewer folds",
    )
    question = requests[0].question.id
    target = distribution([group[request].scores or () for request in requests])
    features = Features.learn(requests, interactions=interactions)
    x = features.matrix(requests)
    part = np.arange(len(requests)) % folds  # the order of request keys is as good as random
    distances = held_out(x, target, part, ridges)
    ridge = min(ridges, key=lambda value: float(distances[value].mean()))
    report = FitReport(
        question=question,
        n_answers=len(requests),
        n_skipped=n_skipped,
        total_variation=float(distances[ridge].mean()),
        worst=float(distances[ridge].max()),
        baseline=float(held_out(x[:, :0], target, part, [ridge])[ridge].mean()),
        ridge=float(ridge),
        ignored=features.ignored,
    )
    return _Logit(digest, features, fit_weights(x, target, ridge), report)
