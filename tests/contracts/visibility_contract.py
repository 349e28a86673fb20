"""No agent reads another's mind: a contract for every model.

Two checks that see different leaks::

    from visibility_contract import assert_no_leak, assert_perceive_is_own

    assert_no_leak(lambda policies: MyModel(scenario, seeds=seeds, policies=policies),
                   roles=["citizen"], until=3.0)

plants a token of its own in every text that an agent holds privately, runs the model, and fails if
a token shows up in anything that another agent is asked: in its prompt or in a field.

    assert_perceive_is_own(model)

changes every other agent's state, numbers included, and fails if what an agent perceives changes.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from abm.engine import view_of
from abm.policies import Policy
from abm.population import Population
from abm.questions import Answer, Question, Request
from abm.rng import agent_key

__all__ = ["Neutral", "Seen", "assert_no_leak", "assert_perceive_is_own"]

_TOKEN = re.compile(r"zq([0-9a-f]+)qz")
_ENGINE = frozenset({"model", "pos", "unique_id", "key", "births"})


class Neutral:
    """Answers without reading: every option alike, every text the same. So no answer can leak."""

    recorded, fingerprint = False, "neutral"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [
            Answer(scores=(0.0,) * len(r.question.options), coverage=1.0)
            if r.question.options
            else Answer(text="I have thought about it.")
            for r in requests
        ]


@dataclasses.dataclass
class Seen:
    """What a run showed.

    Attributes
    ----------
    planted
        Texts that got a token.
    requests
        Requests raised.
    own
        Requests that showed their agent its own token: the tokens do travel into prompts.
    """

    planted: int = 0
    requests: int = 0
    own: int = 0


def assert_no_leak(
    build: Callable[[Mapping[str, Policy]], Any],
    *,
    until: float,
    roles: Iterable[str] = ("llm",),
    policy: Callable[[], Policy] = Neutral,
    public: Collection[str] = (),
    plant: Callable[[Any, str], int] | None = None,
) -> Seen:
    """Run a model with a token in every private text and look for it in other agents' requests.

    Parameters
    ----------
    build
        Builds the model from policies; nothing has run yet.
    until
        Simulated time to run to.
    roles
        Names of the policies to give.
    policy
        Makes the policy of each role. It must not copy fields into texts, which others may read.
    public
        Attributes and columns that others may see, such as a name: they get no token.
    plant
        `plant(agent, token)` plants by hand and returns how many texts; by default every text
        attribute and column, and every text in lists, tuples and dataclasses, gets the token.

    Returns
    -------
    What was planted and seen; assert on `own` where prompts show private texts.
    """
    model = build({role: policy() for role in roles})
    seen = Seen()
    model.assignment = _Watch(model, model.assignment, seen)
    for agent in list(model.agents):
        token = _token(agent.key if hasattr(agent, "key") else agent.unique_id)
        seen.planted += plant(agent, token) if plant else _plant(agent, token, public)
    if plant is None:
        seen.planted += sum(_plant_columns(p, public) for p in _populations(model))
    assert seen.planted > 0, "no agent holds a private text, so nothing was tested; use plant="
    model.run_until(until)
    assert seen.requests > 0, f"nothing was asked until {until}, so nothing was tested"
    return seen


class _Watch:
    """An assignment that looks at every request as it is raised."""

    def __init__(self, model: Any, inner: Any, seen: Seen) -> None:
        self.model, self.inner, self.seen = model, inner, seen

    def policy_for(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        self.look(agent_key, request, time)
        if isinstance(self.inner, str):
            return self.inner
        if self.inner is None:
            (name,) = self.model.policies
            return name
        return self.inner.policy_for(agent_key, request, time, agent=agent)

    def look(self, key: int | str, request: Request, time: float) -> None:
        own, found = _token(key), Counter()
        for name, text in [("the prompt", request.prompt.text), *_texts(request)]:
            for match in _TOKEN.finditer(text):
                found[match.group()] += 1
                assert match.group() == own, (
                    f"agent {key} was asked {request.question.id!r} at time {time:g}, and {name} "
                    f"shows private state of the agent with key {int(match.group(1), 16)}: "
                    f"{text!r}"
                )
        self.seen.requests += 1
        self.seen.own += bool(found)


def _texts(request: Request) -> list[tuple[str, str]]:
    pairs = []
    for name, value in request.fields:
        parts = value if isinstance(value, tuple) else (value,)
        pairs += [(f"field {name!r}", part) for part in parts if isinstance(part, str)]
    return pairs


def _token(key: int | str) -> str:
    return f"zq{agent_key(key):x}qz"


def _plant(agent: Any, token: str, public: Collection[str]) -> int:
    names = [n for n in vars(agent) if n not in public and n not in _ENGINE and n[0] != "_"]
    planted = 0
    for name in names:
        before = vars(agent)[name]
        after = _with_token(before, token)
        if after is not before:
            vars(agent)[name] = after
            planted += 1
    return planted


def _plant_columns(population: Population, public: Collection[str]) -> int:
    planted = 0
    for name in population.columns:
        column = population[name]
        if column.dtype != object or name in public:
            continue
        for row, key in enumerate(population.keys.tolist()):
            before = column[row]
            column[row] = _with_token(before, _token(key))
            planted += column[row] is not before
    return planted


def _with_token(value: Any, token: str) -> Any:
    """The value with the token in every text it holds; the value itself if it holds none."""
    if isinstance(value, str):
        return f"{value} {token}"
    if isinstance(value, (list, tuple)) and value and not hasattr(value, "_fields"):
        items = [_with_token(item, token) for item in value]
        changed = any(a is not b for a, b in zip(items, value, strict=True))
        return type(value)(items) if changed else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        texts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        changed = {n: f"{v} {token}" for n, v in texts.items() if isinstance(v, str)}
        return dataclasses.replace(value, **changed) if changed else value
    return value


def _populations(model: Any) -> list[Population]:
    return [value for value in vars(model).values() if isinstance(value, Population)]


# The second check


def assert_perceive_is_own(
    model: Any, questions: Iterable[Question] | None = None, *, agents: Iterable[Any] | None = None
) -> int:
    """Change all other agents' state and see that nobody perceives anything else.

    Parameters
    ----------
    model
        A model, best after some time has passed, so that its agents hold something.
    questions
        Those with a `perceive`; the model's own by default. An agent whose view lacks what a
        question needs is skipped.
    agents
        Whose perception is checked; all by default.

    Returns
    -------
    How many perceptions were compared, at least one.
    """
    asked = [q for q in questions or type(model).questions if q.perceive is not None]
    compared = 0
    for agent in list(model.agents if agents is None else agents):
        before = {q.id: _perceived(q, agent) for q in asked}
        with _others_changed(model, agent):
            after = {q.id: _perceived(q, agent) for q in asked}
        for name, fields in before.items():
            if fields is None:
                continue
            changed = {k for k in fields if fields[k] != (after[name] or {}).get(k)}
            assert not changed, (
                f"what agent {getattr(agent, 'key', agent.unique_id)} perceives for {name!r} "
                f"changes with other agents' state, in the fields {sorted(changed)}"
            )
            compared += 1
    assert compared > 0, "no agent could perceive any question, so nothing was tested"
    return compared


def _perceived(question: Question, agent: Any) -> dict[str, Any] | None:
    try:
        return dict(question.perceive(view_of(agent)))  # type: ignore[misc]
    except AttributeError:
        return None


@contextmanager
def _others_changed(model: Any, agent: Any) -> Any:
    others = [other for other in model.agents if other is not agent]
    states = [copy.copy(vars(other)) for other in others]
    tables = [
        (population, name, population[name].copy())
        for population in _populations(model)
        for name in population.columns
    ]
    for other in others:
        for name, value in list(vars(other).items()):
            if name not in _ENGINE and name[0] != "_":
                vars(other)[name] = _other(value)
    for population, name, column in tables:
        _scramble(population, name, column, agent)
    try:
        yield
    finally:
        for other, state in zip(others, states, strict=True):
            vars(other).clear()
            vars(other).update(state)
        for population, name, column in tables:
            population[name][...] = column


def _scramble(population: Population, name: str, column: np.ndarray, agent: Any) -> None:
    shown = population[name]
    for row in range(len(column)):
        shown[row] = _other(column[row])
    if getattr(agent, "population", None) is population:
        shown[agent.row] = column[agent.row]


def _other(value: Any) -> Any:
    """A value of the same type that differs, where that is easy; otherwise the value itself."""
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, float, np.number)):
        return value + type(value)(1)
    if isinstance(value, str):
        return f"{value} zz"
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        return value + value.dtype.type(1)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_other(item) for item in value)
    return value
