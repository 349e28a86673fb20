"""Who answers: (agent, request, time) -> name of a policy, evaluated when a request is raised."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from abm.errors import PolicyError, require
from abm.questions import Request
from abm.rng import agent_key as as_word
from abm.rng import uniform, uniforms

__all__ = ["Assignment", "Mixture", "PerQuestion", "assigned", "peek_assigned"]


@runtime_checkable
class Assignment(Protocol):
    """Names the policy of a request. What has state is updated per request, in the order raised."""

    def policy_for(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        """Name of the policy that answers this request of this agent."""
        ...


def assigned(
    assignment: Assignment | str, agent_key: int | str, request: Request, time: float
) -> str:
    """The name that an assignment gives; a plain text is one policy for all.

    Examples
    --------
    >>> from abm.questions import Question
    >>> assigned("rule", 7, Question("q", 1, "?", ("a", "b")).request({}), 0.0)
    'rule'
    """
    if isinstance(assignment, str):
        return assignment
    return assignment.policy_for(agent_key, request, time)


def peek_assigned(
    assignment: Assignment | str,
    agent_key: int | str,
    request: Request,
    time: float,
    *,
    agent: Any = None,
) -> str:
    """Like `assigned`, and leaves the assignment's state as it was."""
    if isinstance(assignment, str):
        return assignment
    peek = getattr(assignment, "peek", None)
    if peek is None:
        peek = copy.deepcopy(assignment).policy_for
    return str(peek(agent_key, request, time, agent=agent))


class Mixture:
    """Shares of agents per policy: an agent keeps its policy for life.

    Parameters
    ----------
    shares
        Policy name -> share, >= 0; they sum to 1.
    seed
        Chance seed of the run. Agents are assigned by `uniform(seed, "mixture", key)`.
    keys
        Agent keys, shape (n,). Given: the shares are exact over these agents (largest remainders).
        Not given: every agent draws by itself, and shares hold on average. An agent that is not
        among `keys`, such as a newborn, draws by itself and moves nobody else.
    purpose
        Name of the draw. Two mixtures with different purposes are independent.

    Examples
    --------
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> mixture = Mixture({"llm": 0.1, "rule": 0.9}, seed=1, keys=range(50))
    >>> sum(mixture.policy_for(key, request, 0.0) == "llm" for key in range(50))
    5
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        seed: int,
        *,
        keys: Iterable[int | str] | None = None,
        purpose: str = "mixture",
    ) -> None:
        total = sum(shares.values())
        require(
            bool(shares) and min(shares.values()) >= 0 and math.isclose(total, 1.0, abs_tol=1e-9),
            PolicyError,
            f"Mixture shares = {dict(shares)} sum to {total}, expected shares >= 0 that sum to 1",
        )
        self.shares, self.seed, self.purpose = dict(shares), int(seed), purpose
        self._names = list(self.shares)
        self._bounds = np.cumsum(list(self.shares.values())).tolist()[:-1]
        self._exact = {} if keys is None else self._deal([as_word(key) for key in keys])

    def policy_for(
        self,
        agent_key: int | str,
        request: Request | None = None,
        time: float = 0.0,
        *,
        agent: Any = None,
    ) -> str:
        """Name of the policy of this agent."""
        del request, time, agent
        word = as_word(agent_key)
        if word in self._exact:
            return self._exact[word]
        drawn = uniform(self.seed, self.purpose, word)
        return self._names[bisect_right(self._bounds, drawn)]

    def names_for(self, keys: Sequence[int | str]) -> list[str]:
        """Names of the policies of many agents, in order: `policy_for` of each, as a column."""
        names, places = self.columns_for(np.array([as_word(key) for key in keys], dtype=np.uint64))
        return [names[place] for place in places.tolist()]

    def columns_for(self, words: NDArray[np.uint64]) -> tuple[list[str], NDArray[np.int64]]:
        """Names, and the place among them of each agent's policy, shape (n,).

        Parameters
        ----------
        words
            Agent keys as 64-bit words (`abm.rng.agent_key`), shape (n,).
        """
        drawn = uniforms(self.seed, self.purpose, words)
        places = np.searchsorted(self._bounds, drawn, side="right").astype(np.int64)
        if self._exact:
            of = {name: place for place, name in enumerate(self._names)}
            dealt = [of.get(self._exact.get(word, ""), -1) for word in words.tolist()]
            exact = np.array(dealt, dtype=np.int64)
            places = np.where(exact >= 0, exact, places)
        return list(self._names), places

    peek = policy_for

    def _deal(self, words: list[int]) -> dict[int, str]:
        """Exact shares: agents sorted by their uniform are dealt in blocks."""
        distinct = np.array(sorted(set(words)), dtype=np.uint64)
        order = np.argsort(uniforms(self.seed, self.purpose, distinct), kind="stable")
        sizes = _largest_remainders(list(self.shares.values()), len(distinct))
        names = [name for name, size in zip(self._names, sizes, strict=True) for _ in range(size)]
        return dict(zip(distinct[order].tolist(), names, strict=True))


class PerQuestion:
    """A policy, or an assignment, per question id.

    Parameters
    ----------
    by_question
        Question id -> policy name or assignment.
    default
        For all other questions; without it, an unnamed question is refused.

    Examples
    --------
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> PerQuestion({"q": "llm"}, default="rule").policy_for(1, request, 0.0)
    'llm'
    """

    def __init__(
        self,
        by_question: Mapping[str, Assignment | str],
        default: Assignment | str | None = None,
    ) -> None:
        self.by_question, self.default = dict(by_question), default

    def policy_for(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        """Name of the policy of this agent for the question of this request."""
        chosen = self._chosen(request)
        if isinstance(chosen, str):
            return chosen
        return chosen.policy_for(agent_key, request, time, agent=agent)

    def peek(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        """What `policy_for` would say, without a change of state."""
        return peek_assigned(self._chosen(request), agent_key, request, time, agent=agent)

    def for_question(self, question_id: str) -> Assignment | str:
        """The policy name or assignment of a question."""
        chosen = self.by_question.get(question_id, self.default)
        if chosen is None:
            raise PolicyError(
                f"no policy is assigned to question {question_id!r}; assigned are "
                f"{sorted(self.by_question)}. Add it, or give a default",
                question=question_id,
            )
        return chosen

    def _chosen(self, request: Request) -> Assignment | str:
        return self.for_question(request.question.id)


def _largest_remainders(shares: Sequence[float], n: int) -> list[int]:
    """Integers that sum to n and differ from `shares * n` by less than one."""
    exact = [share * n for share in shares]
    sizes = [math.floor(value + 1e-9) for value in exact]
    by_rest = sorted(range(len(shares)), key=lambda i: (sizes[i] - exact[i], i))
    for i in by_rest[: n - sum(sizes)]:
        sizes[i] += 1
    return sizes
