"""What an agent would be sent now: the prompt exactly as sent, its tokens, the distribution.

A preview asks like the model would and leaves no trace: it moves nobody's chance, counts nothing,
writes no ledger, and does not spend the budget of a router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from abm.errors import PolicyError, QuestionError, require
from abm.questions.answer import Answer
from abm.questions.choice import Transform
from abm.questions.question import Question, Request
from abm.questions.template import Value
from abm.rng import agent_key

__all__ = ["Preview", "preview"]


@dataclass(frozen=True)
class Preview:
    """What an agent would be asked, by whom, and with what distribution.

    Attributes
    ----------
    prompt
        The prompt exactly as sent, chat template included; without a language model, the text.
    tokens
        Its token ids; `None` without a language model.
    policy, time
        Name of the assigned policy, and when.
    answer
        What the policy says, before transforms; `None` for a text, which is not generated.
    distribution
        Option -> probability after the declared transforms; empty for a text or a failure.
    """

    question: Question
    agent: int | str
    time: float
    request: Request
    policy: str
    prompt: str
    tokens: tuple[int, ...] | None
    answer: Answer | None
    distribution: Mapping[str, float]

    @property
    def fields(self) -> dict[str, Value]:
        """What `perceive` gave."""
        return dict(self.request.fields)

    def __str__(self) -> str:
        head = (
            f"{self.question.id} (version {self.question.version}), asked of agent {self.agent} "
            f"at time {self.time:g}, answered by {self.policy!r}"
        )
        fields = [f"  {name} = {value!r}" for name, value in self.fields.items()]
        told = [f"  {line}" for line in self._outcome()]
        count = "" if self.tokens is None else f", {len(self.tokens)} tokens"
        prompt = [f"  | {line}" for line in self.prompt.split("\n")]
        parts = [head, "", "fields", *fields, "", f"prompt{count}", *prompt, "", *self._title()]
        return _printable("\n".join([*parts, *told]))

    def _repr_html_(self) -> str:
        fields = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(repr(value))}</td></tr>"
            for name, value in self.fields.items()
        )
        count = "" if self.tokens is None else f" ({len(self.tokens)} tokens)"
        told = "<br>".join(escape(line) for line in self._outcome())
        return _printable(
            f"<p><b>{escape(self.question.id)}</b> version {self.question.version}, agent "
            f"{escape(str(self.agent))}, time {self.time:g}, policy {escape(self.policy)}</p>"
            f"<table>{fields}</table><p>Prompt{count}</p><pre>{escape(self.prompt)}</pre>"
            f"<p>{escape(self._title()[0])}</p><pre>{told}</pre>"
        )

    def _title(self) -> list[str]:
        return ["text" if self.question.text else "distribution"]

    def _outcome(self) -> list[str]:
        text = self.question.text
        if text is not None:
            limits = [f"at most {text.max_tokens} tokens, temperature {text.temperature:g}"]
            limits += [f"JSON schema {text.json_schema}"] if text.json_schema else []
            return limits + (["GBNF grammar"] if text.grammar else [])
        lines = []
        if self.answer is not None and not self.answer.ok:
            lines = [f"{self.answer.status}: {self.answer.detail}"]
        width = max(map(len, self.distribution), default=0)
        lines += [f"{option:<{width}}  {p:.4f}" for option, p in self.distribution.items()]
        if self.answer is not None and self.answer.coverage is not None:
            lines.append(f"coverage {self.answer.coverage:.4f}")
        return lines


def _printable(text: str) -> str:
    """Lone surrogates, which no terminal can write, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def preview(question: Question, agent: Any) -> Preview:
    """What `agent` would be sent if it were asked `question` now.

    Parameters
    ----------
    agent
        An agent of a model; its view, assignment, policies and transforms are used.

    Raises
    ------
    QuestionError
        The question has no `perceive`.
    PolicyError
        The assignment names an unknown policy.
    """
    model, key = agent.model, getattr(agent, "key", agent.unique_id)
    request = _request(question, agent, key)
    name = _policy_name(model, agent, key, request)
    require(
        name in model.policies,
        PolicyError,
        f"question {question.id!r} of agent {key} is assigned to policy {name!r}; declared are "
        f"{sorted(model.policies)}",
    )
    policy = model.policies[name]
    sent = getattr(policy, "as_sent", None)
    prompt, tokens = (sent(request) if sent is not None else None) or (request.prompt.text, None)
    answer = None
    if question.options is not None:
        answer = getattr(policy, "peek", policy.answer)([request])[0]
    shares = _distribution(model, question, name, answer)
    return Preview(question, key, float(model.now), request, name, prompt, tokens, answer, shares)


def _request(question: Question, agent: Any, key: int | str) -> Request:
    require(
        question.perceive is not None,
        QuestionError,
        f"question {question.id!r} has no perceive, so there is nothing to preview; give it one",
    )
    assert question.perceive is not None
    fields = question.perceive(_view(agent))
    if question.text is None:
        return question.request(fields)
    from abm.rng import uniform

    desk = getattr(agent.model, "desk", None)
    occasion = 0 if desk is None else desk.occasion(agent, question)
    drawn = uniform(agent.model.chance_seed, f"text:{question.id}", key, occasion)
    return question.request(fields, seed=int(drawn * 2**32))


def _view(agent: Any) -> Any:
    if hasattr(agent, "view"):
        return agent.view()
    from abm.engine.view import view_of

    return view_of(agent)


def _policy_name(model: Any, agent: Any, key: int | str, request: Request) -> str:
    from abm.policies.assignment import peek_assigned

    assignment = model.assignment
    if assignment is None:
        return str(model.assigned_policy(agent, request))
    name = peek_assigned(assignment, key, request, model.now, agent=agent)
    desk = getattr(model, "desk", None)
    return name if desk is None else str(desk.member(desk.final(name), agent_key(key)))


def _distribution(
    model: Any, question: Question, policy: str, answer: Answer | None
) -> dict[str, float]:
    if answer is None or answer.scores is None or question.options is None:
        return {}
    find = getattr(model, "transform_for", None)
    transform = Transform() if find is None else find(question.id, policy)
    shares = transform.apply([answer.scores])[0].tolist()
    return dict(zip(question.options, shares, strict=True))
