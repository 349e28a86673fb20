"""Rules as policies: a vectorised function of the fields answers a batch of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from abm.errors import PolicyError, require
from abm.policies.base import Policy
from abm.policies.coverage import DEFAULT_FLOOR
from abm.questions import Answer, Question, Request, Value

__all__ = ["ByQuestion", "Columns", "RulePolicy", "column", "stack"]

Returns = Literal["log_scores", "probabilities", "texts"]


class Columns(dict[str, NDArray[Any]]):
    """The fields of n requests: name -> array of shape (n,).

    Attributes
    ----------
    n
        Number of requests; it cannot be read off the arrays where a question has no fields.

    Examples
    --------
    >>> Columns({}, n=3).n
    3
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]], n: int) -> None:
        super().__init__(columns)
        self.n = n


class RulePolicy:
    """A rule: code that answers from the fields alone.

    Parameters
    ----------
    function
        For choices, `function(fields, options)`: `fields` maps each field to an array of shape
        (n,), with n as `fields.n`, and `options` is the menu; returns an array of shape
        (n, n_options). For texts, `function(fields)` returns n texts; `fields["_seed"]` then
        holds each request's seed.
        It must treat rows independently and use elementwise operations: a matrix product may
        round differently in another batch, and equal requests must get equal answers in any batch.
    name, version
        Identity of the rule. Raise the version whenever the rule changes.
    returns
        What `function` returns: `log_scores` (need not be normalised), `probabilities` (each row
        sums to 1) or `texts`.

    Raises
    ------
    PolicyError
        The function returned another shape, a nan, or rows that are no probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.questions import Question
    >>> ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    >>> def young(fields, options):
    ...     yes = np.where(fields["age"] < 40, 0.75, 0.25)
    ...     return np.column_stack([yes, 1 - yes])  # of shape (fields.n, 2)
    >>> rule = RulePolicy(young, "young", returns="probabilities")
    >>> [float(np.exp(a.scores[0])) for a in rule.answer([ban.request({"age": 30})])]
    [0.75]
    """

    recorded = False

    def __init__(
        self,
        function: Callable[..., Any],
        name: str = "rule",
        version: int = 1,
        *,
        returns: Returns = "log_scores",
    ) -> None:
        require(
            returns in ("log_scores", "probabilities", "texts"),
            PolicyError,
            f"returns = {returns!r}, expected 'log_scores', 'probabilities' or 'texts'",
        )
        self.function, self.name, self.version, self.returns = function, name, version, returns

    @property
    def fingerprint(self) -> str:
        return f"rule:{self.name}:{self.version}"

    def __repr__(self) -> str:
        return f"RulePolicy({self.name!r}, version={self.version}, returns={self.returns!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        answers: list[Answer | None] = [None] * len(requests)
        for rows in _alike(requests):
            group = [requests[row] for row in rows]
            for row, answer in zip(rows, self._answer_group(group), strict=True):
                answers[row] = answer
        return [answer for answer in answers if answer is not None]

    def _answer_group(self, group: list[Request]) -> list[Answer]:
        question, columns = group[0].question, stack([request.fields for request in group])
        source = self.fingerprint
        if question.options is None:
            seeds = np.array([request.seed for request in group], dtype=np.uint64)
            texts = self.texts(question, Columns({**columns, "_seed": seeds}, len(group)))
            return [Answer(text=text, source=source) for text in texts]
        scores = self.scores(question, columns).tolist()
        return [Answer(scores=tuple(row), coverage=1.0, source=source) for row in scores]

    def scores(self, question: Question, columns: Columns) -> NDArray[np.float64]:
        """Log-scores of shape (n, n_options) from columns of shape (n,): the columnar form."""
        require(
            self.returns != "texts" and question.options is not None,
            PolicyError,
            f"{self!r} cannot answer question {question.id!r}, which has "
            + ("options" if question.options else "no options"),
        )
        options, n = question.options or (), columns.n
        raw = np.asarray(self.function(columns, options), dtype=np.float64)
        require(
            raw.shape == (n, len(options)),
            PolicyError,
            f"{self!r} on question {question.id!r} returned shape {raw.shape}, expected "
            f"(n, n_options) = {(n, len(options))}",
        )
        if self.returns == "probabilities":
            self._check_probabilities(question, columns, raw)
            with np.errstate(divide="ignore"):
                return np.log(raw)
        self._blame(question, columns, raw, np.isnan(raw.sum(axis=1)), "no nan")
        return raw

    def texts(self, question: Question, columns: Columns) -> list[str]:
        """n texts from columns of shape (n,)."""
        require(
            self.returns == "texts",
            PolicyError,
            f"{self!r} cannot answer question {question.id!r}, which asks for a text; "
            "declare returns='texts'",
        )
        texts = list(self.function(columns))
        require(
            len(texts) == columns.n and all(isinstance(text, str) for text in texts),
            PolicyError,
            f"{self!r} on question {question.id!r} returned {len(texts)} values, "
            f"expected {columns.n} texts",
        )
        return texts

    def _check_probabilities(
        self, question: Question, columns: Columns, raw: NDArray[np.float64]
    ) -> None:
        wrong = ~((raw >= 0).all(axis=1) & (np.abs(raw.sum(axis=1) - 1.0) < 1e-6))
        self._blame(question, columns, raw, wrong, "probabilities that sum to 1")

    def _blame(
        self,
        question: Question,
        columns: Columns,
        raw: NDArray[np.float64],
        wrong: NDArray[np.bool_],
        expected: str,
    ) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            fields = {name: column[row] for name, column in columns.items()}
            raise PolicyError(
                f"{self!r} on question {question.id!r} with {fields} returned "
                f"{raw[row].tolist()}, expected {expected}",
                policy=self.name,
            )


