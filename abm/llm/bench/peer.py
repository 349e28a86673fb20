"""What others do with the same file: llama-cpp-python's high-level API, one call per agent.

It reuses the longest common prefix with its previous call by itself; that is left on, and prompts
come in the order in which it helps most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from abm.llm.llamacpp.library import library

__all__ = ["Peer"]


class Peer:
    """The high-level object, used as its documentation shows."""

    def __init__(self, path: Path, n_threads: int, n_ctx: int = 1024) -> None:
        library()
        from llama_cpp.llama import Llama
        from llama_cpp.llama_grammar import LlamaGrammar

        self._llama: Any = Llama(
            str(path),
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_threads_batch=n_threads,
            n_batch=512,
            verbose=False,
        )
        self._read: Any = LlamaGrammar.from_string
        self._grammars: dict[str, Any] = {}

    def _grammar(self, text: str) -> Any:
        if text not in self._grammars:
            self._grammars[text] = self._read(text, verbose=False)
        return self._grammars[text]

    def choose(self, prompts: Sequence[str], menus: Sequence[Sequence[str]]) -> int:
        """One call with one token per prompt, under a grammar that allows first letters only."""
        n = 0
        for prompt, menu in zip(prompts, menus, strict=True):
            allowed = " | ".join(json.dumps(option) for option in menu)
            grammar = self._grammar(f'root ::= " "? ({allowed})')
            self._llama.create_completion(prompt, max_tokens=1, grammar=grammar, temperature=1.0)
            n += 1
        return n

    def reason(self, prompts: Sequence[str], menus: Sequence[Sequence[str]], n_tokens: int) -> int:
        """One call per prompt for JSON with a short reasoning field and a choice."""
        n = 0
        for prompt, menu in zip(prompts, menus, strict=True):
            allowed = " | ".join(json.dumps(f'"{option}"') for option in menu)
            rule = (
                'root ::= "{\\"reason\\": \\"" [a-z ]{' + f"{n_tokens},{n_tokens * 3}" + "} "
                f'"\\", \\"choice\\": " ({allowed}) "}}"'
            )
            self._llama.create_completion(
                prompt, max_tokens=n_tokens, grammar=self._grammar(rule), temperature=1.0
            )
            n += 1
        return n

    def write(self, prompts: Sequence[str], n_tokens: int) -> int:
        """A text of exactly so many tokens per prompt, drawn from the whole vocabulary.

        `generate` is what `create_completion` draws from. It does not stop at the end of a turn,
        and so needs no ban on ending: a ban (`logit_bias`) is a Python function per token.
        """
        for prompt in prompts:
            tokens = self._llama.tokenize(prompt.encode(), special=True)
            made = self._llama.generate(
                tokens, top_k=0, top_p=1.0, min_p=0.0, temp=1.0, repeat_penalty=1.0
            )
            self._llama.detokenize(list(islice(made, n_tokens)))
        return len(prompts)

    def close(self) -> None:
        """Give the memory back."""
        self._llama.close()
