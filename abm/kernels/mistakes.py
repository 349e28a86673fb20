"""What rules often get wrong, told in plain words: before they run, or when they do not compile."""

from __future__ import annotations

import dis
import inspect
import random
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np

from abm.errors import EngineError, require

__all__ = ["RNG_OFFERS", "in_plain_words", "refuse_mistakes"]

RNG_OFFERS = "random(), integer(n), exponential() and normal()"
_METHODS = frozenset(("random", "integer", "exponential", "normal", "held"))
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_REASONS = (
    (
        r"Unknown attribute '(\w+)' of type ChanceType",
        f"it uses rng.{{0}}; `rng` offers {RNG_OFFERS}",
    ),
    (
        r"Unknown attribute '(\w+)' of type AgendaType",
        "it uses agenda.{0}; `agenda` offers schedule(j, time), cancel(j) and due(j)",
    ),
    (
        r"Untyped global name '(\w+)'.*<class '(\w+)'>",
        "it uses {0}, of type {1}, from outside; give numbers as params and columns as state",
    ),
    (
        r"reflected (\w+)\(.*assigned to variable '(\w+)'",
        "it uses the {0} {1} from outside; give numbers as params and columns as state",
    ),
    (
        r"No implementation of function Function\(<function method_of",
        f"it gives a method other arguments than it takes; `rng` offers {RNG_OFFERS}",
    ),
    (r"failed to unpack|[Cc]annot unpack", "it returns fewer or more values than its driver takes"),
    (r"built-in function setitem", "it puts what is no number into a column"),
    (r"name '(\w+)' is not defined", "it uses {0}, which is defined nowhere"),
)


def refuse_mistakes(rule: Callable[..., Any], chance: str) -> None:
    """Refuse a rule that can be seen to go wrong, whichever way it is run.

    Parameters
    ----------
    chance
        Name of its last argument if that is `u` or `rng`.

    Raises
    ------
    EngineError
        It draws from a generator that no seed of the run decides, or asks `rng` for what it does
        not offer.

    Examples
    --------
    >>> refuse_mistakes(lambda own, other, p, rng: (own + rng.uniform(), other), "rng")
    Traceback (most recent call last):
        ...
    abm.errors.EngineError: rule '<lambda>' uses rng.uniform; `rng` offers random()...
    """
    code, name = getattr(rule, "__code__", None), getattr(rule, "__name__", rule)
    if not isinstance(code, CodeType):
        return
    outside = inspect.getclosurevars(rule)
    known = {**outside.globals, **outside.nonlocals}
    for owner, attribute in _attributes(code):
        thing = known.get(owner)
        require(
            owner != "rng" or chance != "rng" or attribute in _METHODS,
            EngineError,
            f"rule {name!r} uses rng.{attribute}; `rng` offers {RNG_OFFERS}",
        )
        require(
            not any(thing is module for module in (random, np.random))
            and not (thing is np and attribute == "random")
            and (owner, attribute) != ("import", "random"),
            EngineError,
            f"rule {name!r} uses {owner}.{attribute}, which the seed of a run does not decide; "
            f"let it take a last argument `rng`, which offers {RNG_OFFERS}, or `u`",
        )


@lru_cache(maxsize=256)  # a rule is looked at whenever a cohort is made of it
def _attributes(code: CodeType) -> tuple[tuple[str, str], ...]:
    """Name and attribute, wherever an attribute of a name is looked up; and what is imported.

    Of `a.b.c` the name is a: that b is called like a module does not make it one.
    """
    return tuple(_read(code))


def _read(code: CodeType) -> Iterator[tuple[str, str]]:
    before: Any = None
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield "import", str(step.argval)
        if step.opname in _ATTRIBUTES and before is not None:
            owner = before[-1] if isinstance(before, tuple) else before  # two names in one step
            yield str(owner), str(step.argval)
        named = step.opname.startswith("LOAD_") and step.opname not in _ATTRIBUTES
        before = step.argval if named else None


def in_plain_words(reason: str) -> str:
    """What a compiler's message says about a rule, if it is one of the usual; else the message.

    Examples
    --------
    >>> in_plain_words("Unknown attribute 'later' of type AgendaType(...)")
    'it uses agenda.later; `agenda` offers schedule(j, time), cancel(j) and due(j)'
    """
    for pattern, words in _REASONS:
        found = re.search(pattern, reason)
        if found:
            return words.format(*found.groups())
    return reason
