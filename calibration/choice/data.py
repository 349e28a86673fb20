"""What a choice calibration sees: scores of personas over options, and counts of people.

A question has an id, the log-scores that a model gives to its options when it speaks for each
persona, and the numbers of people of each group who chose each option. Data are split once, by
question and by group, and each part remembers what it is: `fit_choice` takes the one, `score` the
other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration.checks import floats
from abm.errors import CalibrationError, require

__all__ = ["ChoiceData", "SurveyQuestion"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurveyQuestion:
    """One question: what a model says, and what people answered.

    Attributes
    ----------
    id
        Name of the question.
    scores
        Log-scores, shape (n_personas, n_options); minus infinity for an impossible option.
    counts
        People, shape (n_groups, n_options), >= 0; survey weights scaled to the effective number.
    text
        The question as asked, to find the same question under two names.
    ordered
        Whether the options form a scale (the ranked probability score is then defined).

    Examples
    --------
    >>> q = SurveyQuestion("trust", np.zeros((1, 3)), np.array([[5, 3, 2]]))
    >>> q.n_options, q.people
    (3, 10.0)
    """

    id: str
    scores: Array
    counts: Array
    text: str = ""
    ordered: bool = False

    def __post_init__(self) -> None:
        where = f"question {self.id!r}"
        scores = np.atleast_2d(floats(self.scores, f"{where}: scores"))
        counts = np.atleast_2d(floats(self.counts, f"{where}: counts"))
        require(
            isinstance(self.id, str) and scores.ndim == 2 == counts.ndim,
            CalibrationError,
            f"{where}: scores of shape {scores.shape} and counts of shape {counts.shape}, expected "
            "a text as id, (n_personas, n_options) and (n_groups, n_options)",
        )
        require(
            scores.shape[1] == counts.shape[1] >= 2,
            CalibrationError,
            f"{where}: scores over {scores.shape[1]} options and counts over {counts.shape[1]}, "
            "expected the same number, at least 2",
        )
        require(
            bool(np.isfinite(counts).all() and (counts >= 0).all()),
            CalibrationError,
            f"{where}: counts must be finite and >= 0",
        )
        require(
            not np.isnan(scores).any()
            and not np.isposinf(scores).any()
            and bool(np.isfinite(scores).any(axis=1).all()),
            CalibrationError,
            f"{where}: every persona needs log-scores with at least one finite option; a failed "
            "answer has none: leave the persona or the question out, and report it",
        )
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "counts", counts)

    @property
    def n_options(self) -> int:
        return int(self.scores.shape[1])

    @property
    def people(self) -> float:
        return float(self.counts.sum())

    def marks(self) -> frozenset[str]:
        """What the question is known by: its id, its words, and its answers by group."""
        words = " ".join(self.text.lower().split())
        marks = {f"id:{self.id}"} | ({f"text:{words}"} if words else set())
        if self.people >= 100 and self.counts.size >= 5:  # smaller tables may agree by chance
            answers = blake2b(np.ascontiguousarray(self.counts).tobytes(), digest_size=12)
            marks.add(f"answers:{self.n_options}:{answers.hexdigest()}")
        return frozenset(marks)


@dataclass(frozen=True, eq=False)
class ChoiceData:
    """Questions with the personas that answered them and the groups of people who did.

    Attributes
    ----------
    questions
        At least one; ids are unique, and all have the same personas and groups.
    personas, groups
        Names of the rows of `scores` and of `counts`.
    role
        `"all"` before a split, then `"training"` or `"held out"`.

    Raises
    ------
    CalibrationError
        Two questions share an id, or a question has other personas or groups than the rest.

    Examples
    --------
    >>> q = SurveyQuestion("trust", np.zeros((1, 3)), np.array([[5, 3, 2]]))
    >>> data = ChoiceData((q,), personas=("all",), groups=("all",))
    >>> data.people
    10.0
    """

    questions: tuple[SurveyQuestion, ...]
    personas: tuple[str, ...]
    groups: tuple[str, ...]
    role: str = field(default="all")

    def __post_init__(self) -> None:
        good = all(isinstance(q, SurveyQuestion) for q in self.questions)
        require(
            good,
            CalibrationError,
            f"questions = {self.questions!r}, expected SurveyQuestion(...), ...",
            argument="questions",
        )
        require(bool(self.questions), CalibrationError, "no questions to calibrate on")
        ids = [q.id for q in self.questions]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        require(not twice, CalibrationError, f"questions {twice} appear twice")
        for q in self.questions:
            found = (len(q.scores), len(q.counts))
            require(
                found == (len(self.personas), len(self.groups)),
                CalibrationError,
                f"question {q.id!r} has (personas, groups) = {found}, expected "
                f"{(len(self.personas), len(self.groups))}",
            )

    @property
    def people(self) -> float:
        return sum(q.people for q in self.questions)

    @classmethod
    def from_tables(
        cls,
        scores: pl.DataFrame,
        answers: pl.DataFrame,
        *,
        ordered: Collection[str] = (),
        texts: dict[str, str] | None = None,
    ) -> ChoiceData:
        """From tidy tables.

        Parameters
        ----------
        scores
            Columns `question`, `persona`, `option`, `score`: one row per cell, none missing.
        answers
            Columns `question`, `group`, `option`, `count`; an absent cell is a count of 0.
        ordered
            Ids of questions whose options form a scale in the order of appearance.

        Examples
        --------
        >>> scores = pl.DataFrame({"question": ["q", "q"], "persona": ["p", "p"],
        ...                        "option": ["no", "yes"], "score": [-0.7, -0.7]})
        >>> answers = pl.DataFrame({"question": ["q", "q"], "group": ["g", "g"],
        ...                         "option": ["no", "yes"], "count": [30, 70]})
        >>> ChoiceData.from_tables(scores, answers).questions[0].counts.tolist()
        [[30.0, 70.0]]
        """
        _need(scores, "scores", "question", "persona", "option", "score")
        _need(answers, "answers", "question", "group", "option", "count")
        personas = scores["persona"].unique(maintain_order=True).to_list()
        groups = answers["group"].unique(maintain_order=True).to_list()
        questions = []
        for (name,), cells in scores.group_by("question", maintain_order=True):
            options = cells["option"].unique(maintain_order=True).to_list()
            told = answers.filter(pl.col("question") == name)
            unknown = sorted(set(told["option"].to_list()) - set(options), key=str)
            require(
                not unknown,
                CalibrationError,
                f"question {name!r}: people chose {unknown}, and the model was offered {options}",
            )
            questions.append(
                SurveyQuestion(
                    str(name),
                    _matrix(cells, "persona", personas, options, "score", np.nan),
                    _matrix(told, "group", groups, options, "count", 0.0),
                    (texts or {}).get(str(name), ""),
                    name in ordered,
                )
            )
        return cls(tuple(questions), tuple(map(str, personas)), tuple(map(str, groups)))

    def split(
        self, *, questions: Collection[str] = (), groups: Collection[str] = ()
    ) -> tuple[ChoiceData, ChoiceData]:
        """Training data, and what is held out: whole questions, and whole groups of all questions.

        The training part has neither the held-out questions nor a count of the held-out groups.
        The held-out part has the held-out questions (all groups) and, of the others, the held-out
        groups alone.

        Raises
        ------
        CalibrationError
            An unknown name, nothing left to train on, or a held-out question that is the same as
            a training question under another id.

        Examples
        --------
        >>> make = lambda name: SurveyQuestion(name, np.zeros((1, 2)), np.array([[4, 6]]))
        >>> data = ChoiceData((make("a"), make("b")), ("p",), ("g",))
        >>> training, held_out = data.split(questions=["b"])
        >>> [q.id for q in training.questions], [q.id for q in held_out.questions]
        (['a'], ['b'])
        """
        _known("questions", questions, [q.id for q in self.questions])
        _known("groups", groups, self.groups)
        require(
            bool(questions) or bool(groups),
            CalibrationError,
            "nothing is held out: name questions or groups, or a fit cannot be scored",
        )
        hidden = np.array([g in groups for g in self.groups])
        kept = [
            replace(q, counts=np.where(hidden[:, None], 0.0, q.counts))
            for q in self.questions
            if q.id not in questions
        ]
        require(
            sum(q.people for q in kept) > 0,
            CalibrationError,
            "the split leaves no answers to train on",
        )
        out = [q for q in self.questions if q.id in questions]
        refuse_shared([q for q in self.questions if q.id not in questions], out)
        if groups:
            out += [
                replace(q, counts=np.where(hidden[:, None], q.counts, 0.0))
                for q in self.questions
                if q.id not in questions
            ]
        return (
            replace(self, questions=tuple(kept), role="training"),
            replace(self, questions=tuple(out), role="held out"),
        )


def refuse_shared(first: Sequence[SurveyQuestion], second: Sequence[SurveyQuestion]) -> None:
    """Refuse that a question stands on both sides under two ids: it would be its own answer key."""
    known = {mark: q.id for q in first for mark in q.marks()}
    for q in second:
        for mark in sorted(q.marks()):
            require(
                mark not in known,
                CalibrationError,
                f"held-out question {q.id!r} has the same {mark.split(':')[0]} as training question"
                f" {known.get(mark)!r}: a fit would have seen its answer key. Keep both on one "
                "side of the split",
            )


def _known(what: str, names: Collection[str], all_names: Sequence[str]) -> None:
    unknown = sorted(set(names) - set(all_names))
    require(not unknown, CalibrationError, f"unknown {what} {unknown}; there are {list(all_names)}")


def _need(table: pl.DataFrame, what: str, *names: str) -> None:
    missing = [name for name in names if name not in table.columns]
    require(
        not missing,
        CalibrationError,
        f"the table of {what} lacks the columns {missing}; it has {table.columns}",
    )


def _matrix(
    table: pl.DataFrame, row: str, rows: list[str], options: list[str], value: str, absent: float
) -> Array:
    result = np.full((len(rows), len(options)), absent)
    for r, o, v in table.select(row, "option", value).iter_rows():
        i, j = rows.index(r), options.index(o)
        require(
            absent == 0.0 or np.isnan(result[i, j]),
            CalibrationError,
            f"two rows for {row} {r!r}, option {o!r} in the table of {value}s",
        )
        result[i, j] = v if np.isnan(absent) else result[i, j] + v
    return result
