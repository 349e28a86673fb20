"""The desk: decisions are raised, answered on demand together, and act in their own order.

A decision raised at t acts at t + d. Its acting event enters the queue when it is raised, so its
place in the total order is fixed then: with d = 0 among the decisions of this instant, with d > 0
among the ordinary events of t + d. When an acting event comes up without an answer, everything
pending is answered in one batch. So batches come from simultaneity and from lookahead, and cannot
change a result: nothing that an agent does can tell when its answer was computed.

A raised request is always asked, even if its agent was interrupted or has died since. A failure
that aborts the run does so when the decision would have acted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from simpy.events import Event

from abm.engine.decision import Decision, Raised, word_of
from abm.engine.failures import blame, describe
from abm.engine.view import view_of
from abm.errors import AgentError, DecisionFailed, EngineError, PolicyError, QuestionError, require
from abm.policies.answering import Outcome, Skipped, Ticket
from abm.questions import Answer, Question, Transform, Value, distribution
from abm.rng import uniform, uniforms

if TYPE_CHECKING:
    from abm.engine.model import Model
    from abm.policies.assignment import Mixture

__all__ = ["Desk"]

_COLUMNAR = 16  # from this many draws of one question, uniforms are computed as a column


class Desk:
    """Raises requests, answers them together, draws choices with each agent's own chance.

    Parameters
    ----------
    model
        Gives the clock, the answerer, the assignment, the transforms and the decision log.
    max_rounds
        Rounds of decisions within one instant after which the run is stopped.

    Attributes
    ----------
    redirects
        Policy -> policy that answers in its place since an intervention; `"*"` is any.
    mixtures
        Policy name -> the shares of agents of the policies that it stands for.
    acted
        Agent classes of which somebody acted.
    occasions
        (agent word, question id) -> how often that agent was asked that question.
    """

    def __init__(self, model: Model, max_rounds: int = 10_000) -> None:
        self.model, self.env, self.max_rounds = model, model.env, max_rounds
        self.redirects: dict[str, str] = {}
        self.mixtures: dict[str, Mixture] = {}
        self.acted: set[type] = set()
        self.occasions: dict[tuple[int, str], int] = {}
        self._pending: list[Raised] = []
        self._open: dict[Raised, None] = {}
        self._depth, self._depth_time = 0, -math.inf

    # Raising: perceive now, act later.

    def decide(
        self,
        agent: Any,
        question: Question,
        deliberation: float = 0.0,
        fields: Mapping[str, Value] | None = None,
    ) -> Decision:
        """Raise a request; the returned event carries the choice."""
        require(
            0 <= deliberation < math.inf,
            EngineError,
            f"deliberation = {deliberation!r} of question {question.id!r}, expected a finite "
            "simulated time >= 0",
            argument="deliberation",
            value=deliberation,
        )
        again = deliberation == 0 and self._depth_time == self.env._now
        depth = self._depth + 1 if again else int(deliberation == 0)
        if depth > self.max_rounds:
            raise self._endless(agent, question)
        raised = self._raise(agent, question, fields)
        return Decision(self.env, self.act, raised, deliberation, depth)

    def ask(
        self, agents: Iterable[Any], question: Question, fields: Mapping[str, Value] | None = None
    ) -> list[str | Skipped]:
        """Ask agents and answer before returning: one batch, perceived from the state as it is."""
        asked = [self._raise(agent, question, fields) for agent in agents]
        try:
            self.flush()
        except BaseException:
            self._forget(asked)
            raise
        for raised in asked:
            self._settle(raised)
        return [raised.value for raised in asked]

    def ticket(
        self,
        agent: Any,
        question: Question,
        occasion: int,
        fields: Mapping[str, Value] | None = None,
    ) -> Ticket:
        """The ticket that an agent's question becomes: perceived, rendered, assigned."""
        if fields is None:
            require(
                question.perceive is not None,
                QuestionError,
                f"question {question.id!r} has no perceive: give it one, or pass fields=...",
                question=question.id,
            )
            fields = cast(Any, question.perceive)(view_of(agent))
        seed = None
        if question.text is not None:
            seed = int(
                uniform(self.model.chance_seed, f"text:{question.id}", word_of(agent), occasion)
                * 2**32
            )
        request = question.request(fields, seed=seed)
        name = self.model.assigned_policy(agent, request)
        name = self.member(self.final(name), word_of(agent))
        if name not in self.model.answerer.policies:
            raise PolicyError(
                f"question {question.id!r} of {describe(agent)} is assigned to policy {name!r}; "
                f"declared are {sorted(self.model.answerer.policies)}. Pass policies={{...}} to "
                "the model, or correct the assignment",
                policy=name,
            )
        return Ticket(name, request)

    def final(self, name: str) -> str:
        """The policy that answers in a policy's place since an intervention; itself otherwise."""
        return self.redirects.get(name, self.redirects.get("*", name))

    def member(self, name: str, word: int) -> str:
        """The policy of one agent, where a name stands for several."""
        mixture = self.mixtures.get(name)
        return name if mixture is None else mixture.policy_for(word)

    def occasion(self, agent: Any, question: Question) -> int:
        """How often this agent was asked this question before; always 0 if it is persistent."""
        own = getattr(agent, "occasion", None)
        if callable(own):
            return int(own(question))
        if question.draw == "persistent":
            return 0
        return self.occasions.get((word_of(agent), question.id), 0)

    def _raise(self, agent: Any, question: Question, fields: Mapping[str, Value] | None) -> Raised:
        occasion = self.occasion(agent, question)
        raised = Raised(
            agent, self.ticket(agent, question, occasion, fields), occasion, self.env._now
        )
        self._count(agent, question)
        self.acted.add(type(agent))
        self.model.decisions.request(*raised.ticket)
        self._pending.append(raised)
        self._open[raised] = None
        self._on_raise()
        return raised

    def _count(self, agent: Any, question: Question) -> None:
        own = getattr(agent, "count_occasion", None)
        if callable(own):
            own(question)
        elif question.draw != "persistent":
            place = (word_of(agent), question.id)
            self.occasions[place] = self.occasions.get(place, 0) + 1

    def _on_raise(self) -> None:
        """Called after each request. A desk that answers one by one answers here."""

    # Answering: everything pending, in the order raised.

    def flush(self) -> None:
        """Answer all pending requests in one batch."""
        if not self._pending:
            return
        pending = self._pending
        results = self.model.answerer.settle([raised.ticket for raised in pending])
        for raised, result in zip(pending, results, strict=True):
            if isinstance(result, DecisionFailed):
                raised.error = result
            else:
                raised.outcome = result
        self._draw(pending)
        # Last, so that a run that is broken off before asks again and never acts on a half answer.
        for raised in pending:
            raised.answered = True
        self._pending = []

    def _forget(self, asked: Iterable[Raised]) -> None:
        for raised in asked:
            if raised in self._pending:
                self._pending.remove(raised)
            self._open.pop(raised, None)

    def finish(self) -> None:
        """Ask what nobody waits for any more, and count it."""
        self.flush()
        for raised in list(self._open):
            self._log(raised)

    def _draw(self, batch: Sequence[Raised]) -> None:
        for question, chosen in _by_question(batch):
            draws = self._uniforms(question, chosen)
            for raised, draw in zip(chosen, draws, strict=True):
                outcome = cast(Outcome, raised.outcome)
                transform = self.model.transform_for(question.id, outcome.policy)
                raised.value = _choice(question, outcome.answer.scores, transform, draw)
        for raised in batch:
            if raised.outcome is not None and not raised.ticket.request.question.options:
                raised.value = raised.outcome.answer.text or ""
            if raised.outcome is not None and not raised.outcome.answer.ok:
                answer = raised.outcome.answer
                raised.value = Skipped(
                    raised.ticket.request.question.id, answer.status, answer.detail
                )

    def _uniforms(self, question: Question, batch: Sequence[Raised]) -> Sequence[float]:
        seed, purpose = self.model.chance_seed, f"decide:{question.id}"
        if len(batch) < _COLUMNAR:
            return [uniform(seed, purpose, raised.word, raised.occasion) for raised in batch]
        words = np.array([raised.word for raised in batch], dtype=np.uint64)
        dates = np.array([raised.occasion for raised in batch], dtype=np.uint64)
        return cast(Sequence[float], uniforms(seed, purpose, words, dates).tolist())

    # Acting: in the order raised.

    def act(self, event: Event) -> None:
        """First callback of every decision: give it its value, and answer if there is none yet."""
        decision = cast(Decision, event)
        raised = decision.raised
        if not raised.answered:
            try:
                self.flush()
            except BaseException:
                decision.postpone()
                raise
        self._depth, self._depth_time = decision.depth, self.env._now
        self._settle(raised)
        decision._ok, decision._value = True, raised.value
        if not decision.waiters.awaited and _is_alive(raised.agent):
            raise self._unawaited(raised)

    def _settle(self, raised: Raised) -> None:
        self._log(raised)
        if raised.error is not None:
            blame(raised.error, raised.agent, self.env._now)
            raise raised.error

    def _log(self, raised: Raised) -> None:
        if raised.logged:
            return
        raised.logged = True
        del self._open[raised]
        log, (policy, request), outcome = self.model.decisions, raised.ticket, raised.outcome
        name = request.question.id
        if outcome is None:
            status, choice = str(cast(DecisionFailed, raised.error).values["status"]), None
            log.record(name, policy, raised.time, None, status)
        else:
            answer = outcome.answer
            status = str(outcome.failure or answer.status)
            made = not isinstance(raised.value, Skipped)
            choice = str(raised.value) if made else None
            log.record(
                name,
                policy,
                raised.time,
                choice if request.question.options else None,
                status,
                answered_by=outcome.policy,
                retries=outcome.retries,
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
            )
        if log.by_agent:
            sure = None if outcome is None else _confidence(outcome.answer)
            by = None if outcome is None else outcome.policy
            log.record_agent(raised.key, raised.time, name, policy, choice or "", status, sure, by)

    def _unawaited(self, raised: Raised) -> AgentError:
        error = AgentError(
            f"{describe(raised.agent)} raised a decision on "
            f"{raised.ticket.request.question.id!r} at time {raised.time:g} and nothing waits for "
            "it. In a process, write `choice = yield self.decide(question)`; in a plain step, "
            "`choice = self.ask(question)`",
            question=raised.ticket.request.question.id,
        )
        blame(error, raised.agent, self.env._now)
        return error

    def _endless(self, agent: Any, question: Question) -> EngineError:
        error = EngineError(
            f"{self.max_rounds} rounds of decisions at time {self.env._now:g}, and "
            f"{describe(agent)} raises {question.id!r} again: this instant does not end. Let time "
            "pass between decisions (`yield self.wait(...)`, deliberation > 0), or raise "
            "max_rounds of the model",
            question=question.id,
        )
        blame(error, agent, self.env._now)
        return error


