"""Samplers in compiled code: temperature, chance from a seed, and a grammar or JSON schema.

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

from abm.llm.llamacpp.library import last_words, library
from abm.llm.llamacpp.model import Model
from abm.questions import TextConstraint

__all__ = ["GrammarError", "Sampler", "grammar_of"]

_RANDOM = 0xFFFFFFFF  # llama.cpp reads this seed as "take one from the clock"


class GrammarError(Exception):
    """A grammar or schema that cannot be read, or that no token can continue."""


class Sampler:
    """Draws the tokens of one text.

    Parameters
    ----------
    model
        A loaded model.
    constraint
        Temperature, and grammar or schema.
    seed
        In [0, 2**32); the text depends on it and on the logits alone. The last seed stands for the
        one before it.

    Raises
    ------
    GrammarError
        The grammar cannot be read.
    """

    def __init__(self, model: Model, constraint: TextConstraint, seed: int) -> None:
        self.api, self.n_vocabulary = library(), model.n_vocabulary
        grammar = grammar_of(constraint)
        self._matcher: Any = None
        if grammar is not None:
            self._matcher = self.api.llama_sampler_init_grammar(
                model.vocabulary, grammar.encode("utf-8", "replace"), b"root"
            )
            if not self._matcher:
                raise GrammarError(f"the grammar cannot be read: {last_words()}")
        self._free = self._chain(constraint.temperature, seed)
        self._again = self._chain(constraint.temperature, seed ^ 0x5DEECE66)

    def _chain(self, temperature: float, seed: int) -> Any:
        api = self.api
        parameters = api.llama_sampler_chain_default_params()
        parameters.no_perf = True
        chain = api.llama_sampler_chain_init(parameters)
        if temperature == 0:
            api.llama_sampler_chain_add(chain, api.llama_sampler_init_greedy())
        else:
            api.llama_sampler_chain_add(chain, api.llama_sampler_init_temp(temperature))
            kept = seed if seed != _RANDOM else _RANDOM - 1
            api.llama_sampler_chain_add(chain, api.llama_sampler_init_dist(kept))
        return chain

    def draw(self, context: Any, place: int) -> int:
        """The next token, after the output at `place` of the last call.

        Raises
        ------
        GrammarError
            No token of the vocabulary continues the grammar.
        """
        token = int(self.api.llama_sampler_sample(self._free, context, place))
        if self._matcher is None:
            return token
        if not self._allows(token):
            token = self._draw_allowed(context, place)
        self.api.llama_sampler_accept(self._matcher, token)
        return token

    def _allows(self, token: int) -> bool:
        one = (self.api.llama_token_data * 1)(self.api.llama_token_data(token, 1.0, 0.0))
        array = self.api.llama_token_data_array(one, 1, -1, False)
        self.api.llama_sampler_apply(self._matcher, ctypes.byref(array))
        return bool(one[0].logit > -math.inf)

    def _draw_allowed(self, context: Any, place: int) -> int:
        """A token drawn among those that the grammar allows."""
        api, n = self.api, self.n_vocabulary
        rows = np.zeros(n, dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
        rows["id"] = np.arange(n)
        pointer = api.llama_get_logits_ith(context, place)
        rows["logit"] = np.ctypeslib.as_array(pointer, shape=(n,))
        data = ctypes.cast(rows.ctypes.data, ctypes.POINTER(api.llama_token_data))
        array = api.llama_token_data_array(data, n, -1, False)
        api.llama_sampler_apply(self._matcher, ctypes.byref(array))
        if not np.isfinite(rows["logit"]).any():
            raise GrammarError("no token of the vocabulary continues the grammar")
        api.llama_sampler_apply(self._again, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def free(self) -> None:
        """Give the memory back."""
        for name in ("_free", "_again", "_matcher"):
            sampler = getattr(self, name)
            setattr(self, name, None)
            if sampler:
                self.api.llama_sampler_free(sampler)


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