class ByQuestion:
    """Several policies behind one name: each question id has its own.

    Parameters
    ----------
    policies
        Question id -> policy; all recorded or none.

    Examples
    --------
    >>> from abm.questions import Question, TextConstraint
    >>> post = Question("post", 1, "Write.", text=TextConstraint(9))
    >>> twin = ByQuestion({"post": RulePolicy(lambda f: ["hello"] * f.n, returns="texts")})
    >>> twin.answer([post.request({}, seed=1)])[0].text
    'hello'
    """

    def __init__(self, policies: Mapping[str, Policy], name: str = "by_question") -> None:
        self.policies, self.name = dict(policies), name
        kinds = {bool(policy.recorded) for policy in self.policies.values()}
        require(
            len(kinds) == 1,
            PolicyError,
            f"ByQuestion({sorted(self.policies)}): expected policies that are all recorded or all "
            "not; declare the others under a name of their own and assign by question",
        )
        self.recorded = kinds.pop()
        floors = {getattr(policy, "coverage_floor", DEFAULT_FLOOR) for policy in policies.values()}
        require(
            len(floors) == 1,
            PolicyError,
            f"ByQuestion({sorted(self.policies)}): the coverage floors {sorted(floors)} differ; "
            "declare one, or assign by question with PerQuestion",
        )
        self.coverage_floor: float = floors.pop()

    @property
    def fingerprint(self) -> str:
        parts = (f"{key}={self.policies[key].fingerprint}" for key in sorted(self.policies))
        return "by_question(" + ",".join(parts) + ")"

    def __repr__(self) -> str:
        return f"ByQuestion({self.policies!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        answers: dict[int, Answer] = {}
        rows_of: dict[str, list[int]] = {}
        for row, request in enumerate(requests):
            rows_of.setdefault(request.question.id, []).append(row)
        for name, rows in rows_of.items():
            part = self.policy(name).answer([requests[row] for row in rows])
            answers.update(zip(rows, part, strict=True))
        return [answers[row] for row in range(len(requests))]

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that leave no trace."""
        policies = [self.policy(request.question.id) for request in requests]
        pairs = zip(policies, requests, strict=True)
        return [getattr(policy, "peek", policy.answer)([r])[0] for policy, r in pairs]

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]] | None:
        """The prompt exactly as sent and its token ids, if the policy sends one."""
        sent = getattr(self.policy(request.question.id), "as_sent", None)
        return None if sent is None else sent(request)

    def policy(self, question_id: str) -> Policy:
        """The policy of a question."""
        require(
            question_id in self.policies,
            PolicyError,
            f"{self.name!r} has no policy for question {question_id!r}; it has "
            f"{sorted(self.policies)}",
        )
        return self.policies[question_id]


def stack(fields: Sequence[Sequence[tuple[str, Value]]]) -> Columns:
    """Columns from the (name, value) pairs of requests that have the same names and types.

    Texts, numbers and truth values become arrays of their own type; tuples of texts and integers
    beyond 64 bits stay Python objects in an array of objects.

    Examples
    --------
    >>> stack([(("age", 30), ("party", "left")), (("age", 50), ("party", "right"))])["age"].tolist()
    [30, 50]
    """
    names = [name for name, _ in fields[0]] if fields else []
    columns = {
        name: column([pairs[place][1] for pairs in fields]) for place, name in enumerate(names)
    }
    return Columns(columns, n=len(fields))


def column(values: Sequence[Value]) -> NDArray[Any]:
    """An array of shape (n,) from values of one type."""
    first = values[0]
    plain = isinstance(first, (bool, float))
    plain = plain or (isinstance(first, int) and all(-(2**63) <= v < 2**63 for v in values))  # type: ignore[operator]
    plain = plain or (isinstance(first, str) and not any(v.endswith("\0") for v in values))  # type: ignore[union-attr]
    if plain:
        return np.array(values)
    result = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        result[row] = value
    return result


def _alike(requests: Sequence[Request]) -> list[list[int]]:
    """Rows grouped by question and by the names and types of the fields."""
    groups: dict[Any, list[int]] = {}
    for row, request in enumerate(requests):
        shape = tuple((name, type(value)) for name, value in request.fields)
        groups.setdefault((request.question.digest, shape), []).append(row)
    return list(groups.values())
