"""Questions: what an agent is asked, independent of who answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from abm.errors import QuestionError, require
from abm.questions.template import Prompt, Template, Value

__all__ = ["Question", "Request", "TextConstraint"]

Draw = Literal["fresh", "persistent"]


@dataclass(frozen=True)
class TextConstraint:
    """What a text answer must satisfy.

    Parameters
    ----------
    max_tokens
        Upper bound on the tokens of the answer, >= 1. A text that reaches it is `truncated`.
    json_schema
        A JSON schema as a JSON string; excludes `grammar`.
    grammar
        A GBNF grammar; excludes `json_schema`.
    temperature
        Sampling temperature, >= 0 (0 takes the most probable token).

    Examples
    --------
    >>> TextConstraint(max_tokens=40).temperature
    1.0
    """

    max_tokens: int
    json_schema: str | None = None
    grammar: str | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(
            self.max_tokens >= 1,
            QuestionError,
            f"max_tokens = {self.max_tokens}, expected >= 1",
        )
        require(
            self.temperature >= 0,
            QuestionError,
            f"temperature = {self.temperature}, expected >= 0",
        )
        require(
            self.json_schema is None or self.grammar is None,
            QuestionError,
            "json_schema and grammar were both given; keep one",
        )

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Question:
    """A question with an id, a version, a template, and either options or a text constraint.

    Parameters
    ----------
    id, version
        Identity. Raise the version whenever the template, options or meaning change.
    template
        Text (blocks separated by lines `---`), a list of blocks, or a `Template`.
    options
        Finite menu, at least two distinct non-empty strings, in the order in which choices are
        drawn; `None` for a text question.
    text
        Constraint of a text question; excludes `options`.
    draw
        `fresh` for an act (a new draw each time it is asked) or `persistent` for a disposition
        (one draw per agent, so that an unchanged distribution gives an unchanged opinion).
    perceive
        Pure function from the agent's view to a mapping of field values. It sees a view, never the
        model. May return more fields than the template shows: a rule may read them, and they are
        part of the request.
    paraphrases
        Other wordings of the template with the same fields, for `abm audit --paraphrase`. They are
        asked by the audit only and are no part of what the question is.

    Examples
    --------
    >>> q = Question(id="ban", version=1, template="Age {age}. Ban cars?", options=("yes", "no"),
    ...              draw="persistent", perceive=lambda me: {"age": me.age})
    >>> q.request({"age": 40}).prompt.text
    'Age 40. Ban cars?'
    >>> q.request({"age": 40}) == q.request({"age": 40})
    True
    """

    id: str
    version: int
    template: Template
    options: tuple[str, ...] | None = None
    text: TextConstraint | None = None
    draw: Draw = "fresh"
    perceive: Callable[[Any], Mapping[str, Value]] | None = field(default=None, compare=False)
    paraphrases: tuple[Template, ...] = field(default=(), compare=False)

    def __init__(
        self,
        id: str,
        version: int,
        template: str | list[str] | tuple[str, ...] | Template,
        options: tuple[str, ...] | list[str] | None = None,
        text: TextConstraint | None = None,
        *,
        draw: Draw = "fresh",
        perceive: Callable[[Any], Mapping[str, Value]] | None = None,
        paraphrases: Sequence[str | Sequence[str] | Template] = (),
    ) -> None:
        made = template if isinstance(template, Template) else Template(template)
        values = {
            "id": id,
            "version": version,
            "template": made,
            "options": None if options is None else tuple(options),
            "text": text,
            "draw": draw,
            "perceive": perceive,
            "paraphrases": tuple(map(_as_template, paraphrases)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        name = f"question {self.id!r}"
        for other in self.paraphrases:
            require(
                set(other.fields) == set(self.template.fields),
                QuestionError,
                f"{name}: a paraphrase shows the fields {sorted(other.fields)}, expected those of "
                f"the template, {sorted(self.template.fields)}: only the words may be others",
            )
        require(bool(self.id), QuestionError, "a question needs an id")
        require(
            (self.options is None) != (self.text is None),
            QuestionError,
            f"{name}: give either options or a text constraint, and not both",
        )
        require(
            self.draw in ("fresh", "persistent"),
            QuestionError,
            f"{name}: draw = {self.draw!r}, expected 'fresh' or 'persistent'",
        )
        if self.options is not None:
            good = len(self.options) >= 2 and len(set(self.options)) == len(self.options)
            require(
                good and all(self.options),
                QuestionError,
                f"{name}: options = {self.options}, expected two or more distinct non-empty texts",
            )
            padded = [option for option in self.options if option != option.strip()]
            require(
                not padded,
                QuestionError,
                f"{name}: options {padded} begin or end with white space, which no answer is known "
                "by; the space before an answer is put there where a model wants one",
            )

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything about the question that can change an answer, as plain values."""
        return {
            "id": self.id,
            "version": self.version,
            "template": list(self.template.blocks),
            "options": None if self.options is None else list(self.options),
            "text": None if self.text is None else self.text.to_json(),
        }

    @cached_property
    def digest(self) -> str:
        """Hash of the definition: two questions under one id and version cannot be confused."""
        return sha256(canonical(self.definition)).hexdigest()

    def request(self, fields: Mapping[str, Value], *, seed: int | None = None) -> Request:
        """The request for these field values. A text request needs a seed."""
        if self.text is not None and seed is None:
            raise QuestionError(f"question {self.id!r} asks for a text: give the request a seed")
        return Request(self, self.clean(fields), seed if self.text is not None else None)

    def clean(self, fields: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
        """Sorted (name, plain value) pairs; refuses what no request may hold, or what lacks."""
        pairs = tuple(sorted([(name, _plain(self, name, v)) for name, v in fields.items()]))
        missing = [name for name in self.template.fields if name not in fields]
        if missing:
            raise QuestionError(
                f"question {self.id!r} needs the fields {missing}, and perceive gave "
                f"{sorted(fields)}; add them to what perceive returns, or take them out of the "
                "template"
            )
        return pairs

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (
            self.id,
            self.version,
            self.template.blocks,
            self.options,
            self.text,
            self.draw,
            self.perceive,
            tuple(p.blocks for p in self.paraphrases),
        )

    def preview(self, agent: Any) -> Any:
        """What this agent would be sent now: the prompt exactly as sent, tokens, distribution.

        Asks the policy that the model assigns to the agent, changes nothing, and moves nobody's
        chance. See `abm.questions.preview`.
        """
        from abm.questions.preview import preview

        return preview(self, agent)


def _as_template(given: str | Sequence[str] | Template) -> Template:
    return given if isinstance(given, Template) else Template(given)


def _remake(
    id: str,
    version: int,
    blocks: Any,
    options: Any,
    text: Any,
    draw: Any,
    perceive: Any,
    paraphrases: Any = (),
) -> Question:
    made = Template(blocks)
    return Question(
        id, version, made, options, text, draw=draw, perceive=perceive, paraphrases=paraphrases
    )


@dataclass(frozen=True)
class Request:
    """(question, fields, seed of a text): equal requests are the same request.

    Attributes
    ----------
    fields
        Sorted (name, value) pairs of plain values.
    seed
        Seed of a text; `None` for a choice.
    attempt
        0, or the number of the retry of a text.
    """

    question: Question
    fields: tuple[tuple[str, Value], ...]
    seed: int | None = None
    attempt: int = 0

    @classmethod
    def of_key(cls, question: Question, fields: tuple[tuple[str, Value], ...], key: str) -> Request:
        """A choice request whose key is known already; nothing is checked."""
        made = cls.__new__(cls)
        made.__dict__.update(question=question, fields=fields, seed=None, attempt=0, key=key)
        return made

    @cached_property
    def key(self) -> str:
        """SHA-256 over everything that can change the answer, in canonical JSON."""
        body = [self.question.digest, self.fields, self.seed, self.attempt]
        return sha256(canonical(body)).hexdigest()

    @cached_property
    def prompt(self) -> Prompt:
        """The rendered prompt, before any chat template of a backend."""
        return self.question.template.render(dict(self.fields))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self.key == other.key

    def __getitem__(self, name: str) -> Value:
        return dict(self.fields)[name]


def _plain(question: Question, name: str, value: Any) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list):
        value = tuple(value)
    texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if not texts and not isinstance(value, (str, int, float, bool)):
        raise QuestionError(
            f"question {question.id!r}: field {name} = {value!r} of type {type(value).__name__}, "
            "expected a text, number, truth value or tuple of texts",
            field=name,
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise QuestionError(
            f"question {question.id!r}: field {name} = {value}, expected a finite number",
            field=name,
        )
    return value  # type: ignore[no-any-return]


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted names, no blanks, UTF-8."""
    return _encode(value).encode("utf-8", "surrogatepass")
