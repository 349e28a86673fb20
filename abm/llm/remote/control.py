"""Text of agents, personas and data never reads as a control token on a server.

A server turns the text it receives into tokens, control tokens included, and no field of the
protocol says which words are whose. So what looks like a control token inside an inserted value is
broken by a word joiner (U+2060, invisible, no break): `<|im_end|>` is then a text of nine letters.
"""

from __future__ import annotations

import re

from abm.questions import Prompt

__all__ = ["JOINER", "safe_text"]

JOINER = "\N{WORD JOINER}"
_CONTROL = re.compile(
    r"<(?=\|)|<(?=/?s>)|<(?=/?(?:start|end)_of_)|<(?=/?(?:bos|eos|pad|unk|mask|sep|cls)>)"
    r"|<(?=<SYS>>)|<(?=</SYS>>)|<(?=/?think>)|\[(?=/?INST\])|<(?=｜)|\[(?=/?(?:AVAILABLE_)?TOOLS?)"
)


def safe_text(prompt: Prompt) -> str:
    """The prompt's text, with what looks like a control token in inserted values broken.

    Examples
    --------
    >>> from abm.questions import Segment
    >>> prompt = Prompt(((Segment("<|user|>", True), Segment("<|end|>", False)),))
    >>> safe_text(prompt) == "<|user|><" + JOINER + "|end|>"
    True
    """
    return (
        "".join(
            segment.text if segment.trusted else _CONTROL.sub(lambda m: m[0] + JOINER, segment.text)
            for block in prompt.blocks
            for segment in block
        )
        .encode("utf-8", "replace")
        .decode()
    )
