"""The tokenizer: byte-level BPE in which every option, after a space, is one token."""

from __future__ import annotations

from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from abm.llm.embedded.language.grammar import render
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.sampling import sample, written

__all__ = ["END", "all_options", "train"]

END = "<|end|>"


def all_options() -> list[str]:
    """Every option of every menu, sorted."""
    menus = [options for kind in KINDS.values() for options in kind.menus.values()]
    return sorted({option for options in menus for option in options})


def train(seed: int, size: int = 1536, n_texts: int = 12000) -> Tokenizer:
    """Train on random prompts and posts about the seen topics; `END` is token 0.

    Raises
    ------
    ValueError
        An option is more than one token; raise `size`.
    """
    rng = Random(f"tokenizer:{seed}")
    kinds = list(KINDS.values())
    texts = []
    for _ in range(n_texts):
        situation = sample(rng, rng.choice(kinds))
        texts.append(render(situation))
        if situation.options is None:
            texts.append(written(rng, situation))
    texts += [f" {option}" for option in all_options()] * 200
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    split = [option for option in all_options() if len(tokenizer.encode(f" {option}").ids) != 1]
    if split:
        raise ValueError(f"options of several tokens: {split}; raise the vocabulary's size")
    return tokenizer
