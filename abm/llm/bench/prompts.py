"""Prompts for benchmarks: personas after a shared beginning, in blocks, for any vocabulary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from abm.llm.llamacpp import LlamaCpp
from abm.questions import Prompt

__all__ = ["Asked", "own_language", "personas"]

TEXT = (
    "you are years old and live in the city with friends who read about parks taxes schools and "
    "said that buses should be free because it helps people while others strongly disagree"
)
WORDS = tuple(TEXT.split())
SCALE = ("1", "2", "3", "4", "5", "6", "7")


@dataclass(frozen=True)
class Asked:
    """Prompts with their menus."""

    prompts: Sequence[Prompt]
    menus: Sequence[tuple[str, ...]]

    def texts(self) -> list[str]:
        """The prompts as bare text, for a peer."""
        return [prompt.text for prompt in self.prompts]

    def head(self, n: int) -> Asked:
        """The first n."""
        return Asked(self.prompts[:n], self.menus[:n])


def personas(model: LlamaCpp, n: int, own: int = 40, prefix: int = 85, seed: int = 1) -> Asked:
    """One shared beginning of about `prefix` tokens, n personas of about `own` tokens each."""
    draw = random.Random(seed)
    first = _words(model, draw, prefix) + "\n"
    prompts = [Prompt.plain(first, _words(model, draw, own)) for _ in range(n)]
    return Asked(prompts, [SCALE] * n)


def _words(model: LlamaCpp, draw: random.Random, n_tokens: int) -> str:
    """Random words that make about so many tokens."""
    sample = " ".join(WORDS)
    per_word = len(model.as_sent(Prompt.plain(sample))[1]) / len(WORDS)
    return " ".join(draw.choices(WORDS, k=max(1, round(n_tokens / per_word))))


def own_language(n: int, seed: int = 2) -> Asked:
    """Situations that the embedded model knows, all with posts just read."""
    from abm.llm.embedded.language.grammar import blocks, field_texts
    from abm.llm.embedded.language.kinds import KINDS
    from abm.llm.embedded.language.sampling import sample
    from abm.questions import Template

    draw = random.Random(seed)
    kinds = [kind for kind in KINDS.values() if kind.menus and "posts" in kind.parts]
    prompts: list[Prompt] = []
    menus: list[tuple[str, ...]] = []
    for k in range(n):
        situation = sample(draw, kinds[k % len(kinds)])
        template = Template(blocks(KINDS[situation.kind], situation.options, situation.paraphrase))
        prompts.append(template.render(field_texts(situation)))
        menus.append(situation.options or ())
    return Asked(prompts, menus)
