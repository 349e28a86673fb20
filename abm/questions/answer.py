"""What a policy returns: raw log-scores over the options, or a text, with status and cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from abm.errors import PolicyError, require

__all__ = ["Answer", "Kind", "Status"]


class Status(StrEnum):
    """What became of a request. Anything but `ok` is a failure, and a failure is data."""

    OK = "ok"
    OFF_MENU = "off_menu"
    CONTEXT_OVERFLOW = "context_overflow"
    TRUNCATED = "truncated"
    INVALID = "invalid"
    OUT_OF_LANGUAGE = "out_of_language"
    TIMEOUT = "timeout"
    BACKEND_ERROR = "backend_error"

    @property
    def transient(self) -> bool:
        """Whether asking again may help: time-outs and backend errors only."""
        return self in (Status.TIMEOUT, Status.BACKEND_ERROR)


class Kind(StrEnum):
    """How a choice was obtained.

    `exact`: the distribution given the prompt. `conditional`: generated reasoning precedes the
    choice. `sampled`: a server gave no probabilities, so the scores are counts of draws.
    """

    EXACT = "exact"
    CONDITIONAL = "conditional"
    SAMPLED = "sampled"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, before any transform and before anybody's chance.

    Parameters
    ----------
    status
        `ok`, or the name of the failure.
    scores
        Raw natural-log scores in the declared order of the options, shape (n_options,); `None` for
        text and for failures without a distribution. They need not be normalised.
    coverage
        Probability mass that the model gives to the menu at all, in [0, 1]; `None` where unknown.
    text
        The text, for a text question.
    kind
        `exact`, `conditional` or `sampled`.
    tokens_in, tokens_out
        Tokens that the request costs when nothing is cached (notional cost).
    source
        Fingerprint of the policy or backend that answered.
    detail
        What went wrong, in words, for a failure.

    Examples
    --------
    >>> Answer(scores=(0.0, -1.0)).ok
    True
    >>> Answer.failed(Status.TIMEOUT, "no answer in 30 s").status
    <Status.TIMEOUT: 'timeout'>
    """

    status: Status = Status.OK
    scores: tuple[float, ...] | None = None
    coverage: float | None = None
    text: str | None = None
    kind: Kind = Kind.EXACT
    tokens_in: int = 0
    tokens_out: int = 0
    source: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @classmethod
    def failed(cls, status: Status, detail: str, **values: Any) -> Answer:
        """A failure without a distribution or text."""
        require(status is not Status.OK, PolicyError, "a failure needs a status other than ok")
        return cls(status=status, detail=detail, **values)

    def to_row(self) -> dict[str, Any]:
        """Plain values, for a table or JSON. `Answer.from_row` is the inverse, to the bit."""
        return {
            "status": str(self.status),
            "scores": None if self.scores is None else list(self.scores),
            "coverage": self.coverage,
            "text": self.text,
            "kind": str(self.kind),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "source": self.source,
            "detail": self.detail,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Answer:
        """The answer of a row that `to_row` gave, also after a way through JSON.

        Examples
        --------
        >>> answer = Answer(scores=(-0.5, -1.0), coverage=0.75)
        >>> Answer.from_row(answer.to_row()) == answer
        True
        """
        scores = row["scores"]
        return cls(
            **{
                **row,
                "status": Status(row["status"]),
                "kind": Kind(row["kind"]),
                "scores": None if scores is None else tuple(scores),
            }
        )
