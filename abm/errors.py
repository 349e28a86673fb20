"""The errors of Agora: each says which argument, what came, what was expected and what to do.

The tree::

    AbmError
    ├── ScenarioError        a parameter outside its range, an unknown key, a study that cannot run
    ├── QuestionError        a question, template or field that does not hold together
    ├── VisibilityError      `perceive` reached for something its agent cannot see
    ├── PolicyError          a policy that answered wrongly shaped or was never declared
    ├── DecisionFailed       an answer failed and the scenario says `abort`
    ├── BackendError         a language-model backend cannot be built or used
    │   └── ModelFileError   a GGUF that is missing, truncated or of another format
    ├── LedgerError          a ledger that is corrupt, locked or on a full disk
    │   └── ReplayMiss       a replay that lacks an answer; names the request
    ├── PopulationError      columns, rows or ids that do not fit each other
    ├── NetworkError         edges, weights or nodes that do not fit the population
    ├── EngineError          misuse of the clock: re-entry, time running backwards, endless instants
    │   ├── AgentError       an exception in an agent's process; carries agent id and time
    │   └── RuleError        what a rule returned cannot stand: nan, out of range, a negative rate
    ├── AnalysisError        a table or array that an analysis cannot use as it is
    ├── CalibrationError     a prior, target, distance or simulation that a calibration cannot use
    └── MissingExtra         an optional dependency that is not installed; says how to get it
"""

from __future__ import annotations

from typing import Any


class AbmError(Exception):
    """Base of every error raised by Agora. Keyword values are kept as attributes.

    Examples
    --------
    >>> error = AbmError("rate = -1, expected rate >= 0", argument="rate", value=-1)
    >>> error.argument, error.value
    ('rate', -1)
    """

    def __init__(self, message: str = "", /, **values: Any) -> None:
        super().__init__(message)
        self.values = values
        for name, value in values.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # The third element brings back notes and whatever was attached later.
        message = self.args[0] if self.args else ""
        return _rebuild, (type(self), message, self.values), dict(self.__dict__)


def _rebuild(kind: type[AbmError], message: str, values: dict[str, Any]) -> AbmError:
    return kind(message, **values)


class ScenarioError(AbmError):
    """A scenario or study that cannot run as written."""


class QuestionError(AbmError):
    """A question, template, option list or field that does not hold together."""


class VisibilityError(AbmError):
    """`perceive` reached for something that its agent cannot see."""


class PolicyError(AbmError):
    """A policy that answered in the wrong shape, or that nobody declared."""


class DecisionFailed(AbmError):
    """An answer failed and the declared handling is `abort`."""


class BackendError(AbmError):
    """A language-model backend that cannot be built or used."""


class ModelFileError(BackendError):
    """A GGUF file that is missing, truncated or not a GGUF."""


class LedgerError(AbmError):
    """A ledger that is corrupt, held by another process, or on a full disk."""


class ReplayMiss(LedgerError):
    """A replay that lacks an answer. Names the request."""


class PopulationError(AbmError):
    """Columns, rows or ids that do not fit each other."""


class NetworkError(AbmError):
    """Edges, weights or nodes that do not fit."""


class EngineError(AbmError):
    """Misuse of the clock: re-entry, scheduling in the past, an instant that never ends."""


class AgentError(EngineError):
    """An exception inside an agent's process; carries `agent_id` and `time`."""


class RuleError(EngineError):
    """What a rule did cannot stand: nan, a value out of range, a negative rate, an exception.

    Carries `agent` (the row), `time` (of the clock; without a clock the round, counted from 0) and
    `value`.
    """


class AnalysisError(AbmError):
    """A table or array that an analysis cannot use as it is."""


class CalibrationError(AbmError):
    """A prior, target, distance or simulation that a calibration cannot use."""


class MissingExtra(AbmError, ImportError):
    """An optional dependency is not installed. Says which extra brings it."""


def require(condition: bool, error: type[AbmError], message: str, /, **values: Any) -> None:
    """Raise `error(message, **values)` unless `condition` holds."""
    if not condition:
        raise error(message, **values)
