"""Topics: what the language can talk about, how each divides people, and reasons for both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from abm.errors import QuestionError, require
from abm.llm.embedded.language import topic_table

__all__ = ["SEEN", "TOPICS", "UNSEEN", "Topic", "statement_text", "topic_named"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the language.

    Attributes
    ----------
    name
        Short name, a noun phrase that fits "I support ...".
    statement
        A sentence that one can agree with; agreeing means being for the topic.
    left_right, age, education, income
        Loadings in [-1, 1]: how much agreement rises towards the right, with age, with education
        and with income.
    reasons_for, reasons_against
        Three clauses each that fit "because ...".
    seen
        False for the topics that training never shows.
    """

    name: str
    statement: str
    left_right: float
    age: float
    education: float
    income: float
    reasons_for: tuple[str, ...]
    reasons_against: tuple[str, ...]
    seen: bool = True

    def reasons(self, stance: int) -> tuple[str, ...]:
        """Reasons on the side of a stance; those against for negative ones."""
        return self.reasons_for if stance >= 0 else self.reasons_against


def _read(table: str, seen: bool) -> dict[str, Topic]:
    lines = table.strip().splitlines()
    found = {}
    for head, pros, cons in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, loadings, statement = (part.strip() for part in head.split("|"))
        left_right, age, education, income = map(float, loadings.split())
        reasons = _split(pros), _split(cons)
        found[name] = Topic(name, statement, left_right, age, education, income, *reasons, seen)
    return found


def _split(line: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in line[1:].split(";"))


SEEN: Mapping[str, Topic] = MappingProxyType(_read(topic_table.SEEN, True))
UNSEEN: Mapping[str, Topic] = MappingProxyType(_read(topic_table.UNSEEN, False))
TOPICS: Mapping[str, Topic] = MappingProxyType({**SEEN, **UNSEEN})
BY_STATEMENT: Mapping[str, Topic] = MappingProxyType({t.statement: t for t in TOPICS.values()})


def topic_named(name: str) -> Topic:
    """The topic of this short name.

    Raises
    ------
    QuestionError
        No topic has that name.

    Examples
    --------
    >>> topic_named("nuclear power").left_right
    0.5
    """
    require(
        name in TOPICS,
        QuestionError,
        f"topic = {name!r}, expected one of the {len(TOPICS)} topics of the embedded language, "
        f"such as {list(TOPICS)[:4]}; abm.llm.embedded.questions() lists them",
        topic=name,
    )
    return TOPICS[name]


def statement_text(topic: str) -> str:
    """The statement that one agrees with when one is for the topic.

    Examples
    --------
    >>> statement_text("nuclear power")
    'The country should build more nuclear power plants.'
    """
    return topic_named(topic).statement