def _by_question(batch: Iterable[Raised]) -> list[tuple[Question, list[Raised]]]:
    groups: dict[int, tuple[Question, list[Raised]]] = {}
    for raised in batch:
        question = raised.ticket.request.question
        outcome = raised.outcome
        if question.options is not None and outcome is not None and outcome.answer.ok:
            groups.setdefault(id(question), (question, []))[1].append(raised)
    return list(groups.values())


def _confidence(answer: Answer) -> float | None:
    """Probability of the most probable option; `None` without a distribution."""
    if answer.scores is None or not answer.ok:
        return None
    return float(distribution(answer.scores).max())


def _choice(
    question: Question, scores: tuple[float, ...] | None, transform: Transform, draw: float
) -> str:
    options = cast(tuple[str, ...], question.options)
    bounds, last = _cumulative(cast(tuple[float, ...], scores), transform)
    return options[min(bisect_right(bounds, draw), last)]


@lru_cache(maxsize=4096)
def _cumulative(scores: tuple[float, ...], transform: Transform) -> tuple[list[float], int]:
    """Cumulative probabilities and the last option of positive probability, as `pick` has them."""
    p = transform.apply([scores])[0]
    return np.cumsum(p).tolist(), int(np.flatnonzero(p > 0)[-1])


def _is_alive(agent: Any) -> bool:
    return agent in agent.model.agents
