"""Grammars and JSON schemas, matched in llama.cpp.

Under a grammar a token is first drawn freely. If the grammar allows it, it stands; otherwise one is
drawn among the tokens that the grammar allows. That is the distribution restricted to the grammar
(P(t) + P(not allowed) P(t | allowed) = P(t | allowed)), and the grammar is matched against the
whole vocabulary only when it must be.
"""

from __future__ import annotations

import ctypes
import json
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.library import last_words, library
from abm.llm.llamacpp.model import Model
from abm.questions import TextConstraint

__all__ = ["GrammarError", "Matcher", "grammar_of"]


class GrammarError(Exception):
    """A grammar or schema that cannot be read, or that no token can continue."""


class Matcher:
    """The state of one text in its grammar, in llama.cpp.

    Raises
    ------
    GrammarError
        The grammar cannot be read.
    """

    def __init__(self, model: Model, grammar: str) -> None:
        self.api, self.n_vocabulary = library(), model.n_vocabulary
        self._state: Any = self.api.llama_sampler_init_grammar(
            model.vocabulary, grammar.encode("utf-8", "replace"), b"root"
        )
        if not self._state:
            raise GrammarError(f"the grammar cannot be read: {last_words()}")

    def allows(self, token: int) -> bool:
        """Whether a token continues the text."""
        one = (self.api.llama_token_data * 1)(self.api.llama_token_data(token, 1.0, 0.0))
        array = self.api.llama_token_data_array(one, 1, -1, False)
        self.api.llama_sampler_apply(self._state, ctypes.byref(array))
        return bool(one[0].logit > -math.inf)

    def restrict(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """A row of logits, shape (n_vocabulary,), minus infinity where a token may not follow.

        Raises
        ------
        GrammarError
            No token of the vocabulary continues the grammar.
        """
        api, n = self.api, self.n_vocabulary
        rows = np.zeros(n, dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
        rows["id"] = np.arange(n)
        rows["logit"] = logits
        data = ctypes.cast(rows.ctypes.data, ctypes.POINTER(api.llama_token_data))
        array = api.llama_token_data_array(data, n, -1, False)
        api.llama_sampler_apply(self._state, ctypes.byref(array))
        found: NDArray[np.float32] = np.ascontiguousarray(rows["logit"])
        if not np.isfinite(found).any():
            raise GrammarError("no token of the vocabulary continues the grammar")
        return found

    def accept(self, token: int) -> None:
        """Go on to the state after a token."""
        self.api.llama_sampler_accept(self._state, token)

    def free(self) -> None:
        """Give the memory back."""
        state, self._state = self._state, None
        if state:
            self.api.llama_sampler_free(state)


def grammar_of(constraint: TextConstraint) -> str | None:
    """The GBNF grammar of a constraint, or None.

    Raises
    ------
    GrammarError
        The JSON schema is not JSON, or asks for what a grammar cannot say.
    """
    if constraint.json_schema is None:
        return constraint.grammar
    return _from_schema(constraint.json_schema)


@lru_cache(maxsize=256)
def _from_schema(schema: str) -> str:
    library()
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        _check_schema(json.loads(schema))
        grammar = str(json_schema_to_gbnf(schema))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise GrammarError(f"the JSON schema cannot be read: {error}") from error
    return grammar.replace(
        r'[^"\\] |', r'[^"\\\x7F\x00-\x1F] |'
    )  # JSON has no raw control characters


_CANNOT = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("not", "if", "then", "else", "uniqueItems", "contains", "propertyNames"),
        *("patternProperties", "dependentRequired", "minProperties", "maxProperties"),
    }
)
_NAMES = frozenset({"properties", "$defs", "definitions"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required"})


def _check_schema(schema: Any) -> None:
    """Refuse what the grammar would leave out in silence."""
    parts = schema if isinstance(schema, list) else []
    if isinstance(schema, dict):
        lost = sorted(_CANNOT & schema.keys())
        if lost:
            raise ValueError(f"{lost} cannot be said in a grammar; list the values in an enum")
        parts = [value for name, value in schema.items() if name not in _NAMES | _VALUES]
        parts += [part for name in _NAMES & schema.keys() for part in schema[name].values()]
    for part in parts:
        _check_schema(part)
