"""Samplers in compiled code: temperature, chance from a seed, and a grammar or JSON schema.

Under a grammar a token is first drawn freely. If the grammar allows it, it stands; otherwise one is
drawn among the tokens that the grammar allows. That is the distribution restricted to the grammar
(P(t) + P(not allowed) P(t | allowed) = P(t | allowed)), and the grammar is matched against the
whole vocabulary only when it must be.
"""

from __future__ import annotations

import ctypes
import json
from functools import lru_cache
from typing import Any

from abm.errors import BackendError
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
        self.api = library()
        self._free: Any = None
        self._bound: Any = None
        grammar = grammar_of(constraint)
        self._free = self._chain(None, constraint.temperature, seed)
        if grammar is not None:
            matcher = self.api.llama_sampler_init_grammar(
                model.vocabulary, grammar.encode("utf-8", "replace"), b"root"
            )
            if not matcher:
                self.free()
                raise GrammarError(f"the grammar cannot be read: {last_words()}")
            self._bound = self._chain(matcher, constraint.temperature, seed ^ 0x5DEECE66)
            self._matcher = matcher

    def _chain(self, matcher: Any, temperature: float, seed: int) -> Any:
        api = self.api
        parameters = api.llama_sampler_chain_default_params()
        parameters.no_perf = True
        chain = api.llama_sampler_chain_init(parameters)
        if matcher is not None:
            api.llama_sampler_chain_add(chain, matcher)
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
        api = self.api
        token = int(api.llama_sampler_sample(self._free, context, place))
        if self._bound is None:
            return token
        if self._allowed(token):
            api.llama_sampler_accept(self._matcher, token)
            return token
        return self._draw_bound(context, place)

    def _draw_bound(self, context: Any, place: int) -> int:
        api = self.api
        before = api.llama_sampler_clone(self._matcher)
        try:
            token = int(api.llama_sampler_sample(self._bound, context, place))
            if not self._allowed(token, before):
                raise GrammarError("no token of the vocabulary continues the grammar")
        finally:
            api.llama_sampler_free(before)
        return token

    def _allowed(self, token: int, matcher: Any = None) -> bool:
        one = (self.api.llama_token_data * 1)(self.api.llama_token_data(token, 1.0, 0.0))
        array = self.api.llama_token_data_array(one, 1, -1, False)
        self.api.llama_sampler_apply(matcher or self._matcher, ctypes.byref(array))
        return bool(one[0].logit > -1e30)

    def free(self) -> None:
        """Give the memory back."""
        for name in ("_free", "_bound"):
            chain = getattr(self, name)
            setattr(self, name, None)
            if chain:
                self.api.llama_sampler_free(chain)


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
        json.loads(schema)
        return str(json_schema_to_gbnf(schema))
    except (ValueError, KeyError, TypeError, AssertionError, BackendError) as error:
        raise GrammarError(f"the JSON schema cannot be read: {error}") from error
